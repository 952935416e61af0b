"""SIGTERM and Ctrl-C → an event that asks the work to stop; a second signal ends the process at once."""

import signal
import threading
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def stop_on_signal(stop: threading.Event) -> None:
    """Set the event at the next SIGTERM or SIGINT, and restore the default action for the one after it."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        for known in SIGNALS:
            signal.signal(known, signal.SIG_DFL)
        stop.set()

    for known in SIGNALS:
        signal.signal(known, on_signal)
