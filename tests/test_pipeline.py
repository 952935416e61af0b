"""Provider → warehouse: what a sync stores is correct, in every sort order and at every page boundary."""

from collections.abc import Collection
from datetime import timedelta
from functools import partial

import httpx
import pytest
from sqlalchemy import Engine

from etl import pipeline
from etl.model import Window
from etl.sandbox.world import ORDERS, World
from tests.harness import (
    NOW,
    PROVIDERS,
    Harness,
    InterceptingTransport,
    counts_add_up,
    differences,
    make_harness,
    requests_of,
)


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


def refused_to(harness: Harness, phones: Collection[str], response: httpx.Response) -> InterceptingTransport:
    """A transport that answers the list requests of some numbers with this response."""
    return InterceptingTransport(
        harness.transport, lambda _, request: response if request.url.params.get("phone") in phones else None
    )


@pytest.mark.parametrize("status", [401, 402, 403, 404])
@pytest.mark.parametrize("position", [0, 1, -1])
def test_a_partition_that_is_refused_stops_no_other(db: Engine, position: int, status: int) -> None:
    harness = make_harness(db, World(3, calls=230, now=NOW))
    phones = harness.sources["ravan"].partitions
    assert len(phones) > 2
    harness.transport = refused_to(harness, [phones[position]], httpx.Response(status, json={"detail": "no"}))
    report = harness.run("ravan", by_hand=False)
    assert (report.status, f"(HTTP {status})" in str(report.error)) == ("failed", True)
    read = "SELECT count(DISTINCT partition) FROM ops.coverage WHERE source = 'ravan'"
    assert harness.scalar(read) == len(phones) - 1
    assert harness.scalar("SELECT paused_until IS NULL FROM ops.sources WHERE source = 'ravan'")


@pytest.mark.parametrize("name", ["ravan", "ringg"])
def test_a_source_whose_every_list_is_refused_is_paused(db: Engine, name: str) -> None:
    harness = make_harness(db, World(3, calls=230, now=NOW))
    allowed, harness.transport = (
        harness.transport,
        InterceptingTransport(harness.transport, lambda *_: httpx.Response(401, json={"detail": "no"})),
    )
    report = harness.run(name, by_hand=False)
    assert (report.status, "refuses the key (HTTP 401)" in str(report.error)) == ("failed", True)
    assert harness.scalar("SELECT paused_until FROM ops.sources WHERE source = :name", name=name) > harness.clock.now()
    harness.transport = allowed
    assert "paused until" in str(harness.run(name, by_hand=False).error)
    assert harness.sync(name).status == "succeeded"  # by hand, which is the probe
