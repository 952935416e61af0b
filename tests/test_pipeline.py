"""From the provider to the warehouse: what a sync leaves there is true, in every order, at every boundary of a page."""

import pytest
from sqlalchemy import Engine

from etl.sandbox.world import ORDERS, World
from tests.worlds import NOW, PROVIDERS, House, adds_up, asked, differences, house


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", PROVIDERS)
def test_after_a_sync_every_column_of_every_call_is_true(db: Engine, name: str, order: str) -> None:
    place = house(db, World(3, calls=230, order=order, now=NOW))
    report = place.sync(name)
    assert differences(place, name) == []
    assert adds_up(place)
    assert report.counts.inserted == len(place.world.calls(name))
    assert report.counts.quarantined == 0
    assert freshness(place, name) == ("count_match", max(call.created_at for call in place.world.calls(name)))


def freshness(place: House, name: str) -> tuple[str, object]:
    row = place.rows("SELECT * FROM bi.freshness WHERE source = :source", source=name)[0]
    assert row["last_success_at"] is not None
    assert row["complete_since"] is not None
    return row["completeness"], row["newest_call_at"]


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 30])
@pytest.mark.parametrize("order", ["desc", "asc", "unsorted"])
@pytest.mark.parametrize("name", PROVIDERS)
def test_no_boundary_of_a_page_loses_a_call(db: Engine, name: str, order: str, count: int) -> None:
    phones = ("+918040000001",)
    place = house(db, World(4, calls=count, order=order, now=NOW, phones=phones), "G12:size=10,variant=clamped")
    place.sync(name)
    assert differences(place, name) == []
    assert len(asked(place, name)) <= -(-count // 10) + 3


@pytest.mark.parametrize("order", ["desc", "asc", "unsorted"])
@pytest.mark.parametrize("name", PROVIDERS)
def test_a_second_sync_with_nothing_new_writes_nothing(db: Engine, name: str, order: str) -> None:
    place = house(db, World(3, calls=230, order=order, now=NOW))
    place.sync(name)
    before, requests, lists = place.written(), len(asked(place, name)), len(place.sources[name].partitions) or 1
    report = place.run(name, by_hand=False)
    assert before["warehouse.calls"] > 0
    assert place.written() == before
    assert report.counts.unchanged == report.counts.received
    if order == "desc":
        assert len(asked(place, name)) - requests == lists
