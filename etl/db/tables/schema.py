"""What all tables share: schemas, names of constraints, keys, and the type of a time.

What a table and each of its columns means is said in ``migrations/sql/comments``.
"""

from typing import Any

from sqlalchemy import Column, DateTime, ForeignKey, MetaData, Text

SCHEMAS = ("raw", "warehouse", "ops", "bi_pii", "bi")
QUEUE = "queue"  # the schema of procrastinate's own tables: migrations/sql/queue.sql

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def timestamptz() -> DateTime:
    """A point in time; sessions run in UTC."""
    return DateTime(timezone=True)


def source_key() -> Column[Any]:
    """The foreign key of a row that belongs to a source."""
    return Column("source", ForeignKey("ops.sources.source"), primary_key=True)


def stream_key() -> tuple[Column[Any], Column[Any]]:
    """The key of a row that belongs to a stream: a source, and the partition of it that the provider lists."""
    return source_key(), Column("partition", Text, primary_key=True)


def call_key() -> Column[Any]:
    """The foreign key of a row that belongs to a call and is deleted with it."""
    return Column("call_key", ForeignKey("warehouse.calls.call_key", ondelete="CASCADE"), primary_key=True)
