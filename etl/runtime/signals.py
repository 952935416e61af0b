"""SIGTERM and Ctrl-C → one event that the work looks at; a second one ends the process at once."""

import signal
import threading
from types import FrameType

ASKING = (signal.SIGTERM, signal.SIGINT)


def stop_on_signal(stop: threading.Event) -> None:
    """Let the next SIGTERM or SIGINT set the event, and the one after it do what it does to any process."""

    def ask(number: int, frame: FrameType | None) -> None:
        for each in ASKING:
            signal.signal(each, signal.SIG_DFL)
        stop.set()

    for each in ASKING:
        signal.signal(each, ask)
