"""A database's URL → a few connections for the page: they only read, and none for long."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, Connection, Engine, create_engine, text

from etl.db.engine import as_json

AT_ONCE = 3
SECONDS = 5


class ReadonlyDatabase:
    """Connections of the page's own, so that no reader takes one from the loading."""

    def __init__(self, url: URL) -> None:
        self._db = readers(url)

    @contextmanager
    def open(self, seconds: float = SECONDS) -> Iterator[Connection]:
        """A transaction that can only read; a statement of it ends after so many seconds (SQLSTATE 57014)."""
        with self._db.connect() as connection:
            limit = {"limit": f"{max(int(seconds * 1000), 1)}ms"}
            connection.execute(text("SELECT set_config('statement_timeout', :limit, true)"), limit)
            yield connection

    @property
    def engine(self) -> Engine:
        """The connections themselves, for what opens its own; the same bounds hold."""
        return self._db

    def close(self) -> None:
        """End the sessions."""
        self._db.dispose()


def readers(url: URL) -> Engine:
    """A small pool of sessions that are read-only and bounded whatever is asked of them."""
    settings = f"-c timezone=UTC -c default_transaction_read_only=on -c statement_timeout={SECONDS}s -c jit=off"
    bounds = "-c lock_timeout=2s -c idle_in_transaction_session_timeout=30s"
    return create_engine(
        url,
        hide_parameters=True,
        json_serializer=as_json,
        pool_pre_ping=True,
        pool_size=AT_ONCE,
        max_overflow=0,
        pool_timeout=SECONDS,
        connect_args={
            "connect_timeout": 5,
            "application_name": "callhouse page",
            "options": f"{settings} {bounds}",
            "keepalives_idle": 30,
        },
    )
