"""The page's own database connections: few, read-only, and every statement limited in time."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, Connection, Engine

from etl.db.connections import make_engine
from etl.db.statements import Statements, fetch_one

POOL_SIZE = 3
STATEMENT_TIMEOUT_SECONDS = 5
SQL = Statements("server")
QUERY_CANCELED = "57014"  # SQLSTATE of a statement that took too long


def readonly_engine(url: URL) -> Engine:
    """A small pool of read-only sessions, so that the page never takes a connection from the sync."""
    return make_engine(
        url,
        {
            "default_transaction_read_only": "on",
            "jit": "off",
            "statement_timeout": f"'{STATEMENT_TIMEOUT_SECONDS}s'",
            "lock_timeout": "'2s'",
            "idle_in_transaction_session_timeout": "'30s'",
        },
        {"connect_timeout": 5, "application_name": "callhouse page"},
        silence_seconds=2.0 * STATEMENT_TIMEOUT_SECONDS,
        patience_seconds=2.0,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=STATEMENT_TIMEOUT_SECONDS,
    )


@contextmanager
def limited(db: Engine, seconds: float) -> Iterator[Connection]:
    """A transaction whose statements are canceled after ``seconds``, with SQLSTATE :data:`QUERY_CANCELED`."""
    with db.connect() as connection:
        timeout = {"timeout": f"{max(int(seconds * 1000), 1)}ms"}
        fetch_one(connection, SQL.set_statement_timeout, timeout)
        yield connection
