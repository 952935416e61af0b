"""The pipeline's own books of how each source stands: who may read it, how fast, and what is held of it."""

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    Double,
    Index,
    Integer,
    Numeric,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from etl.db.tables.schema import metadata, source_key, stream_key, timestamptz

sources = Table(
    "sources",
    metadata,
    Column("source", Text, primary_key=True, comment="The name in the configuration"),
    Column("provider", Text, nullable=False, comment="The vendor that the source was first read from"),
    Column("host", Text, nullable=False, comment="The host that the source was first read from"),
    Column("first_seen_at", timestamptz(), nullable=False, comment="When it was first configured"),
    Column(
        "settled_after_seconds", Numeric, nullable=False, comment="Seconds after which the last sweep has left a call"
    ),
    Column("schedule", Text, nullable=False, comment="When the daemon reads it"),
    Column("next_run_at", timestamptz(), comment="When the daemon reads it next"),
    Column("paused_until", timestamptz(), comment="No request before this time, except one probe by hand"),
    Column("pause_reason", Text, comment="Why it is paused"),
    schema="ops",
    comment="One row per source that was ever configured",
)

leases = Table(
    "leases",
    metadata,
    source_key(),
    Column(
        "fencing_token", BigInteger, nullable=False, server_default=text("0"), comment="Counts holders; fences old ones"
    ),
    Column("owner", Text, comment="Who holds it"),
    Column("backend_pid", Integer, comment="The holder's database session"),
    Column("backend_started_at", timestamptz(), comment="When that session began"),
    Column("expires_at", timestamptz(), comment="When it may be taken over in any case"),
    schema="ops",
    comment="Who may write a source's data",
)

rate_limits = Table(
    "rate_limits",
    metadata,
    source_key(),
    Column("next_slot_at", timestamptz(), comment="When a request would be sent if all were sent evenly"),
    Column("blocked_until", timestamptz(), comment="The provider's Retry-After: no request earlier"),
    Column("requests_per_minute", Integer, comment="The configured rate, as of the last run"),
    Column(
        "adaptive_rate_per_minute",
        Double,
        comment="The lower rate that the provider's last refusal taught, before it recovers",
    ),
    Column("adapted_at", timestamptz(), comment="When it was learned"),
    Column("adapted_seq", BigInteger, comment="Its number among all requests: those sent before it teach nothing more"),
    schema="ops",
    comment="The budget of requests of each source, shared by every process",
)

streams = Table(
    "streams",
    metadata,
    *stream_key(),
    Column("sort_order", Text, nullable=False, comment="newest, oldest, unsorted or unknown, found out from its pages"),
    Column("page_size", Integer, comment="The page size that the provider accepts, where it refused a larger one"),
    Column("remote_count", BigInteger, comment="How many calls the provider said it lists"),
    Column("local_count", BigInteger, comment="How many calls the warehouse held of it at that time"),
    Column("completeness", Text, nullable=False, comment="verified, agrees, gap or unknown"),
    Column("reason", Text, comment="Why the completeness is not better"),
    Column("checked_at", timestamptz(), comment="When the counts were compared"),
    Column("full_scan_at", timestamptz(), comment="When the whole list was last read"),
    Column("remote_oldest_at", timestamptz(), comment="The oldest call still listed: older ones left by retention"),
    schema="ops",
    comment="One row per list of a source",
)

coverage = Table(
    "coverage",
    metadata,
    *stream_key(),
    Column("starts_at", timestamptz(), primary_key=True, comment="From this source time on"),
    Column("ends_at", timestamptz(), nullable=False, comment="Up to this source time"),
    schema="ops",
    comment="The intervals of source time that are held for certain",
)

checkpoints = Table(
    "checkpoints",
    metadata,
    *stream_key(),
    Column("starts_at", timestamptz(), primary_key=True, comment="The window's start"),
    Column("ends_at", timestamptz(), primary_key=True, comment="The window's end, fixed when the walk began"),
    Column("resume_point", JSONB, nullable=False, comment="Where the walk goes on"),
    Column("updated_at", timestamptz(), nullable=False, comment="When the walk last came on"),
    schema="ops",
    comment="Walks through history that are not finished",
)

lookbacks = Table(
    "lookbacks",
    metadata,
    *stream_key(),
    Column("window_seconds", Numeric, primary_key=True, comment="How far back the sweep reads"),
    Column("completed_at", timestamptz(), nullable=False, comment="When it was last done"),
    schema="ops",
    comment="When each sweep of a list was last done",
)

daily_checks = Table(
    "daily_checks",
    metadata,
    source_key(),
    Column("day", Date, primary_key=True, comment="The day, of the source's time zone"),
    Column("status", Text, nullable=False, comment="verified, agrees, gap or unknown"),
    Column("missing_count", BigInteger, nullable=False, comment="How many calls are listed and not held"),
    Column("reason", Text, comment="Why the verdict is not better, or what was found"),
    Column("checked_at", timestamptz(), nullable=False, comment="When it was last compared"),
    Column("run_id", BigInteger, comment="The run that compared it"),
    Index("ix_daily_checks_incomplete", "source", "day", postgresql_where=text("status = 'incomplete'")),
    schema="ops",
    comment="One row per day of a source that was compared with what the provider lists",
)
