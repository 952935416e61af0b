"""The page's own database connections: few, read-only, and every statement limited in time."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, Connection, Engine, create_engine

from etl.db.engine import as_json
from etl.db.statements import Statements, fetch_one

POOL_SIZE = 3
STATEMENT_TIMEOUT_SECONDS = 5
SQL = Statements("server")
QUERY_CANCELED = "57014"  # SQLSTATE of a statement that took too long


def readonly_engine(url: URL) -> Engine:
    """A small pool of read-only sessions, so that the page never takes a connection from the sync."""
    settings = "-c timezone=UTC -c default_transaction_read_only=on -c jit=off"
    limits = (
        f"-c statement_timeout={STATEMENT_TIMEOUT_SECONDS}s -c lock_timeout=2s"
        " -c idle_in_transaction_session_timeout=30s"
    )
    return create_engine(
        url,
        hide_parameters=True,
        json_serializer=as_json,
        pool_pre_ping=True,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=STATEMENT_TIMEOUT_SECONDS,
        connect_args={
            "connect_timeout": 5,
            "application_name": "callhouse page",
            "options": f"{settings} {limits}",
            "keepalives_idle": 30,
        },
    )


@contextmanager
def limited(db: Engine, seconds: float) -> Iterator[Connection]:
    """A transaction whose statements are canceled after ``seconds``, with SQLSTATE :data:`QUERY_CANCELED`."""
    with db.connect() as connection:
        timeout = {"timeout": f"{max(int(seconds * 1000), 1)}ms"}
        fetch_one(connection, SQL.set_statement_timeout, timeout)
        yield connection
