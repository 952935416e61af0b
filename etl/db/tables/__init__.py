"""The warehouse as SQLAlchemy tables: what Alembic compares the database with, and what the loader writes to."""

from etl.db.tables import ops_history, ops_state, rollups
from etl.db.tables.schema import QUEUE, SCHEMAS, metadata
from etl.db.tables.warehouse import calls, changes, payloads, transcripts

__all__ = [
    "QUEUE", "SCHEMAS", "calls", "changes", "metadata", "ops_history", "ops_state", "payloads", "rollups",
    "transcripts",
]  # fmt: skip
