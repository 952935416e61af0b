"""The state of each source: who may write it, how fast it is read, and what of it is stored."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    Date,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import INT4MULTIRANGE, JSONB

from etl.db.tables.schema import metadata, source_key, stream_key, timestamptz

sources = Table(
    "sources",
    metadata,
    Column("source", Text, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("first_seen_at", timestamptz(), nullable=False),
    Column("settled_after_seconds", Numeric, nullable=False),
    Column("schedule", Text, nullable=False),
    Column("next_run_at", timestamptz()),
    Column("paused_until", timestamptz()),
    Column("pause_reason", Text),
    Column("timezone", Text, nullable=False, server_default="UTC"),
    Column("report_timezone", Text, nullable=False, server_default="UTC"),
    Column("next_report_timezone", Text),
    Column("next_counted_from", Date),
    Column("report_currency", Text),
    Column("business_hours", INT4MULTIRANGE),
    Column("calls_kept_since", timestamptz()),
    Column("raw_kept_since", timestamptz()),
    schema="ops",
)

settings_versions = Table(
    "settings_versions",
    metadata,
    Column("settings_id", Integer, Identity(), primary_key=True),
    Column("source", ForeignKey("ops.sources.source"), nullable=False),
    Column("settings", JSONB, nullable=False),
    Column("first_used_at", timestamptz(), nullable=False),
    UniqueConstraint("source", "settings"),
    schema="ops",
)

leases = Table(
    "leases",
    metadata,
    source_key(),
    Column("fencing_token", BigInteger, nullable=False, server_default=text("0")),
    Column("owner", Text),
    Column("backend_pid", Integer),
    Column("backend_started_at", timestamptz()),
    Column("renewal", BigInteger, nullable=False, server_default=text("0")),
    schema="ops",
)

rate_limits = Table(
    "rate_limits",
    metadata,
    source_key(),
    Column("next_slot_at", timestamptz()),
    Column("blocked_until", timestamptz()),
    Column("blocked_at", timestamptz()),
    Column("requests_per_minute", Integer),
    Column("adaptive_rate_per_minute", Double),
    Column("adapted_at", timestamptz()),
    Column("adapted_seq", BigInteger),
    schema="ops",
)

streams = Table(
    "streams",
    metadata,
    *stream_key(),
    Column("sort_order", Text, nullable=False),
    Column("page_size", Integer),
    Column("remote_count", BigInteger),
    Column("local_count", BigInteger),
    Column("completeness", Text, nullable=False),
    Column("reason", Text),
    Column("checked_at", timestamptz()),
    Column("full_scan_at", timestamptz()),
    Column("remote_oldest_at", timestamptz()),
    Column("surplus_count", BigInteger),
    schema="ops",
)

coverage = Table(
    "coverage",
    metadata,
    *stream_key(),
    Column("starts_at", timestamptz(), primary_key=True),
    Column("ends_at", timestamptz(), nullable=False),
    schema="ops",
)

checkpoints = Table(
    "checkpoints",
    metadata,
    *stream_key(),
    Column("starts_at", timestamptz(), primary_key=True),
    Column("ends_at", timestamptz(), primary_key=True),
    Column("resume_point", JSONB, nullable=False),
    Column("updated_at", timestamptz(), nullable=False),
    schema="ops",
)

source_settings = Table(
    "source_settings",
    metadata,
    Column("source", Text, primary_key=True),
    Column("settings", JSONB, nullable=False),
    Column("api_key", Text, nullable=False),
    Column("version", BigInteger, Identity(), nullable=False, index=True),
    schema="ops",
)

rates = Table(
    "rates",
    metadata,
    source_key(),
    Column("unit", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("valid_from", Date, primary_key=True),
    Column("rate", Numeric, nullable=False),
    CheckConstraint("rate > 0 AND rate < 'Infinity'", name="rate_is_positive"),
    schema="ops",
)

erasures = Table(
    "erasures",
    metadata,
    Column("token", Uuid, primary_key=True),
    Column("erased_at", timestamptz(), nullable=False),
    Column("completed_at", timestamptz()),
    Column("removed", JSONB, nullable=False, server_default=text("'{}'")),
    schema="ops",
)

removed_calls = Table(
    "removed_calls",
    metadata,
    Column("call_key", Uuid, primary_key=True),
    Column("source", Text, nullable=False),
    Column("created_at", timestamptz(), nullable=False),
    Column("partitions", ARRAY(Text), nullable=False),
    Column("reason", Text, nullable=False),
    Column("removed_at", timestamptz(), nullable=False),
    Column("seen_at", timestamptz(), nullable=False),
    Column("delisted_at", timestamptz()),
    Index(None, "source", "created_at"),
    schema="ops",
)

masking_key = Table(
    "masking_key",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("inner_key", LargeBinary, Computed("warehouse.hmac_pad(key, 54)", persisted=True)),
    Column("outer_key", LargeBinary, Computed("warehouse.hmac_pad(key, 92)", persisted=True)),
    schema="ops",
)

lookbacks = Table(
    "lookbacks",
    metadata,
    *stream_key(),
    Column("window_seconds", Numeric, primary_key=True),
    Column("completed_at", timestamptz(), nullable=False),
    schema="ops",
)

daily_checks = Table(
    "daily_checks",
    metadata,
    source_key(),
    Column("day", Date, primary_key=True),
    Column("status", Text, nullable=False),
    Column("missing_count", BigInteger, nullable=False),
    Column("reason", Text),
    Column("checked_at", timestamptz(), nullable=False),
    Column("run_id", BigInteger),
    Index("ix_daily_checks_incomplete", "source", "day", postgresql_where=text("status = 'incomplete'")),
    schema="ops",
)
