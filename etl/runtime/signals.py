"""SIGTERM, Ctrl-C or a closed terminal → an event that asks the work to stop; a second one ends the process at once."""

import signal
import threading
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def stop_on_signal(stop: threading.Event) -> None:
    """Set the event at the next signal, and restore the default action for the one after it.

    A signal that is ignored stays so: `nohup` asks for that. A closed terminal sends SIGHUP more than once.
    """
    heeded = [known for known in SIGNALS if signal.getsignal(known) is not signal.SIG_IGN]

    def on_signal(number: int, frame: FrameType | None) -> None:
        for known in heeded:
            signal.signal(known, signal.SIG_IGN if known == signal.SIGHUP else signal.SIG_DFL)
        stop.set()

    for known in heeded:
        signal.signal(known, on_signal)
