"""The warehouse as SQLAlchemy tables: what Alembic compares the database with, and what the loader writes to."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Sequence,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

SCHEMAS = ("raw", "warehouse", "ops", "bi")


def timestamptz() -> DateTime:
    """A point in time; sessions run in UTC."""
    return DateTime(timezone=True)


calls = Table(
    "calls",
    metadata,
    Column("call_key", Uuid, primary_key=True, comment="The call, the same for a (source, provider id) everywhere"),
    Column("source", Text, nullable=False, comment="The account that the call was read from, as configured"),
    Column("provider", Text, nullable=False, comment="The vendor whose API was read"),
    Column("provider_call_id", Text, nullable=False, comment="The provider's own id, as text"),
    Column("direction", Text, nullable=False, comment="inbound, outbound, web or unknown"),
    Column(
        "outcome",
        Text,
        nullable=False,
        comment="completed, no_answer, busy, failed, canceled, voicemail, in_progress or unknown",
    ),
    Column("provider_status", Text, comment="The status as the provider sent it"),
    Column("is_live", Boolean, comment="The status says that the call goes on; null: nobody knows the word"),
    Column("is_final", Boolean, comment="No more will come; null: the word is unknown, final after a day"),
    Column("is_answered", Boolean, nullable=False, comment="Somebody or something took the call"),
    Column("agent_id", Text, comment="The provider's id of the voice agent"),
    Column("agent_name", Text, comment="The name of the voice agent"),
    Column("campaign_name", Text, comment="The campaign that the call belongs to"),
    Column("from_number", Text, comment="Who called, E.164 where it is a number"),
    Column("to_number", Text, comment="Who was called, E.164 where it is a number"),
    Column("customer_number", Text, comment="The customer's number, whichever way the call went"),
    Column("agent_number", Text, comment="The agent's number, whichever way the call went"),
    Column("customer_name", Text, comment="The customer's name"),
    Column("customer_email", Text, comment="The customer's e-mail address"),
    Column("created_at", timestamptz(), nullable=False, comment="When the provider made the call's record"),
    Column("started_at", timestamptz(), comment="When dialling began"),
    Column("answered_at", timestamptz(), comment="When the call was picked up"),
    Column("ended_at", timestamptz(), comment="When the call ended"),
    Column("updated_at", timestamptz(), comment="When the provider last changed the record"),
    Column("duration_seconds", Numeric, comment="How long the call took, in seconds"),
    Column("talk_seconds", Numeric, comment="From picked up to ended, in seconds, where both are known"),
    Column("duration_basis", Text, comment="Where the duration comes from: provider, timestamps or estimate"),
    Column("cost", Numeric, comment="What the call cost in all, in cost_unit"),
    Column("cost_unit", Text, comment="The unit of cost: a currency, credits or unknown"),
    Column("costs", JSONB, comment="Cost components: {component: {amount, unit}}"),
    Column("answered_by", Text, nullable=False, comment="human, machine or unknown"),
    Column("ended_by", Text, nullable=False, comment="customer, agent, system or unknown"),
    Column("recording_url", Text, comment="Where the provider keeps the recording"),
    Column("summary", Text, comment="The provider's summary of the call"),
    Column("sentiment", Text, comment="The provider's judgement of the customer's mood"),
    Column("error_message", Text, comment="What went wrong, in the provider's words"),
    Column("latency_ms", Numeric, comment="The agent's latency, in milliseconds"),
    Column("analysis", JSONB(none_as_null=True), comment="The provider's evaluation of the call"),
    Column("metadata", JSONB(none_as_null=True), comment="What the customer's own systems attached to the call"),
    Column("extra", JSONB(none_as_null=True), comment="Fields that the provider sends and no column holds"),
    Column("turn_count", Integer, nullable=False, comment="How many turns the transcript has"),
    Column("has_transcript", Boolean, nullable=False, comment="Whether a transcript is held"),
    Column("quality_flags", ARRAY(Text), nullable=False, comment="What is odd in the record"),
    Column("first_seen_at", timestamptz(), nullable=False, comment="When the call was first loaded"),
    Column("changed_at", timestamptz(), nullable=False, comment="When a loaded value last changed"),
    Column("missing_since", timestamptz(), comment="Since when a certified whole reading no longer lists it"),
    Column("seen_seq", BigInteger, nullable=False, comment="The request that the row's newest record came with"),
    Column("record_seqs", ARRAY(BigInteger), nullable=False, comment="The rows of raw.payloads with versions of it"),
    Column("record_digest", LargeBinary, nullable=False, comment="Digest of the newest record's content"),
    Column("earlier_digests", ARRAY(LargeBinary), comment="Digests of the other contents that its record had"),
    Column("turns_digest", LargeBinary, comment="Digest of the transcript that is held"),
    CheckConstraint(
        "cost > '-Infinity'::numeric AND cost < 'Infinity'::numeric"
        " AND duration_seconds > '-Infinity'::numeric AND duration_seconds < 'Infinity'::numeric",
        name="numbers_are_numbers",
    ),
    CheckConstraint("created_at BETWEEN '1970-01-01 00:00Z' AND '2999-12-31 00:00Z'", name="created_at_plausible"),
    Index(None, "source", "provider_call_id", unique=True),
    Index(None, "source", "created_at"),
    Index(None, "created_at"),
    Index(None, "source", "customer_number", "created_at"),
    Index(None, "source", "agent_number", "created_at"),
    Index(
        "ix_calls_unfinished",
        "source",
        "created_at",
        postgresql_where=text("is_final IS NOT TRUE"),
    ),
    Index(
        "ix_calls_without_transcript",
        "source",
        "created_at",
        postgresql_include=["call_key", "provider_call_id", "is_final"],
        postgresql_where=text("is_final IS NOT FALSE AND answered_at IS NOT NULL AND NOT has_transcript"),
    ),
    schema="warehouse",
    comment="One row per call, the newest that is known of it",
)

transcripts = Table(
    "transcripts",
    metadata,
    Column(
        "call_key",
        ForeignKey("warehouse.calls.call_key", ondelete="CASCADE"),
        primary_key=True,
        comment="The call",
    ),
    Column(
        "turns",
        JSONB,
        nullable=False,
        comment="Its turns in their order, each [speaker, text, spoken_at, offset_seconds]",
    ),
    Index("ix_transcripts_words", text("warehouse.words(turns)"), postgresql_using="gin"),
    schema="warehouse",
    comment="One row per call whose transcript is held; bi.transcript_turns has a row per turn",
)

daily_calls = Table(
    "daily_calls",
    metadata,
    Column("day", Date, primary_key=True, comment="The day of created_at, UTC"),
    Column("source", Text, primary_key=True, comment="The account that the calls were read from"),
    Column(
        "names_digest",
        LargeBinary,
        primary_key=True,
        comment="Digest of the five words that follow: a key of any length, null or not",
    ),
    Column("agent_id", Text, comment="The provider's id of the voice agent"),
    Column("agent_name", Text, comment="The name of the voice agent"),
    Column("campaign_name", Text, comment="The campaign that the calls belong to"),
    Column("direction", Text, nullable=False, comment="inbound, outbound, web or unknown"),
    Column("cost_unit", Text, comment="The unit of cost"),
    Column("calls", BigInteger, nullable=False, comment="How many calls"),
    Column("answered", BigInteger, nullable=False, comment="How many of them somebody or something took"),
    Column("seconds", Numeric, nullable=False, comment="The sum of duration_seconds"),
    Column("cost", Numeric, nullable=False, comment="The sum of cost, in cost_unit"),
    Column("priced", BigInteger, nullable=False, comment="How many of them have a cost"),
    Column("first_call_at", timestamptz(), nullable=False, comment="created_at of the oldest"),
    Column("last_call_at", timestamptz(), nullable=False, comment="created_at of the newest"),
    schema="warehouse",
    comment="The calls of each day, added up by agent, campaign, direction and unit; kept by triggers",
    postgresql_with={"fillfactor": 70},  # room for a row's next version beside it: it is written again and again
)

daily_lists = Table(
    "daily_lists",
    metadata,
    Column("source", Text, primary_key=True, comment="The account that the calls were read from"),
    Column("phone", Text, primary_key=True, comment="The number that the list is of; empty: all calls of the source"),
    Column("day", Date, primary_key=True, comment="The day of created_at, UTC"),
    Column("outcome", Text, primary_key=True, comment="The outcome of the calls"),
    Column("calls", BigInteger, nullable=False, comment="How many calls"),
    Column("missing", BigInteger, nullable=False, comment="How many of them are listed no more"),
    Column("unfinished", BigInteger, nullable=False, comment="How many of them are not final"),
    schema="warehouse",
    comment="How many calls each list has of each day, by outcome; kept by triggers",
    postgresql_with={"fillfactor": 70},  # room for a row's next version beside it: it is written again and again
)

changes = Table(
    "changes",
    metadata,
    Column("change_id", BigInteger, Identity(), primary_key=True, comment="The change"),
    Column(
        "call_key",
        ForeignKey("warehouse.calls.call_key", ondelete="CASCADE"),
        nullable=False,
        index=True,
        comment="The call",
    ),
    Column("changed_at", timestamptz(), nullable=False, comment="When the change was loaded"),
    Column("run_id", BigInteger, comment="The run that loaded it"),
    Column("field", Text, nullable=False, comment="The column that changed"),
    Column("old_value", Text, comment="What it was"),
    Column("new_value", Text, comment="What it became"),
    schema="warehouse",
    comment="One row per changed field of a call",
)

payloads = Table(
    "payloads",
    metadata,
    Column(
        "seq",
        BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="The request that brought them: later ones are newer; below zero: they waited in quarantine",
    ),
    Column("source", Text, nullable=False, comment="The account that was read"),
    Column("kind", Text, nullable=False, comment="call: elements of a list; transcript: answer to a second request"),
    Column("received_at", timestamptz(), nullable=False, comment="When they were loaded"),
    Column("run_id", BigInteger, comment="The run that received them"),
    Column("call_keys", ARRAY(Uuid), nullable=False, comment="The call that each record is of"),
    Column("records", LargeBinary, nullable=False, comment="The bytes of each record: a MessagePack list, deflated"),
    schema="raw",
    comment="One row per answer that brought content not held before: those records of it, as received",
)

# ---------------------------------------------------------------- the pipeline's own books

observations = Sequence("observations", schema="ops", metadata=metadata)

sources = Table(
    "sources",
    metadata,
    Column("source", Text, primary_key=True, comment="The name in the configuration"),
    Column("provider", Text, nullable=False, comment="The vendor that the source was first read from"),
    Column("host", Text, nullable=False, comment="The host that the source was first read from"),
    Column("first_seen_at", timestamptz(), nullable=False, comment="When it was first configured"),
    Column("settled_after", Numeric, nullable=False, comment="Seconds after which the last sweep has left a call"),
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
    Column("source", ForeignKey("ops.sources.source"), primary_key=True, comment="The source"),
    Column("epoch", BigInteger, nullable=False, server_default=text("0"), comment="Counts holders; fences old ones"),
    Column("owner", Text, comment="Who holds it"),
    Column("backend", Integer, comment="The holder's database session"),
    Column("backend_started_at", timestamptz(), comment="When that session began"),
    Column("expires_at", timestamptz(), comment="When it may be taken over in any case"),
    schema="ops",
    comment="Who may write a source's data",
)

pace = Table(
    "pace",
    metadata,
    Column("source", ForeignKey("ops.sources.source"), primary_key=True, comment="The source"),
    Column("next_at", timestamptz(), comment="When a request would be sent if all were sent evenly"),
    Column("not_before", timestamptz(), comment="The provider's Retry-After: no request earlier"),
    Column("requests_per_minute", Integer, comment="The configured rate, as of the last run"),
    Column(
        "learned_rate", Double, comment="The lower rate that the provider's last refusal taught, before it recovers"
    ),
    Column("learned_at", timestamptz(), comment="When it was learned"),
    Column("learned_seq", BigInteger, comment="Its number among all requests: those sent before it teach nothing more"),
    schema="ops",
    comment="The budget of requests of each source, shared by every process",
)

lists = Table(
    "lists",
    metadata,
    Column("source", ForeignKey("ops.sources.source"), primary_key=True, comment="The source"),
    Column("phone", Text, primary_key=True, comment="The number that the list is of, empty where it is of none"),
    Column("list_order", Text, nullable=False, comment="newest, oldest, unsorted or unknown, found out from its pages"),
    Column("page_size", Integer, comment="The page size that the provider accepts, where it refused a larger one"),
    Column("listed", BigInteger, comment="How many calls the provider said it lists"),
    Column("held", BigInteger, comment="How many calls the warehouse held of it at that time"),
    Column("completeness", Text, nullable=False, comment="verified, agrees, gap or unknown"),
    Column("reason", Text, comment="Why the completeness is not better"),
    Column("checked_at", timestamptz(), comment="When the counts were compared"),
    Column("read_whole_at", timestamptz(), comment="When the whole list was last read"),
    Column("listed_from", timestamptz(), comment="The oldest call still listed: older ones left by retention"),
    schema="ops",
    comment="One row per list of a source",
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("source", ForeignKey("ops.sources.source"), primary_key=True, comment="The source"),
    Column("day", Date, primary_key=True, comment="The day, of the source's time zone"),
    Column("verdict", Text, nullable=False, comment="verified, agrees, gap or unknown"),
    Column("missing", BigInteger, nullable=False, comment="How many calls are listed and not held"),
    Column("reason", Text, comment="Why the verdict is not better, or what was found"),
    Column("checked_at", timestamptz(), nullable=False, comment="When it was last compared"),
    Column("run_id", BigInteger, comment="The run that compared it"),
    Index("ix_verdicts_gaps", "source", "day", postgresql_where=text("verdict = 'gap'")),
    schema="ops",
    comment="One row per day of a source that was compared with what the provider lists",
)

coverage = Table(
    "coverage",
    metadata,
    Column("source", ForeignKey("ops.sources.source"), primary_key=True, comment="The source"),
    Column("phone", Text, primary_key=True, comment="The number that the list is of, empty where it is of none"),
    Column("starts_at", timestamptz(), primary_key=True, comment="From this source time on"),
    Column("ends_at", timestamptz(), nullable=False, comment="Up to this source time"),
    schema="ops",
    comment="The intervals of source time that are held for certain",
)

walks = Table(
    "walks",
    metadata,
    Column("source", ForeignKey("ops.sources.source"), primary_key=True, comment="The source"),
    Column("phone", Text, primary_key=True, comment="The number that the list is of, empty where it is of none"),
    Column("starts_at", timestamptz(), primary_key=True, comment="The window's start"),
    Column("ends_at", timestamptz(), primary_key=True, comment="The window's end, fixed when the walk began"),
    Column("place", JSONB, nullable=False, comment="Where the walk goes on"),
    Column("updated_at", timestamptz(), nullable=False, comment="When the walk last came on"),
    schema="ops",
    comment="Walks through history that are not finished",
)

sweeps = Table(
    "sweeps",
    metadata,
    Column("source", ForeignKey("ops.sources.source"), primary_key=True, comment="The source"),
    Column("phone", Text, primary_key=True, comment="The number that the list is of, empty where it is of none"),
    Column("horizon_seconds", Numeric, primary_key=True, comment="How far back the sweep reads"),
    Column("swept_at", timestamptz(), nullable=False, comment="When it was last done"),
    schema="ops",
    comment="When each sweep of a list was last done",
)

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
    Column("backend", Integer, comment="Its database session, by which a dead run is recognised"),
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

drift = Table(
    "drift",
    metadata,
    Column("source", Text, primary_key=True, comment="The source"),
    Column("field", Text, primary_key=True, comment="The path in the record"),
    Column("kind", Text, primary_key=True, comment="new_field, unknown_word or type"),
    Column("detail", Text, primary_key=True, comment="The unknown word, or the type that came"),
    Column("seen", BigInteger, nullable=False, comment="In how many loaded records"),
    Column("first_seen_at", timestamptz(), nullable=False, comment="When it was first seen"),
    Column("last_seen_at", timestamptz(), nullable=False, comment="When it was last seen"),
    schema="ops",
    comment="What providers send and nobody expected",
)

sightings = Table(
    "sightings",
    metadata,
    Column(
        "call_key",
        ForeignKey("warehouse.calls.call_key", ondelete="CASCADE"),
        primary_key=True,
        comment="The call",
    ),
    Column("seen_at", timestamptz(), nullable=False, comment="When it last came again"),
    Column("run_id", BigInteger, comment="The run that it came with"),
    schema="ops",
    comment="When calls that were held already came again",
)

alerts = Table(
    "alerts",
    metadata,
    Column("alert_id", BigInteger, Identity(), primary_key=True, comment="The alert, from its beginning to its end"),
    Column("source", Text, nullable=False, comment="The source"),
    Column("kind", Text, nullable=False, comment="failing, stale, gap, credentials, quarantine, drift or silence"),
    Column("said", Text, nullable=False, comment="What is wrong, without any secret or person's data"),
    Column("began_at", timestamptz(), nullable=False, comment="When it was first found"),
    Column("ended_at", timestamptz(), comment="When it was found no more; null: it stands"),
    Column("told_at", timestamptz(), comment="When the webhook took it"),
    Column("end_told_at", timestamptz(), comment="When the webhook took that it is over"),
    Index("ix_alerts_standing", "source", "kind", unique=True, postgresql_where=text("ended_at IS NULL")),
    schema="ops",
    comment="What somebody should know of a source",
)

transcript_requests = Table(
    "transcript_requests",
    metadata,
    Column(
        "call_key",
        ForeignKey("warehouse.calls.call_key", ondelete="CASCADE"),
        primary_key=True,
        comment="The call",
    ),
    Column("asked_at", timestamptz(), nullable=False, comment="When its transcript was last asked for"),
    Column("attempts", Integer, nullable=False, comment="How often it was asked for"),
    Column("state", Text, nullable=False, comment="held, not_ready or failed"),
    Column("reason", Text, comment="Why it is not held"),
    schema="ops",
    comment="Transcripts that take a request of their own",
)
