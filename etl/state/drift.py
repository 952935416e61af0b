"""Fields, words and types that records had and nobody expected, counted per source."""

from collections import Counter
from collections.abc import Iterable

from sqlalchemy import Connection

from etl.db.statements import Statements, fetch_all
from etl.loader.batch import WriteContext
from etl.model import Drift

SQL = Statements("schema_drift")
MOST = 1000  # of a source: a provider may name its fields by numbers or people


def record(connection: Connection, writing: WriteContext, drifts: Iterable[Drift]) -> tuple[list[Drift], int]:
    """Count the drift of a batch → what of it was never seen before, and how many more are too many to be listed."""
    counts = sorted(Counter(drifts).items())
    if not counts:
        return [], 0
    fields, kinds, details = zip(*(drift for drift, _ in counts), strict=True)
    columns = {"fields": list(fields), "kinds": list(kinds), "details": list(details)}
    values = {"source": writing.source, "now": writing.now, "most": MOST, "counts": [count for _, count in counts]}
    rows = fetch_all(connection, SQL.record_drift, columns | values)
    return [Drift(row.field, row.kind, row.detail) for row in rows if row.is_new], len(counts) - len(rows)
