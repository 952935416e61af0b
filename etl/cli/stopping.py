"""The request to stop → the work ends at its next step, or the process says what it waits for and then ends itself."""

import os
import sys
import threading
import time
import traceback
from pathlib import Path

from etl.cli.exit_status import FAILED
from etl.cli.output import echo
from etl.runtime import signals

PATIENCE_SECONDS, GRACE_SECONDS = 1.0, 7.0  # in all less than the ten that supervisors give
PEERS = {"psycopg": "the database", "httpcore": "the provider"}
SHOW_CURSOR = "\x1b[?25h"  # progress bars hide it


def stop_on_signal(stop: threading.Event) -> None:
    """Set the event at the next signal; where a peer does not answer, end the process a few seconds later."""
    signals.stop_on_signal(stop)
    threading.Thread(target=_end_in_time, args=[stop], name="stopping", daemon=True).start()


def _end_in_time(stop: threading.Event) -> None:
    """Outlive nothing: sessions that end with the process are rolled back, and their leases are free."""
    stop.wait()
    time.sleep(PATIENCE_SECONDS)
    echo(f"etl: stopping; waiting for {_peers()}. Ctrl-C again ends it at once; what was committed is kept", err=True)
    time.sleep(GRACE_SECONDS)
    sys.stderr.write(SHOW_CURSOR if sys.stderr.isatty() else "")
    echo(f"etl: stopped without an answer of {_peers()}; the same command goes on from what was committed", err=True)
    sys.stdout.flush()
    os._exit(FAILED)


def _peers() -> str:
    """Whom the threads of this process wait for: the libraries on their stacks say it."""
    stacks = [traceback.extract_stack(frame) for frame in sys._current_frames().values()]
    parts = {part for stack in stacks for frame in stack for part in Path(frame.filename).parts}
    return " and ".join(name for library, name in PEERS.items() if library in parts) or "what is under way"
