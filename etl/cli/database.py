"""Settings → the database to write to: existing, reachable and at this version's revision."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from etl.db import revisions
from etl.db.engine import DatabaseProblem, open_engine
from etl.settings import Settings


def url_of(settings: Settings) -> str:
    """The URL of the configured database, or of the embedded server, which is started if it is not running."""
    if settings.database_url is not None:
        return settings.database_url.reveal()
    return embedded_url(settings.home, "callhouse")


def embedded_url(home: Path, name: str, *, fresh: bool = False) -> str:
    """The URL of a database of the embedded server; both are created if they do not exist, and migrated.

    ``fresh`` drops the database first. Raises :class:`~etl.db.engine.DatabaseProblem`.
    """
    from etl import embedded

    try:
        server = embedded.start(home)
        if fresh:
            embedded.drop_database(server, name)
        embedded.ensure_database(server, name)
    except embedded.EmbeddedError as error:
        raise DatabaseProblem(str(error)) from None
    url = f"{server.url(name)}?sslmode=disable"  # a PGSSLMODE meant for another server would reject this one
    with disposed_engine(url) as db:
        revisions.migrate(db)
    return url


@contextmanager
def disposed_engine(url: str) -> Iterator[Engine]:
    """Connections to a database, closed on exit."""
    db = open_engine(url)
    try:
        yield db
    finally:
        db.dispose()


@contextmanager
def opened(settings: Settings) -> Iterator[Engine]:
    """The database of these settings, at this version's revision; raises :class:`~etl.db.engine.DatabaseProblem`."""
    with disposed_engine(url_of(settings)) as db:
        revisions.require_revision(db)
        yield db
