"""The history of the pipeline: runs, requests, rejected records, schema drift and alerts."""

import sqlalchemy as sa

from etl.db.tables.schema import call_key, metadata, timestamptz

request_seq = sa.Sequence("request_seq", schema="ops", metadata=metadata)

COUNTS = ("requests", "pages", "received", "inserted", "updated", "unchanged", "quarantined")
SUCCEEDED = sa.text("status = 'succeeded' AND kind IN ('sync', 'backfill')")

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run_id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("started_at", timestamptz(), nullable=False),
    sa.Column("finished_at", timestamptz()),
    *(sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0")) for name in COUNTS),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("backend_pid", sa.Integer),
    sa.Column("backend_started_at", timestamptz()),
    sa.Column("error", sa.Text),
    sa.Column("notes", sa.ARRAY(sa.Text), nullable=False, server_default=sa.text("'{}'")),
    sa.Column("settings_id", sa.Integer),
    sa.CheckConstraint("received = inserted + updated + unchanged + quarantined", name="adds_up"),
    sa.Index(None, "source", "started_at"),
    sa.Index(None, "source", "run_id"),
    sa.Index("ix_runs_succeeded", "source", "finished_at", postgresql_where=SUCCEEDED),
    schema="ops",
)

call_last_seen = sa.Table(
    "call_last_seen",
    metadata,
    call_key(),
    sa.Column("seen_at", timestamptz(), nullable=False),
    sa.Column("run_id", sa.BigInteger),
    sa.Column("seal", sa.BigInteger),
    schema="ops",
)

transcript_requests = sa.Table(
    "transcript_requests",
    metadata,
    call_key(),
    sa.Column("asked_at", timestamptz(), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    schema="ops",
)

quarantine = sa.Table(
    "quarantine",
    metadata,
    sa.Column("quarantine_id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("provider_call_id", sa.Text),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.Column("first_seen_at", timestamptz(), nullable=False),
    sa.Column("last_seen_at", timestamptz(), nullable=False),
    sa.Column("resolved_at", timestamptz()),
    sa.Column("dismissed_at", timestamptz()),
    sa.Column("run_id", sa.BigInteger),
    sa.Index(None, "source", "digest", unique=True),
    sa.Index("ix_quarantine_open", "source", "provider_call_id", postgresql_where=sa.text("resolved_at IS NULL")),
    schema="ops",
)

schema_drift = sa.Table(
    "schema_drift",
    metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("field", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("detail", sa.Text, primary_key=True),
    sa.Column("record_count", sa.BigInteger, nullable=False),
    sa.Column("first_seen_at", timestamptz(), nullable=False),
    sa.Column("last_seen_at", timestamptz(), nullable=False),
    schema="ops",
)

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("alert_id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("opened_at", timestamptz(), nullable=False),
    sa.Column("resolved_at", timestamptz()),
    sa.Column("notified_at", timestamptz()),
    sa.Column("resolution_notified_at", timestamptz()),
    sa.Column("claimed_at", timestamptz()),
    sa.Index("ix_alerts_open", "source", "kind", unique=True, postgresql_where=sa.text("resolved_at IS NULL")),
    schema="ops",
)
