"""``python -m tests.quick_worker``: `etl worker` with short waits and small batches."""

import os
import sys
from dataclasses import replace
from pathlib import Path

from etl import settings
from etl.cli import context
from etl.daemon.task_runner import Tempo
from etl.daemon.worker import work
from etl.db.connections import open_engine
from etl.runtime.signals import stop_on_signal
from etl.sync.run import BatchLimits

TEMPO = Tempo(watchdog_interval_seconds=0.3, poll_seconds=0.05, heartbeat_seconds=0.2, stalled_seconds=2.0)


def main() -> None:
    """Run until a signal comes; the exit status says whether all runs ended."""
    found = settings.load(os.environ, Path.cwd())
    context.logs(found.secrets)
    stop_on_signal(context.stop)
    assert found.database_url
    db = open_engine(found.database_url.reveal())
    deps = replace(context.dependencies(db), batch_limits=BatchLimits(rows=1))
    all_ended = work(deps, context.stop, found.local_sources, tempo=TEMPO)
    sys.stdout.flush()
    os._exit(0 if all_ended else 1)


if __name__ == "__main__":
    main()
