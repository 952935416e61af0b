"""The warehouse as SQLAlchemy tables: what Alembic compares the database with, and what the loader writes to."""

from etl.db.tables.ops_history import (
    alerts,
    call_last_seen,
    quarantine,
    request_seq,
    runs,
    schema_drift,
    transcript_requests,
)
from etl.db.tables.ops_state import (
    checkpoints,
    coverage,
    daily_checks,
    leases,
    lookbacks,
    rate_limits,
    sources,
    streams,
)
from etl.db.tables.rollups import call_dimensions, call_rollup_daily, stream_rollup_daily
from etl.db.tables.schema import SCHEMAS, metadata
from etl.db.tables.warehouse import calls, changes, payloads, transcripts

__all__ = [
    "SCHEMAS",
    "alerts",
    "call_dimensions",
    "call_last_seen",
    "call_rollup_daily",
    "calls",
    "changes",
    "checkpoints",
    "coverage",
    "daily_checks",
    "leases",
    "lookbacks",
    "metadata",
    "payloads",
    "quarantine",
    "rate_limits",
    "request_seq",
    "runs",
    "schema_drift",
    "sources",
    "stream_rollup_daily",
    "streams",
    "transcript_requests",
    "transcripts",
]
