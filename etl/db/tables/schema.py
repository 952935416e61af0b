"""What all tables share: the schemas that they stand in, the names of their constraints, and the type of a time."""

from typing import Any

from sqlalchemy import Column, DateTime, ForeignKey, MetaData, Text

SCHEMAS = {
    "raw": "Records as the providers sent them",
    "warehouse": "Tables behind the views of bi",
    "ops": "State and history of the pipeline: sources, runs, coverage, quarantine, alerts",
    "bi": "Views for reporting: their names and columns stay as they are",
}

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def timestamptz() -> DateTime:
    """A point in time; sessions run in UTC."""
    return DateTime(timezone=True)


def source_key() -> Column[Any]:
    """The source that a row of the books is of."""
    return Column("source", ForeignKey("ops.sources.source"), primary_key=True, comment="The source")


def stream_key() -> tuple[Column[Any], Column[Any]]:
    """The list of a source that a row of the books is of."""
    said = "The number that the list is of, empty where it is of none"
    return source_key(), Column("partition", Text, primary_key=True, comment=said)


def call_key() -> Column[Any]:
    """The call that a row tells more of, and goes with."""
    whole = ForeignKey("warehouse.calls.call_key", ondelete="CASCADE")
    return Column("call_key", whole, primary_key=True, comment="The call")
