"""The warehouse as SQLAlchemy tables: what Alembic compares the database with, and what the loader writes to."""

from etl.tables.journal import alerts, drift, observations, quarantine, runs, sightings, transcript_requests
from etl.tables.schema import SCHEMAS, metadata
from etl.tables.standing import coverage, leases, lists, pace, sources, sweeps, verdicts, walks
from etl.tables.sums import call_groups, daily_calls, daily_lists
from etl.tables.warehouse import calls, changes, payloads, transcripts

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
