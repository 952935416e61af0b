"""What is held, added up: kept by triggers, so that nobody has to read the calls for it."""

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    Identity,
    Integer,
    LargeBinary,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
)

from etl.db.tables.schema import metadata, timestamptz

call_dimensions = Table(
    "call_dimensions",
    metadata,
    Column("dimension_id", Integer, Identity(), primary_key=True, comment="The group"),
    Column("source", Text, nullable=False, comment="The account that the calls were read from"),
    Column(
        "dimension_hash",
        LargeBinary,
        nullable=False,
        comment="Digest of the five words that follow: a key of any length, null or not",
    ),
    Column("agent_id", Text, comment="The provider's id of the voice agent"),
    Column("agent_name", Text, comment="The name of the voice agent"),
    Column("campaign_name", Text, comment="The campaign that the calls belong to"),
    Column("direction", Text, nullable=False, comment="inbound, outbound, web or unknown"),
    Column("cost_unit", Text, comment="The unit of cost"),
    UniqueConstraint("source", "dimension_hash"),
    schema="warehouse",
    comment="What calls are added up by: agent, campaign, direction and unit",
)

call_rollup_daily = Table(
    "call_rollup_daily",
    metadata,
    Column("day", Date, primary_key=True, comment="The day of created_at, UTC"),
    Column(
        "dimension_id",
        Integer,
        primary_key=True,
        autoincrement=False,
        comment="Which agent, campaign, direction and unit",
    ),
    Column("calls", Integer, nullable=False, comment="How many calls"),
    Column("answered", Integer, nullable=False, comment="How many of them somebody or something took"),
    Column("calls_with_cost", Integer, nullable=False, comment="How many of them have a cost"),
    Column("duration_seconds", Numeric, nullable=False, comment="The sum of duration_seconds"),
    Column("cost", Numeric, nullable=False, comment="The sum of cost, in cost_unit"),
    Column("first_call_at", timestamptz(), nullable=False, comment="created_at of the oldest"),
    Column("last_call_at", timestamptz(), nullable=False, comment="created_at of the newest"),
    schema="warehouse",
    comment="The calls of each day and group, added up; kept by triggers",
    postgresql_with={"fillfactor": 70},  # room for a row's next version beside it: it is written again and again
)

stream_rollup_daily = Table(
    "stream_rollup_daily",
    metadata,
    Column("source", Text, primary_key=True, comment="The account that the calls were read from"),
    Column(
        "partition", Text, primary_key=True, comment="The number that the list is of; empty: all calls of the source"
    ),
    Column("day", Date, primary_key=True, comment="The day of created_at, UTC"),
    Column("outcome", Text, primary_key=True, comment="The outcome of the calls"),
    Column("calls", BigInteger, nullable=False, comment="How many calls"),
    Column("delisted_count", BigInteger, nullable=False, comment="How many of them are listed no more"),
    Column("open_count", BigInteger, nullable=False, comment="How many of them are not final"),
    schema="warehouse",
    comment="How many calls each list has of each day, by outcome; kept by triggers",
    postgresql_with={"fillfactor": 70},  # room for a row's next version beside it: it is written again and again
)
