"""Counts and sums of the calls, kept by triggers: a report reads these instead of the calls."""

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    Identity,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

from etl.db.tables.schema import metadata, timestamptz

# Rows are updated again and again: room in each page keeps their next versions on the same page.
ROOM_FOR_UPDATES = {"fillfactor": 70}

call_dimensions = Table(
    "call_dimensions",
    metadata,
    Column("dimension_id", Integer, Identity(), primary_key=True),
    Column("source", Text, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("dimension_hash", LargeBinary, nullable=False),
    Column("agent_id", Text),
    Column("agent_name", Text),
    Column("agent_version", Text),
    Column("campaign_name", Text),
    Column("direction", Text, nullable=False),
    Column("cost_unit", Text),
    UniqueConstraint("source", "dimension_hash"),
    schema="warehouse",
)

call_rollup = Table(
    "call_rollup",
    metadata,
    Column("hour", SmallInteger, primary_key=True, autoincrement=False),
    Column("day", Date, primary_key=True),
    Column("dimension_id", Integer, primary_key=True, autoincrement=False),
    Column("calls", Integer, nullable=False),
    Column("answered", Integer, nullable=False),
    Column("human_answered", Integer, nullable=False),
    Column("voicemail", Integer, nullable=False),
    Column("machine_answered", Integer, nullable=False),
    Column("completed", Integer, nullable=False),
    Column("transferred", Integer, nullable=False),
    Column("no_answer", Integer, nullable=False),
    Column("busy", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("canceled", Integer, nullable=False),
    Column("in_progress", Integer, nullable=False),
    Column("calls_with_cost", Integer, nullable=False),
    Column("duration_seconds", Numeric, nullable=False),
    Column("answered_seconds", Numeric, nullable=False),
    Column("cost", Numeric, nullable=False),
    Column("first_call_at", timestamptz(), nullable=False),
    Column("last_call_at", timestamptz(), nullable=False),
    schema="warehouse",
    postgresql_with=ROOM_FOR_UPDATES,
)

stream_rollup_daily = Table(
    "stream_rollup_daily",
    metadata,
    Column("source", Text, primary_key=True),
    Column("partition", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("outcome", Text, primary_key=True),
    Column("settings_id", Integer, primary_key=True, autoincrement=False),
    Column("calls", BigInteger, nullable=False),
    Column("delisted_count", BigInteger, nullable=False),
    Column("open_count", BigInteger, nullable=False),
    schema="warehouse",
    postgresql_with=ROOM_FOR_UPDATES,
)
