"""The calls: rows, transcripts, changes, and the payloads as received."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from etl.db.tables.schema import call_key, metadata, timestamptz

calls = Table(
    "calls",
    metadata,
    Column("call_key", Uuid, primary_key=True),
    Column("source", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("provider_call_id", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("provider_status", Text),
    Column("is_live", Boolean),
    Column("is_final", Boolean),
    Column("is_answered", Boolean, nullable=False),
    Column("agent_id", Text),
    Column("agent_name", Text),
    Column("campaign_name", Text),
    Column("from_number", Text),
    Column("to_number", Text),
    Column("customer_number", Text),
    Column("agent_number", Text),
    Column("customer_name", Text),
    Column("customer_email", Text),
    Column("created_at", timestamptz(), nullable=False),
    Column("started_at", timestamptz()),
    Column("answered_at", timestamptz()),
    Column("ended_at", timestamptz()),
    Column("updated_at", timestamptz()),
    Column("duration_seconds", Numeric),
    Column("talk_seconds", Numeric),
    Column("duration_basis", Text),
    Column("cost", Numeric),
    Column("cost_unit", Text),
    Column("costs", JSONB),
    Column("answered_by", Text, nullable=False),
    Column("ended_by", Text, nullable=False),
    Column("recording_url", Text),
    Column("summary", Text),
    Column("sentiment", Text),
    Column("error_message", Text),
    Column("latency_ms", Numeric),
    Column("analysis", JSONB(none_as_null=True)),
    Column("metadata", JSONB(none_as_null=True)),
    Column("extra", JSONB(none_as_null=True)),
    Column("turn_count", Integer, nullable=False),
    Column("has_transcript", Boolean, nullable=False),
    Column("quality_flags", ARRAY(Text), nullable=False),
    Column("first_seen_at", timestamptz(), nullable=False),
    Column("changed_at", timestamptz(), nullable=False),
    Column("delisted_at", timestamptz()),
    Column("latest_request_seq", BigInteger, nullable=False),
    Column("payload_seqs", ARRAY(BigInteger)),
    Column("content_hash", LargeBinary, nullable=False),
    Column("previous_content_hashes", ARRAY(LargeBinary)),
    Column("transcript_hash", LargeBinary),
    CheckConstraint(
        "cost > '-Infinity'::numeric AND cost < 'Infinity'::numeric AND duration_seconds > '-Infinity'::numeric AND "
        "duration_seconds < 'Infinity'::numeric",
        name="numbers_are_numbers",
    ),
    CheckConstraint("created_at BETWEEN '1970-01-01 00:00Z' AND '2999-12-31 00:00Z'", name="created_at_plausible"),
    Index(None, "provider_call_id"),  # not unique: call_key is, and is computed from it
    Index(None, "source", "created_at"),
    Index(None, "created_at"),
    Index(None, "customer_number", "created_at"),
    Index(
        None, "agent_number"
    ),  # without created_at: a number has many calls, and ix_calls_created_at finds its newest
    Index("ix_calls_open", "source", "created_at", postgresql_where=text("is_final IS NOT TRUE")),
    Index(
        "ix_calls_without_transcript",
        "source",
        "created_at",
        postgresql_include=["call_key", "provider_call_id", "is_final"],
        postgresql_where=text("is_final IS NOT FALSE AND answered_at IS NOT NULL AND NOT has_transcript"),
    ),
    schema="warehouse",
)

transcripts = Table(
    "transcripts",
    metadata,
    call_key(),
    Column("speakers", Text, nullable=False),
    Column("texts", JSONB, nullable=False),
    Column("times", JSONB(none_as_null=True)),
    Index(
        "ix_transcripts_tsv",
        text("warehouse.transcript_tsv(texts)"),
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": 1024},  # kB: every search scans this list
    ),
    schema="warehouse",
)

changes = Table(
    "changes",
    metadata,
    Column("change_id", BigInteger, Identity(), primary_key=True),
    Column("call_key", ForeignKey("warehouse.calls.call_key", ondelete="CASCADE"), nullable=False, index=True),
    Column("changed_at", timestamptz(), nullable=False),
    Column("run_id", BigInteger),
    Column("field", Text, nullable=False),
    Column("old_value", Text),
    Column("new_value", Text),
    schema="warehouse",
)

payloads = Table(
    "payloads",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("source", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("received_at", timestamptz(), nullable=False),
    Column("run_id", BigInteger),
    Column("call_keys", ARRAY(Uuid), nullable=False),
    Column("records_zlib_msgpack", LargeBinary, nullable=False),
    schema="raw",
)
