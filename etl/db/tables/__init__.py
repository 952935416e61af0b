"""The warehouse as SQLAlchemy tables: what Alembic compares the database with, and what the loader writes to."""

from etl.db.tables.ops_history import alerts, drift, observations, quarantine, runs, sightings, transcript_requests
from etl.db.tables.ops_state import coverage, leases, lists, pace, sources, sweeps, verdicts, walks
from etl.db.tables.rollups import call_groups, daily_calls, daily_lists
from etl.db.tables.schema import SCHEMAS, metadata
from etl.db.tables.warehouse import calls, changes, payloads, transcripts

__all__ = [
    "SCHEMAS",
    "alerts",
    "call_groups",
    "calls",
    "changes",
    "coverage",
    "daily_calls",
    "daily_lists",
    "drift",
    "leases",
    "lists",
    "metadata",
    "observations",
    "pace",
    "payloads",
    "quarantine",
    "runs",
    "sightings",
    "sources",
    "sweeps",
    "transcript_requests",
    "transcripts",
    "verdicts",
    "walks",
]
