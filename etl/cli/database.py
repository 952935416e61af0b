"""Settings → the database to write to: existing, reachable and at this version's revision."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from etl import embedded
from etl.db import revisions
from etl.db.connections import MIGRATION_SECONDS, SILENCE_SECONDS, open_engine
from etl.db.engine import DatabaseProblem
from etl.settings import Settings

DATABASE = "callhouse"
NO_TLS = "sslmode=disable"  # which the embedded server does not have


def url_of(settings: Settings, *, may_start: bool = True) -> str:
    """The URL of the configured database, or of the embedded server, which is started if it is not running.

    A question, which may not start it, creates no file either.
    """
    if settings.database_url is not None:
        return settings.database_url.reveal()
    return embedded_url(settings.home, DATABASE) if may_start else f"{running_server(settings.home).url()}?{NO_TLS}"


def running_server(home: Path) -> embedded.Server:
    """The embedded server, if it is running; raises :class:`~etl.db.engine.DatabaseProblem`."""
    try:
        server = embedded.running(home)
    except embedded.EmbeddedError as error:
        raise DatabaseProblem(str(error)) from None
    if server is None:
        raise DatabaseProblem(
            f"no embedded PostgreSQL is running in {home}, and neither the environment nor {Path.cwd() / '.env'} has a "
            "DATABASE_URL: change to the project's directory, run `etl db start`, or begin with `etl migrate`"
        )
    return server


def embedded_url(home: Path, name: str, *, fresh: bool = False) -> str:
    """The URL of a database of the embedded server; both are created if they do not exist, and migrated.

    ``fresh`` drops the database first. Raises :class:`~etl.db.engine.DatabaseProblem`.
    """
    try:
        server = embedded.start(home)
        if fresh:
            embedded.drop_database(server, name)
        embedded.ensure_database(server, name)
    except embedded.EmbeddedError as error:
        raise DatabaseProblem(str(error)) from None
    url = f"{server.url(name)}?{NO_TLS}"
    with disposed_engine(url, MIGRATION_SECONDS) as db:
        revisions.migrate(db)
    return url


@contextmanager
def disposed_engine(url: str, silence_seconds: float = SILENCE_SECONDS) -> Iterator[Engine]:
    """Connections to a database, closed on exit."""
    db = open_engine(url, silence_seconds)
    try:
        yield db
    finally:
        db.dispose()


@contextmanager
def opened(settings: Settings, *, may_start: bool) -> Iterator[Engine]:
    """The database of these settings, at this version's revision; raises :class:`~etl.db.engine.DatabaseProblem`."""
    with disposed_engine(url_of(settings, may_start=may_start)) as db:
        revisions.require_revision(db)
        yield db
