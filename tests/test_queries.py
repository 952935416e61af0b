"""How PostgreSQL goes about what the hot path asks of it: by keys, and without work that nobody asked for."""

from uuid import UUID

from sqlalchemy import Engine, text

from etl.db.engine import uuid_array
from etl.sandbox.world import World
from etl.state.session import StateSession
from etl.sync.load import STORED
from tests.harness import make_harness


def test_a_page_of_calls_is_looked_for_by_key_in_a_table_that_was_empty_when_its_plan_was_made(db: Engine) -> None:
    page = uuid_array(UUID(int=number) for number in range(200))
    with StateSession(db) as desk:
        plan = desk.fetch_all(text(f"EXPLAIN {STORED.text}"), {"keys": page})
    said = "\n".join(line[0] for line in plan)
    assert "pk_calls" in said
    assert "Seq Scan" not in said


def test_statistics_read_no_transcript(db: Engine) -> None:
    make_harness(db, World(3, calls=30)).sync("ringg")
    with db.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE warehouse.calls, warehouse.transcripts"))
        known = text("SELECT tablename, attname FROM pg_stats WHERE schemaname = 'warehouse'")
        columns = {f"{row.tablename}.{row.attname}" for row in connection.execute(known)}
    assert {"calls.customer_number", "transcripts.call_key"} <= columns
    assert not columns & {"transcripts.texts", "ix_transcripts_tsv.transcript_tsv", "calls.extra", "calls.content_hash"}
