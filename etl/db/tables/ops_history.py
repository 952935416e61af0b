"""The pipeline's own books of what happened: runs, requests, and what was odd on the way."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Sequence,
    Table,
    Text,
    text,
)

from etl.db.tables.schema import call_key, metadata, timestamptz

request_seq = Sequence("request_seq", schema="ops", metadata=metadata)

runs = Table(
    "runs",
    metadata,
    Column("run_id", BigInteger, Identity(), primary_key=True, comment="The run"),
    Column("source", Text, nullable=False, comment="The source"),
    Column("kind", Text, nullable=False, comment="sync, backfill, verify or replay"),
    Column("status", Text, nullable=False, comment="running, succeeded, failed or interrupted"),
    Column("started_at", timestamptz(), nullable=False, comment="When it began"),
    Column("finished_at", timestamptz(), comment="When it ended"),
    Column("requests", BigInteger, nullable=False, server_default=text("0"), comment="HTTP requests sent"),
    Column("pages", BigInteger, nullable=False, server_default=text("0"), comment="Pages of lists read"),
    Column("received", BigInteger, nullable=False, server_default=text("0"), comment="Records of committed batches"),
    Column("inserted", BigInteger, nullable=False, server_default=text("0"), comment="Records that became new calls"),
    Column("updated", BigInteger, nullable=False, server_default=text("0"), comment="Records that changed a call"),
    Column("unchanged", BigInteger, nullable=False, server_default=text("0"), comment="Records that changed nothing"),
    Column("quarantined", BigInteger, nullable=False, server_default=text("0"), comment="Records that became no row"),
    Column("owner", Text, nullable=False, comment="The process that runs it"),
    Column("backend_pid", Integer, comment="Its database session, by which a dead run is recognised"),
    Column("backend_started_at", timestamptz(), comment="When that session began"),
    Column("error", Text, comment="What went wrong, without any secret or person's data"),
    Column("notes", ARRAY(Text), nullable=False, server_default=text("'{}'"), comment="What was noticed on the way"),
    CheckConstraint("received = inserted + updated + unchanged + quarantined", name="adds_up"),
    Index(None, "source", "started_at"),
    Index(
        "ix_runs_succeeded",
        "source",
        "finished_at",
        postgresql_where=text("status = 'succeeded' AND kind IN ('sync', 'backfill')"),
    ),
    schema="ops",
    comment="One row per run of a source",
)

call_last_seen = Table(
    "call_last_seen",
    metadata,
    call_key(),
    Column("seen_at", timestamptz(), nullable=False, comment="When it last came again"),
    Column("run_id", BigInteger, comment="The run that it came with"),
    schema="ops",
    comment="When calls that were held already came again",
)

transcript_requests = Table(
    "transcript_requests",
    metadata,
    call_key(),
    Column("asked_at", timestamptz(), nullable=False, comment="When its transcript was last asked for"),
    Column("attempts", Integer, nullable=False, comment="How often it was asked for"),
    Column("state", Text, nullable=False, comment="stored, not_ready or failed"),
    Column("reason", Text, comment="Why it is not held"),
    schema="ops",
    comment="Transcripts that take a request of their own",
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("quarantine_id", BigInteger, Identity(), primary_key=True, comment="The bad record"),
    Column("source", Text, nullable=False, comment="The source"),
    Column("provider_call_id", Text, comment="The provider's id, where one could be read"),
    Column("digest", LargeBinary, nullable=False, comment="Digest of the payload"),
    Column("reason", Text, nullable=False, comment="Why it could not become a row"),
    Column("payload", LargeBinary, nullable=False, comment="The exact bytes as received"),
    Column("first_seen_at", timestamptz(), nullable=False, comment="When it was first received"),
    Column("last_seen_at", timestamptz(), nullable=False, comment="When it was last received"),
    Column("resolved_at", timestamptz(), comment="When the record became a row after all"),
    Column("run_id", BigInteger, comment="The run that received it first"),
    Index(None, "source", "digest", unique=True),
    Index("ix_quarantine_open", "source", "provider_call_id", postgresql_where=text("resolved_at IS NULL")),
    schema="ops",
    comment="One row per record that could not become a row",
)

schema_drift = Table(
    "schema_drift",
    metadata,
    Column("source", Text, primary_key=True, comment="The source"),
    Column("field", Text, primary_key=True, comment="The path in the record"),
    Column("kind", Text, primary_key=True, comment="new_field, unknown_word or type"),
    Column("detail", Text, primary_key=True, comment="The unknown word, or the type that came"),
    Column("record_count", BigInteger, nullable=False, comment="In how many loaded records"),
    Column("first_seen_at", timestamptz(), nullable=False, comment="When it was first seen"),
    Column("last_seen_at", timestamptz(), nullable=False, comment="When it was last seen"),
    schema="ops",
    comment="What providers send and nobody expected",
)

alerts = Table(
    "alerts",
    metadata,
    Column("alert_id", BigInteger, Identity(), primary_key=True, comment="The alert, from its beginning to its end"),
    Column("source", Text, nullable=False, comment="The source"),
    Column("kind", Text, nullable=False, comment="failing, stale, gap, credentials, quarantine, drift or silence"),
    Column("message", Text, nullable=False, comment="What is wrong, without any secret or person's data"),
    Column("opened_at", timestamptz(), nullable=False, comment="When it was first found"),
    Column("resolved_at", timestamptz(), comment="When it was found no more; null: it stands"),
    Column("notified_at", timestamptz(), comment="When the webhook took it"),
    Column("resolution_notified_at", timestamptz(), comment="When the webhook took that it is over"),
    Index("ix_alerts_open", "source", "kind", unique=True, postgresql_where=text("resolved_at IS NULL")),
    schema="ops",
    comment="What somebody should know of a source",
)
