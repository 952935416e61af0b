"""The tables of the warehouse. Views, functions, triggers and comments are no part of a revision: etl/db/objects.py."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from etl.db import objects

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# No query plan depends on the statistics of these columns, and collecting them is most of the work of ANALYZE: for the
# search index it would parse 30,000 transcripts again, a third of the server's time in a first sync.
WITHOUT_STATISTICS = {
    "warehouse.ix_transcripts_tsv": ("1",),
    "warehouse.transcripts": ("speakers", "texts", "times"),
    "warehouse.calls": (
        "customer_email", "recording_url", "summary", "error_message", "latency_ms", "costs", "analysis", "metadata",
        "extra", "quality_flags", "first_seen_at", "latest_request_seq", "payload_seqs", "content_hash",
        "previous_content_hashes", "transcript_hash", "first_seal",
    ),
}  # fmt: skip


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("request_seq", schema="ops")))
    create_tables()
    objects.create_queue(op.get_bind())
    # made by the server: a parameter would stand in its log
    uuids = " || ".join(["uuid_send(gen_random_uuid())"] * 3)
    op.execute(f"INSERT INTO ops.masking_key (key) VALUES (sha256({uuids}))")  # noqa: S608 - no value in it
    # compressed before it is sent
    op.execute("ALTER TABLE raw.payloads ALTER COLUMN records_zlib_msgpack SET STORAGE EXTERNAL")
    for relation, columns in WITHOUT_STATISTICS.items():
        changes = ", ".join(f"ALTER COLUMN {column} SET STATISTICS 0" for column in columns)
        op.execute(f"ALTER TABLE {relation} {changes}")


def downgrade() -> None:
    raise NotImplementedError("the first revision has nothing before it: drop the database instead")


def create_tables() -> None:
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("notified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolution_notified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("alert_id", name=op.f("pk_alerts")),
        schema="ops",
    )
    op.create_index(
        "ix_alerts_open",
        "alerts",
        ["source", "kind"],
        unique=True,
        schema="ops",
        postgresql_where=sa.text("resolved_at IS NULL"),
    )
    op.create_table(
        "schema_drift",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("record_count", sa.BigInteger(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("source", "field", "kind", "detail", name=op.f("pk_schema_drift")),
        schema="ops",
    )
    op.create_table(
        "quarantine",
        sa.Column("quarantine_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("provider_call_id", sa.Text(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dismissed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("quarantine_id", name=op.f("pk_quarantine")),
        schema="ops",
    )
    op.create_index(
        "ix_quarantine_open",
        "quarantine",
        ["source", "provider_call_id"],
        unique=False,
        schema="ops",
        postgresql_where=sa.text("resolved_at IS NULL"),
    )
    op.create_index(op.f("ix_quarantine_source_digest"), "quarantine", ["source", "digest"], unique=True, schema="ops")
    op.create_table(
        "runs",
        sa.Column("run_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("requests", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("pages", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("received", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("inserted", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("updated", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("unchanged", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("quarantined", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("backend_pid", sa.Integer(), nullable=True),
        sa.Column("backend_started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("notes", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("settings_id", sa.Integer(), nullable=True),
        sa.CheckConstraint("received = inserted + updated + unchanged + quarantined", name=op.f("ck_runs_adds_up")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_runs")),
        schema="ops",
    )
    op.create_index(op.f("ix_runs_source_run_id"), "runs", ["source", "run_id"], unique=False, schema="ops")
    op.create_index(op.f("ix_runs_source_started_at"), "runs", ["source", "started_at"], unique=False, schema="ops")
    op.create_index(
        "ix_runs_succeeded",
        "runs",
        ["source", "finished_at"],
        unique=False,
        schema="ops",
        postgresql_where=sa.text("status = 'succeeded' AND kind IN ('sync', 'backfill')"),
    )
    op.create_table(
        "sources",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_after_seconds", sa.Numeric(), nullable=False),
        sa.Column("schedule", sa.Text(), nullable=False),
        sa.Column("next_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("pause_reason", sa.Text(), nullable=True),
        sa.Column("timezone", sa.Text(), server_default="UTC", nullable=False),
        sa.Column("report_timezone", sa.Text(), server_default="UTC", nullable=False),
        sa.Column("next_report_timezone", sa.Text(), nullable=True),
        sa.Column("next_counted_from", sa.Date(), nullable=True),
        sa.Column("report_currency", sa.Text(), nullable=True),
        sa.Column("business_hours", postgresql.INT4MULTIRANGE(), nullable=True),
        sa.Column("calls_kept_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("raw_kept_since", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_sources")),
        schema="ops",
    )
    op.create_table(
        "source_settings",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("settings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("api_key", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_source_settings")),
        schema="ops",
    )
    op.create_index(op.f("ix_source_settings_version"), "source_settings", ["version"], schema="ops")
    op.create_table(
        "rates",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("rate", sa.Numeric(), nullable=False),
        sa.CheckConstraint("rate > 0 AND rate < 'Infinity'", name=op.f("ck_rates_rate_is_positive")),
        sa.ForeignKeyConstraint(["source"], ["ops.sources.source"], name=op.f("fk_rates_source")),
        sa.PrimaryKeyConstraint("source", "unit", "currency", "valid_from", name=op.f("pk_rates")),
        schema="ops",
    )
    op.create_table(
        "erasures",
        sa.Column("token", sa.Uuid(), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("removed", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_erasures")),
        schema="ops",
    )
    op.create_table(
        "removed_calls",
        sa.Column("call_key", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("partitions", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delisted_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("call_key", name=op.f("pk_removed_calls")),
        schema="ops",
    )
    op.create_index(
        op.f("ix_removed_calls_source_created_at"),
        "removed_calls",
        ["source", "created_at"],
        unique=False,
        schema="ops",
    )
    op.create_table(
        "masking_key",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("inner_key", sa.LargeBinary(), sa.Computed("warehouse.hmac_pad(key, 54)", persisted=True)),
        sa.Column("outer_key", sa.LargeBinary(), sa.Computed("warehouse.hmac_pad(key, 92)", persisted=True)),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_masking_key")),
        schema="ops",
    )
    op.create_table(
        "settings_versions",
        sa.Column("settings_id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("settings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("first_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["source"], ["ops.sources.source"], name=op.f("fk_settings_versions_source")),
        sa.PrimaryKeyConstraint("settings_id", name=op.f("pk_settings_versions")),
        sa.UniqueConstraint("source", "settings", name=op.f("uq_settings_versions_source_settings")),
        schema="ops",
    )
    op.create_table(
        "calls",
        sa.Column("call_key", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("provider_call_id", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("provider_status", sa.Text(), nullable=True),
        sa.Column("is_live", sa.Boolean(), nullable=True),
        sa.Column("is_final", sa.Boolean(), nullable=True),
        sa.Column("is_answered", sa.Boolean(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column("agent_name", sa.Text(), nullable=True),
        sa.Column("agent_version", sa.Text(), nullable=True),
        sa.Column("campaign_name", sa.Text(), nullable=True),
        sa.Column("from_number", sa.Text(), nullable=True),
        sa.Column("to_number", sa.Text(), nullable=True),
        sa.Column("customer_number", sa.Text(), nullable=True),
        sa.Column("agent_number", sa.Text(), nullable=True),
        sa.Column("customer_name", sa.Text(), nullable=True),
        sa.Column("customer_email", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("duration_seconds", sa.Numeric(), nullable=True),
        sa.Column("talk_seconds", sa.Numeric(), nullable=True),
        sa.Column("duration_basis", sa.Text(), nullable=True),
        sa.Column("cost", sa.Numeric(), nullable=True),
        sa.Column("cost_unit", sa.Text(), nullable=True),
        sa.Column("costs", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=False),
        sa.Column("ended_by", sa.Text(), nullable=False),
        sa.Column("recording_url", sa.Text(), nullable=True),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column("sentiment", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("latency_ms", sa.Numeric(), nullable=True),
        sa.Column("analysis", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("metadata", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("extra", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("customer_id", sa.Uuid(), nullable=True),
        sa.Column("turn_count", sa.Integer(), nullable=False),
        sa.Column("has_transcript", sa.Boolean(), nullable=False),
        sa.Column("quality_flags", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delisted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("latest_request_seq", sa.BigInteger(), nullable=False),
        sa.Column("payload_seqs", sa.ARRAY(sa.BigInteger()), nullable=True),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("previous_content_hashes", sa.ARRAY(sa.LargeBinary()), nullable=True),
        sa.Column("transcript_hash", sa.LargeBinary(), nullable=True),
        sa.Column("settings_id", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("first_seal", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "cost > '-Infinity'::numeric AND cost < 'Infinity'::numeric"
            " AND duration_seconds > '-Infinity'::numeric AND duration_seconds < 'Infinity'::numeric",
            name=op.f("ck_calls_numbers_are_numbers"),
        ),
        sa.CheckConstraint(
            "created_at BETWEEN '1970-01-01 00:00Z' AND '2999-12-31 00:00Z'", name=op.f("ck_calls_created_at_plausible")
        ),
        sa.PrimaryKeyConstraint("call_key", name=op.f("pk_calls")),
        schema="warehouse",
    )
    op.create_index(op.f("ix_calls_agent_number"), "calls", ["agent_number"], unique=False, schema="warehouse")
    op.create_index(op.f("ix_calls_created_at"), "calls", ["created_at"], unique=False, schema="warehouse")
    op.create_index(
        op.f("ix_calls_customer_id_created_at"),
        "calls",
        ["customer_id", "created_at"],
        unique=False,
        schema="warehouse",
        postgresql_include=["direction", "call_key"],
    )
    op.create_index(op.f("ix_calls_provider_call_id"), "calls", ["provider_call_id"], unique=False, schema="warehouse")
    op.create_index(
        op.f("ix_calls_source_created_at"), "calls", ["source", "created_at"], unique=False, schema="warehouse"
    )
    op.create_index(
        "ix_calls_open",
        "calls",
        ["source", "created_at"],
        unique=False,
        schema="warehouse",
        postgresql_where=sa.text("is_final IS NOT TRUE"),
    )
    op.create_index(
        "ix_calls_without_transcript",
        "calls",
        ["source", "created_at"],
        unique=False,
        schema="warehouse",
        postgresql_include=["call_key", "provider_call_id", "is_final"],
        postgresql_where=sa.text("is_final IS NOT FALSE AND answered_at IS NOT NULL AND NOT has_transcript"),
    )
    op.create_table(
        "call_dimensions",
        sa.Column("dimension_id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("dimension_hash", sa.LargeBinary(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=True),
        sa.Column("agent_name", sa.Text(), nullable=True),
        sa.Column("agent_version", sa.Text(), nullable=True),
        sa.Column("campaign_name", sa.Text(), nullable=True),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("cost_unit", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("dimension_id", name=op.f("pk_call_dimensions")),
        sa.UniqueConstraint("source", "dimension_hash", name=op.f("uq_call_dimensions_source_dimension_hash")),
        schema="warehouse",
    )
    op.create_table(
        "call_rollup",
        sa.Column("hour", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("dimension_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("answered", sa.Integer(), nullable=False),
        sa.Column("human_answered", sa.Integer(), nullable=False),
        sa.Column("voicemail", sa.Integer(), nullable=False),
        sa.Column("machine_answered", sa.Integer(), nullable=False),
        sa.Column("completed", sa.Integer(), nullable=False),
        sa.Column("transferred", sa.Integer(), nullable=False),
        sa.Column("no_answer", sa.Integer(), nullable=False),
        sa.Column("busy", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("canceled", sa.Integer(), nullable=False),
        sa.Column("in_progress", sa.Integer(), nullable=False),
        sa.Column("calls_with_cost", sa.Integer(), nullable=False),
        sa.Column("duration_seconds", sa.Numeric(), nullable=False),
        sa.Column("answered_seconds", sa.Numeric(), nullable=False),
        sa.Column("cost", sa.Numeric(), nullable=False),
        sa.Column("first_call_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_call_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("hour", "day", "dimension_id", name=op.f("pk_call_rollup")),
        schema="warehouse",
        postgresql_with={"fillfactor": 70},
    )
    op.create_table(
        "stream_rollup_daily",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("partition", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("settings_id", sa.Integer(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("delisted_count", sa.BigInteger(), nullable=False),
        sa.Column("open_count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "source", "partition", "day", "outcome", "settings_id", name=op.f("pk_stream_rollup_daily")
        ),
        schema="warehouse",
        postgresql_with={"fillfactor": 70},
    )
    op.create_table(
        "coverage",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("partition", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["source"], ["ops.sources.source"], name=op.f("fk_coverage_source")),
        sa.PrimaryKeyConstraint("source", "partition", "starts_at", name=op.f("pk_coverage")),
        schema="ops",
    )
    op.create_table(
        "leases",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("fencing_token", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("backend_pid", sa.Integer(), nullable=True),
        sa.Column("backend_started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("renewal", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["source"], ["ops.sources.source"], name=op.f("fk_leases_source")),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_leases")),
        schema="ops",
    )
    op.create_table(
        "streams",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("partition", sa.Text(), nullable=False),
        sa.Column("sort_order", sa.Text(), nullable=False),
        sa.Column("page_size", sa.Integer(), nullable=True),
        sa.Column("remote_count", sa.BigInteger(), nullable=True),
        sa.Column("local_count", sa.BigInteger(), nullable=True),
        sa.Column("completeness", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("full_scan_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("remote_oldest_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("surplus_count", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["source"], ["ops.sources.source"], name=op.f("fk_streams_source")),
        sa.PrimaryKeyConstraint("source", "partition", name=op.f("pk_streams")),
        schema="ops",
    )
    op.create_table(
        "rate_limits",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("next_slot_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("blocked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("blocked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("requests_per_minute", sa.Integer(), nullable=True),
        sa.Column("adaptive_rate_per_minute", sa.Double(), nullable=True),
        sa.Column("adapted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("adapted_seq", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["source"], ["ops.sources.source"], name=op.f("fk_rate_limits_source")),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_rate_limits")),
        schema="ops",
    )
    op.create_table(
        "lookbacks",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("partition", sa.Text(), nullable=False),
        sa.Column("window_seconds", sa.Numeric(), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["source"], ["ops.sources.source"], name=op.f("fk_lookbacks_source")),
        sa.PrimaryKeyConstraint("source", "partition", "window_seconds", name=op.f("pk_lookbacks")),
        schema="ops",
    )
    op.create_table(
        "call_last_seen",
        sa.Column("call_key", sa.Uuid(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("seal", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["call_key"], ["warehouse.calls.call_key"], name=op.f("fk_call_last_seen_call_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("call_key", name=op.f("pk_call_last_seen")),
        schema="ops",
    )
    op.create_table(
        "transcript_requests",
        sa.Column("call_key", sa.Uuid(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["call_key"], ["warehouse.calls.call_key"], name=op.f("fk_transcript_requests_call_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("call_key", name=op.f("pk_transcript_requests")),
        schema="ops",
    )
    op.create_table(
        "daily_checks",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("missing_count", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["source"], ["ops.sources.source"], name=op.f("fk_daily_checks_source")),
        sa.PrimaryKeyConstraint("source", "day", name=op.f("pk_daily_checks")),
        schema="ops",
    )
    op.create_index(
        "ix_daily_checks_incomplete",
        "daily_checks",
        ["source", "day"],
        unique=False,
        schema="ops",
        postgresql_where=sa.text("status = 'incomplete'"),
    )
    op.create_table(
        "checkpoints",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("partition", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resume_point", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["source"], ["ops.sources.source"], name=op.f("fk_checkpoints_source")),
        sa.PrimaryKeyConstraint("source", "partition", "starts_at", "ends_at", name=op.f("pk_checkpoints")),
        schema="ops",
    )
    op.create_table(
        "changes",
        sa.Column("change_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("call_key", sa.Uuid(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("old_value", sa.Text(), nullable=True),
        sa.Column("new_value", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["call_key"], ["warehouse.calls.call_key"], name=op.f("fk_changes_call_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("change_id", name=op.f("pk_changes")),
        schema="warehouse",
    )
    op.create_index(
        op.f("ix_changes_changed_at"),
        "changes",
        ["changed_at"],
        unique=False,
        schema="warehouse",
        postgresql_using="brin",
    )
    op.create_index(op.f("ix_changes_call_key"), "changes", ["call_key"], unique=False, schema="warehouse")
    op.create_table(
        "transcripts",
        sa.Column("call_key", sa.Uuid(), nullable=False),
        sa.Column("speakers", sa.Text(), nullable=False),
        sa.Column("texts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("times", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("customer_name", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["call_key"], ["warehouse.calls.call_key"], name=op.f("fk_transcripts_call_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("call_key", name=op.f("pk_transcripts")),
        schema="warehouse",
    )
    op.create_index(
        "ix_transcripts_tsv",
        "transcripts",
        [sa.text("warehouse.transcript_tsv(texts, customer_name)")],
        unique=False,
        schema="warehouse",
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": 1024},
    )
    op.create_table(
        "payloads",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("call_keys", sa.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("records_zlib_msgpack", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_payloads")),
        schema="raw",
    )
