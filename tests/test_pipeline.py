"""Provider → warehouse: what a sync stores is correct, in every sort order and at every page boundary."""

from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import Engine

from etl import pipeline
from etl.model import Window
from etl.sandbox.world import ORDERS, World
from tests.harness import NOW, PROVIDERS, Harness, counts_add_up, differences, make_harness, requests_of


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", PROVIDERS)
def test_after_a_sync_every_column_of_every_call_is_true(db: Engine, name: str, order: str) -> None:
    harness = make_harness(db, World(3, calls=230, order=order, now=NOW))
    report = harness.sync(name)
    assert differences(harness, name) == []
    assert counts_add_up(harness)
    assert report.counts.inserted == len(harness.world.calls(name))
    assert report.counts.quarantined == 0
    assert freshness(harness, name) == ("count_match", max(call.created_at for call in harness.world.calls(name)))


def freshness(harness: Harness, name: str) -> tuple[str, object]:
    row = harness.rows("SELECT * FROM bi.freshness WHERE source = :source", source=name)[0]
    assert row["last_success_at"] is not None
    assert row["complete_since"] is not None
    return row["completeness"], row["newest_call_at"]


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 30])
@pytest.mark.parametrize("order", ["desc", "asc", "unsorted"])
@pytest.mark.parametrize("name", PROVIDERS)
def test_no_boundary_of_a_page_loses_a_call(db: Engine, name: str, order: str, count: int) -> None:
    phones = ("+918040000001",)
    harness = make_harness(
        db, World(4, calls=count, order=order, now=NOW, phones=phones), "G12:size=10,variant=clamped"
    )
    harness.sync(name)
    assert differences(harness, name) == []
    assert len(requests_of(harness, name)) <= -(-count // 10) + 3


@pytest.mark.parametrize("order", ["desc", "asc", "unsorted"])
@pytest.mark.parametrize("name", PROVIDERS)
def test_a_second_sync_with_nothing_new_writes_nothing(db: Engine, name: str, order: str) -> None:
    harness = make_harness(db, World(3, calls=230, order=order, now=NOW))
    harness.sync(name)
    before, requests, lists = (
        harness.tuple_counts(),
        len(requests_of(harness, name)),
        len(harness.sources[name].partitions) or 1,
    )
    report = harness.run(name, by_hand=False)
    assert before["warehouse.calls"] > 0
    assert harness.tuple_counts() == before
    assert report.counts.unchanged == report.counts.received
    if order == "desc":
        assert len(requests_of(harness, name)) - requests == lists


def test_a_backfill_requests_only_what_is_not_stored(db: Engine) -> None:
    harness = make_harness(db, World(3, calls=60, days=20, now=NOW))
    week = Window(NOW - timedelta(days=14), NOW - timedelta(days=7))
    assert harness.run("ringg", partial(pipeline.backfill, window=week), "backfill").status == "succeeded"
    inside = {call.call_id for call in harness.world.calls("ringg") if week.start <= call.created_at < week.end}
    assert inside <= harness.stored_ids("ringg")
    requests = len(requests_of(harness))
    harness.run("ringg", partial(pipeline.backfill, window=week), "backfill")
    assert len(requests_of(harness)) == requests
    harness.sync("ringg")
    assert differences(harness, "ringg") == []
    assert harness.scalar("SELECT count(*) FROM ops.coverage") == 1
