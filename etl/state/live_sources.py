"""All sources of a process that runs for long, as of the last look at the database."""

import logging
import threading
from collections.abc import Iterator, Sequence
from typing import overload

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from etl.model import Source
from etl.runtime.logs import event
from etl.settings import Settings
from etl.state import source_table
from etl.state.source_table import AllSources

log = logging.getLogger(__name__)

REFRESH_SECONDS = 5.0


class LiveSources(Sequence[Source]):
    """The sources that the schedule, the page and the alerts of a process share; :meth:`refresh` takes up changes.

    A source that is invalid stays as it was, where it was valid before, and the others go on.
    """

    def __init__(self, settings: Settings, found: AllSources) -> None:
        self._settings, self._found = settings, found

    def start(self, db: Engine, stop: threading.Event, seconds: float = REFRESH_SECONDS) -> None:
        """Refresh in a thread of its own until ``stop`` is set, so that a database that hangs delays nothing else."""

        def run() -> None:
            while not stop.wait(seconds):
                self.refresh(db)

        threading.Thread(target=run, name="sources", daemon=True).start()

    def refresh(self, db: Engine) -> None:
        """Read the sources again if any was changed; a database that is down changes none."""
        try:
            with db.connect() as connection:
                if source_table.version(connection) != self._found.version:
                    self._take_up(source_table.load(connection, self._settings))
        except SQLAlchemyError:
            log.debug("sources_not_read")

    def _take_up(self, found: AllSources) -> None:
        for problem in found.problems:
            event(log, "source_invalid", level=logging.ERROR, problem=problem)
        kept = tuple(source for source in self._found.sources if source.name in found.invalid)
        before, after = set(self._found.sources), {*found.sources, *kept}
        event(log, "sources_changed", sources=len(after), new=len(after - before), gone=len(before - after))
        self._found = AllSources((*found.sources, *kept), found.version)

    @overload
    def __getitem__(self, index: int) -> Source: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Source]: ...
    def __getitem__(self, index: int | slice) -> Source | Sequence[Source]:
        return self._found.sources[index]

    def __len__(self) -> int:
        return len(self._found.sources)

    def __iter__(self) -> Iterator[Source]:
        return iter(self._found.sources)
