"""The calls: rows, transcripts, changes, and the payloads as received."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from etl.db.tables.schema import call_key, metadata, timestamptz

calls = sa.Table(
    "calls",
    metadata,
    sa.Column("call_key", sa.Uuid, primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("provider_call_id", sa.Text, nullable=False),
    sa.Column("direction", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("provider_status", sa.Text),
    sa.Column("is_live", sa.Boolean),
    sa.Column("is_final", sa.Boolean),
    sa.Column("is_answered", sa.Boolean, nullable=False),
    sa.Column("agent_id", sa.Text),
    sa.Column("agent_name", sa.Text),
    sa.Column("agent_version", sa.Text),
    sa.Column("campaign_name", sa.Text),
    sa.Column("from_number", sa.Text),
    sa.Column("to_number", sa.Text),
    sa.Column("customer_number", sa.Text),
    sa.Column("agent_number", sa.Text),
    sa.Column("customer_name", sa.Text),
    sa.Column("customer_email", sa.Text),
    sa.Column("created_at", timestamptz(), nullable=False),
    sa.Column("started_at", timestamptz()),
    sa.Column("answered_at", timestamptz()),
    sa.Column("ended_at", timestamptz()),
    sa.Column("updated_at", timestamptz()),
    sa.Column("duration_seconds", sa.Numeric),
    sa.Column("talk_seconds", sa.Numeric),
    sa.Column("duration_basis", sa.Text),
    sa.Column("cost", sa.Numeric),
    sa.Column("cost_unit", sa.Text),
    sa.Column("costs", JSONB),
    sa.Column("answered_by", sa.Text, nullable=False),
    sa.Column("ended_by", sa.Text, nullable=False),
    sa.Column("recording_url", sa.Text),
    sa.Column("summary", sa.Text),
    sa.Column("sentiment", sa.Text),
    sa.Column("error_message", sa.Text),
    sa.Column("latency_ms", sa.Numeric),
    sa.Column("analysis", JSONB(none_as_null=True)),
    sa.Column("metadata", JSONB(none_as_null=True)),
    sa.Column("extra", JSONB(none_as_null=True)),
    sa.Column("customer_id", sa.Uuid),
    sa.Column("turn_count", sa.Integer, nullable=False),
    sa.Column("has_transcript", sa.Boolean, nullable=False),
    sa.Column("quality_flags", sa.ARRAY(sa.Text), nullable=False),
    sa.Column("first_seen_at", timestamptz(), nullable=False),
    sa.Column("changed_at", timestamptz(), nullable=False),
    sa.Column("delisted_at", timestamptz()),
    sa.Column("latest_request_seq", sa.BigInteger, nullable=False),
    sa.Column("payload_seqs", sa.ARRAY(sa.BigInteger)),
    sa.Column("content_hash", sa.LargeBinary, nullable=False),
    sa.Column("previous_content_hashes", sa.ARRAY(sa.LargeBinary)),
    sa.Column("transcript_hash", sa.LargeBinary),
    sa.Column("settings_id", sa.Integer, nullable=False, server_default=sa.text("0")),
    sa.Column("first_seal", sa.BigInteger),
    sa.CheckConstraint(
        "cost > '-Infinity'::numeric AND cost < 'Infinity'::numeric AND duration_seconds > '-Infinity'::numeric AND "
        "duration_seconds < 'Infinity'::numeric",
        name="numbers_are_numbers",
    ),
    sa.CheckConstraint("created_at BETWEEN '1970-01-01 00:00Z' AND '2999-12-31 00:00Z'", name="created_at_plausible"),
    sa.Index(None, "provider_call_id"),  # not unique: call_key is, and is computed from it
    sa.Index(None, "source", "created_at"),
    sa.Index(None, "created_at"),
    # with all that the attempts of a customer are found by: 1.5 to 3 times as fast as with reading the calls
    sa.Index(None, "customer_id", "created_at", postgresql_include=["direction", "call_key"]),
    sa.Index(
        None, "agent_number"
    ),  # without created_at: a number has many calls, and ix_calls_created_at finds its newest
    sa.Index("ix_calls_open", "source", "created_at", postgresql_where=sa.text("is_final IS NOT TRUE")),
    sa.Index(
        "ix_calls_without_transcript",
        "source",
        "created_at",
        postgresql_include=["call_key", "provider_call_id", "is_final"],
        postgresql_where=sa.text("is_final IS NOT FALSE AND answered_at IS NOT NULL AND NOT has_transcript"),
    ),
    schema="warehouse",
)

transcripts = sa.Table(
    "transcripts",
    metadata,
    call_key(),
    sa.Column("speakers", sa.Text, nullable=False),
    sa.Column("texts", JSONB, nullable=False),
    sa.Column("times", JSONB(none_as_null=True)),
    sa.Column("customer_name", sa.Text),
    sa.Index(
        "ix_transcripts_tsv",
        sa.text("warehouse.transcript_tsv(texts, customer_name)"),
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": 1024},  # kB: every search scans this list
    ),
    schema="warehouse",
)

changes = sa.Table(
    "changes",
    metadata,
    sa.Column("change_id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("call_key", sa.ForeignKey("warehouse.calls.call_key", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("changed_at", timestamptz(), nullable=False),
    sa.Column("run_id", sa.BigInteger),
    sa.Column("field", sa.Text, nullable=False),
    sa.Column("old_value", sa.Text),
    sa.Column("new_value", sa.Text),
    sa.Index(None, "changed_at", postgresql_using="brin"),  # rows come in its order
    schema="warehouse",
)

payloads = sa.Table(
    "payloads",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("received_at", timestamptz(), nullable=False),
    sa.Column("run_id", sa.BigInteger),
    sa.Column("call_keys", sa.ARRAY(sa.Uuid), nullable=False),
    sa.Column("records_zlib_msgpack", sa.LargeBinary, nullable=False),
    schema="raw",
)
