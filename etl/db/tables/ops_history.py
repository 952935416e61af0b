"""The history of the pipeline: runs, requests, rejected records, schema drift and alerts."""

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
    Column("run_id", BigInteger, Identity(), primary_key=True),
    Column("source", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("started_at", timestamptz(), nullable=False),
    Column("finished_at", timestamptz()),
    Column("requests", BigInteger, nullable=False, server_default=text("0")),
    Column("pages", BigInteger, nullable=False, server_default=text("0")),
    Column("received", BigInteger, nullable=False, server_default=text("0")),
    Column("inserted", BigInteger, nullable=False, server_default=text("0")),
    Column("updated", BigInteger, nullable=False, server_default=text("0")),
    Column("unchanged", BigInteger, nullable=False, server_default=text("0")),
    Column("quarantined", BigInteger, nullable=False, server_default=text("0")),
    Column("owner", Text, nullable=False),
    Column("backend_pid", Integer),
    Column("backend_started_at", timestamptz()),
    Column("error", Text),
    Column("notes", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    CheckConstraint("received = inserted + updated + unchanged + quarantined", name="adds_up"),
    Index(None, "source", "started_at"),
    Index(
        "ix_runs_succeeded",
        "source",
        "finished_at",
        postgresql_where=text("status = 'succeeded' AND kind IN ('sync', 'backfill')"),
    ),
    schema="ops",
)

call_last_seen = Table(
    "call_last_seen",
    metadata,
    call_key(),
    Column("seen_at", timestamptz(), nullable=False),
    Column("run_id", BigInteger),
    schema="ops",
)

transcript_requests = Table(
    "transcript_requests",
    metadata,
    call_key(),
    Column("asked_at", timestamptz(), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    schema="ops",
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("quarantine_id", BigInteger, Identity(), primary_key=True),
    Column("source", Text, nullable=False),
    Column("provider_call_id", Text),
    Column("digest", LargeBinary, nullable=False),
    Column("reason", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("first_seen_at", timestamptz(), nullable=False),
    Column("last_seen_at", timestamptz(), nullable=False),
    Column("resolved_at", timestamptz()),
    Column("dismissed_at", timestamptz()),
    Column("run_id", BigInteger),
    Index(None, "source", "digest", unique=True),
    Index("ix_quarantine_open", "source", "provider_call_id", postgresql_where=text("resolved_at IS NULL")),
    schema="ops",
)

schema_drift = Table(
    "schema_drift",
    metadata,
    Column("source", Text, primary_key=True),
    Column("field", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("detail", Text, primary_key=True),
    Column("record_count", BigInteger, nullable=False),
    Column("first_seen_at", timestamptz(), nullable=False),
    Column("last_seen_at", timestamptz(), nullable=False),
    schema="ops",
)

alerts = Table(
    "alerts",
    metadata,
    Column("alert_id", BigInteger, Identity(), primary_key=True),
    Column("source", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("opened_at", timestamptz(), nullable=False),
    Column("resolved_at", timestamptz()),
    Column("notified_at", timestamptz()),
    Column("resolution_notified_at", timestamptz()),
    Index("ix_alerts_open", "source", "kind", unique=True, postgresql_where=text("resolved_at IS NULL")),
    schema="ops",
)
