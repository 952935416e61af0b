"""What all tables share: the schemas that they stand in, the names of their constraints, and the type of a time."""

from sqlalchemy import DateTime, MetaData

SCHEMAS = ("raw", "warehouse", "ops", "bi")

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
