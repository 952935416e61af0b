"""Every fault of the sandbox, on every provider that can have it: no call is lost, and no key is stored."""

import logging
import re

import httpx
import pytest
from sqlalchemy import Engine

from etl.reconcile import VerifyRequest, verify
from etl.sandbox.catalogue import CATALOGUE
from etl.sandbox.in_process import SandboxTransport
from etl.sandbox.vendor import Quirks
from etl.sandbox.world import World
from etl.state.daily_checks import DayStatus
from tests.fakes import FakeClock
from tests.harness import (
    KEYS,
    NOW,
    PROVIDERS,
    Harness,
    InterceptingTransport,
    counts_add_up,
    differences,
    hours,
    make_harness,
    requests_of,
)

PAGE = "G12:size=10"  # several pages of a small list
DAY = hours(25).total_seconds()

# The error of a run under the fault; under all others it succeeds. A short list may not reach the fault.
FAILS = {
    "H05": "asked us to wait",
    "H09": "refuses the key",
    "H10": "balance|may not read",
    "H11": "does not accept this request",
    "H12": "nothing at this address",
    "H13": "does not accept query.page",
    "H26": "redirects to",
    "G10": "page at position|pages up to position",
}
# An invalid byte stays as it is in a transcript, which is requested once.
LEFT = {("H24", "vaani"): {"turns"}}
LISTED = [f"{each}:variant={variant}" for each in CATALOGUE if each[0] == "G" for variant in CATALOGUE[each].variants]
INFRASTRUCTURE = [each for each in CATALOGUE if each[0] == "H" and each != "H08"] + LISTED
VALUES = [each for each in CATALOGUE if each[0] == "V"]


def make_faulty_harness(db: Engine, fault: str) -> Harness:
    world = World(8, calls={"ringg": 43, "autocalls": 43, "vaani": 43, "ravan": 110}, days=5, now=NOW)
    clamped = [] if fault.startswith(("G12", "G20")) else [PAGE]
    return make_harness(db, world, *clamped, fault)


def heal(harness: Harness) -> None:
    """End the fault and go on to the next day."""
    harness.transport = SandboxTransport(harness.world)
    harness.clock.sleep(DAY)


def shown_keys(harness: Harness) -> list[str]:
    """The tables in which any column shows a key of a source, as text or as bytes."""
    listed = harness.rows(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
        " WHERE schemaname IN ('raw', 'warehouse', 'ops')"
    )
    tables = [row["name"] for row in listed]
    assert len(tables) > 10
    patterns = [f"%{shown}%" for key in KEYS for shown in (key, key.encode().hex())]
    found = " UNION ALL ".join(
        f"SELECT '{name}' AS name WHERE EXISTS (SELECT FROM {name} t WHERE t::text LIKE ANY (:patterns))"
        for name in tables
    )
    return [row["name"] for row in harness.rows(found, patterns=patterns)]


@pytest.mark.parametrize("fault", INFRASTRUCTURE)
def test_what_happens_on_the_way_costs_no_call(db: Engine, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    harness, fault_id = make_faulty_harness(db, fault), fault[:3]
    errors = [str(harness.run(name).error) for name in CATALOGUE[fault_id].providers]
    if fault_id in FAILS:
        assert all(re.search(FAILS[fault_id], error) for error in errors), errors
    else:
        assert set(errors) == {"None"}
    assert harness.scalar("SELECT count(*) FROM ops.quarantine") == 0
    assert shown_keys(harness) == []
    assert not any(key in caplog.text or key in str(errors) for key in KEYS)
    heal(harness)
    for name in CATALOGUE[fault_id].providers:
        harness.sync(name)
        # what the provider deleted stays stored
        found = differences(harness, name, besides=LEFT.get((fault_id, name), ()))
        assert [each for each in found if "not at the provider" not in each or fault_id not in ("G03", "G06")] == []
    assert counts_add_up(harness)


@pytest.mark.parametrize("fault", VALUES)
def test_a_hostile_value_costs_no_neighbour(db: Engine, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    harness = make_faulty_harness(db, f"{fault}:size=100000" if fault == "V07" else fault)
    for name in PROVIDERS:
        report = harness.sync(name)
        found = differences(harness, name)
        spoilt = {call.call_id for call in harness.world.calls(name) if call.shape("spoilt", 10) == 0}
        assert spoilt
        assert [each for each in found if not concerns(each, spoilt) and "not at the provider" not in each] == []
        lost = sum("not stored" in each for each in found) - sum("not at the provider" in each for each in found)
        assert lost <= report.counts.quarantined + report.counts.unchanged
    assert shown_keys(harness) == []
    assert not any(key in caplog.text for key in KEYS)
    assert counts_add_up(harness)
    heal(harness)
    for name in PROVIDERS:
        harness.sync(name)
        assert [each for each in differences(harness, name) if not is_richer(each, fault)] == []


def concerns(difference: str, call_ids: set[str]) -> bool:
    """Whether a line of differences is about one of these calls."""
    return any(difference.startswith((f"{call_id}:", f"{call_id}.")) for call_id in call_ids)


def is_richer(difference: str, fault: str) -> bool:
    """Whether more is stored than the provider shows by now: null never overwrites a value, and a received id stays."""
    return difference.endswith(("None is expected", "[] is expected", "True is stored, False is expected")) or (
        fault == "V02" and difference.endswith("not at the provider")
    )


@pytest.mark.parametrize("order", ["desc", "asc", "unsorted"])
@pytest.mark.parametrize("name", ["ringg", "ravan", "autocalls", "vaani"])
def test_a_call_that_can_never_be_had_fails_the_run_and_keeps_no_other_from_loading(
    db: Engine, name: str, order: str
) -> None:
    world = World(8, calls={name: 110 if name == "ravan" else 43}, days=5, order=order, now=NOW)
    harness = make_harness(db, world, PAGE, "H08:at=25")
    for _ in range(2):
        report = harness.run(name)
        assert report.status == "failed"
        assert report.error is not None
        assert "one call of a page cannot be read" in report.error
        assert "HTTP 500" in report.error
    hidden = [call for call in world.calls(name) if call.call_id not in harness.stored_ids(name)]
    assert len(hidden) <= (len(world.phones) if name == "ravan" else 1)
    coverage = harness.rows("SELECT partition, starts_at, ends_at FROM ops.coverage")
    for call in hidden:
        of_its_lists = [row for row in coverage if row["partition"] in ("", call.caller, call.callee)]
        assert not any(row["starts_at"] <= call.created_at < row["ends_at"] for row in of_its_lists)
    heal(harness)
    harness.sync(name)
    assert differences(harness, name) == []


def test_one_list_that_is_refused_keeps_no_other_from_loading(db: Engine) -> None:
    harness = make_harness(db, World(8, calls=43, days=5, now=NOW), "H11")
    report = harness.run("ravan")
    assert report.error is not None
    assert "HTTP 400" in report.error
    *others, _ = harness.sources["ravan"].partitions
    listed = {call.call_id for call in harness.world.calls("ravan") if {call.caller, call.callee} & set(others)}
    assert harness.stored_ids("ravan") == listed
    assert {row["partition"] for row in harness.rows("SELECT partition FROM ops.coverage")} == set(others)


ORDERS = ("desc", "asc", "unsorted")


@pytest.mark.parametrize(
    ("calls", "more"), [(40, ()), (40, ("G07:variant=absent",)), (43, ()), (0, ()), (40, ("G11",))]
)
@pytest.mark.parametrize(("name", "order", "status"), [
    *((name, order, 404) for name in PROVIDERS for order in ORDERS), ("ringg", "desc", 400), ("vaani", "asc", 422),
    ("autocalls", "unsorted", 410), ("ravan", "desc", 416),
])  # fmt: skip
def test_a_refused_page_behind_the_end_of_a_list_is_its_end(
    db: Engine, name: str, order: str, status: int, calls: int, more: tuple[str, ...]
) -> None:
    world = World(8, calls={name: calls}, days=5, order=order, now=NOW, phones=["+918037565218"])
    harness = make_harness(db, world, PAGE, f"G13:variant=end,status={status}", *more)
    for _ in range(2):
        harness.sync(name)
    assert differences(harness, name) == []
    # without a total only a second reading shows whether a deletion hid a row, unless the newest come first
    is_read_twice = "G07:variant=absent" in more and order != "desc"
    assert len(requests_of(harness, name)) <= 2 * (5 + 5) + (5 + 1) * is_read_twice
    report = harness.run(name, lambda run: verify(run, VerifyRequest(heal=True)), "verify")
    assert (report.error, report.counts.received) == (None, 0)


@pytest.mark.parametrize(("calls", "largest", "order", "status"), [
    (100, 50, "asc", 422), (75, 25, "desc", 404), (40, 20, "unsorted", 404), (5, 5, "desc", 400), (3, 1, "asc", 404),
])  # fmt: skip
@pytest.mark.parametrize("name", PROVIDERS)
def test_a_refused_part_of_a_page_that_is_split_is_the_end_where_it_lies_behind_it(
    db: Engine, name: str, calls: int, largest: int, order: str, status: int
) -> None:
    def fail_larger(number: int, request: httpx.Request) -> httpx.Response | None:
        sizes = (request.url.params.get(each) for each in ("limit", "page_size", "per_page"))
        return httpx.Response(500) if int(next(filter(None, sizes), 0)) > largest else None

    world = World(8, calls={name: calls}, days=5, order=order, now=NOW, phones=["+918037565218"])
    harness = make_harness(db, world, f"G13:variant=end,status={status}")
    harness.transport = InterceptingTransport(harness.transport, fail_larger)
    harness.sync(name)
    assert differences(harness, name) == []


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("name", "minutes"), [("ringg", 840), ("ringg", 330), ("ringg", -720), ("autocalls", 840)])
def test_local_times_that_are_shown_and_filtered_as_utc_keep_no_new_call_from_being_read(
    db: Engine, name: str, minutes: int, order: str
) -> None:
    clock = FakeClock(NOW)
    world = World(8, calls={name: 90}, days=5, order=order, clock=clock.now)
    harness = make_harness(db, world, PAGE, f"G14:variant=local,minutes={minutes}", clock=clock)
    harness.run(name, by_hand=False)
    for hour in range(1, 31, 6):
        assert harness.stored_ids(name) == {call.call_id for call in world.calls(name)}
        clock.sleep(6 * 3600)
        world.add(name)
        before = len(requests_of(harness, name))
        assert harness.run(name, by_hand=hour == 1).error is None
        assert len(requests_of(harness, name)) - before <= 12
    days = list[DayStatus]()
    harness.run(name, lambda run: verify(run, VerifyRequest(), days), "verify")
    assert {day.status for day in days} <= {"verified", "count_match", "unknown" if name == "autocalls" else ""}
    lost = sorted(world.calls(name), key=lambda call: call.created_at)[40]
    harness.execute("DELETE FROM warehouse.calls WHERE provider_call_id = :id", id=lost.call_id)
    harness.run(name, lambda run: verify(run, VerifyRequest(heal=True)), "verify")
    assert lost.call_id in harness.stored_ids(name)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("name", "status"), [("ringg", 400), ("autocalls", 400), ("ravan", 400), ("vaani", 400)])
def test_a_page_refused_in_the_middle_is_reached_by_a_narrower_window_or_named(
    db: Engine, name: str, status: int, order: str
) -> None:
    world = World(8, calls={name: 90}, days=30, order=order, now=NOW, phones=["+918037565218"])
    harness = make_harness(db, world, PAGE, "G13:cap=20")
    report = harness.run(name)
    assert status in {each.status for each in requests_of(harness, name)}
    if name in ("ringg", "autocalls"):
        assert (report.status, differences(harness, name)) == ("succeeded", [])
        assert harness.scalar("SELECT count(*) FROM ops.checkpoints") == 0
        harness.sync(name)
    else:
        assert re.search(r"refuses the page at position \d+: .+ \(HTTP 400\)", str(report.error))
        assert len(requests_of(harness, name)) <= 9 + 5


def test_a_total_that_is_no_number_costs_nothing_but_the_proof(db: Engine) -> None:
    harness = make_harness(db, World(8, calls=230, now=NOW, quirks=Quirks(ringg_total="many")))
    harness.sync("ringg")
    assert differences(harness, "ringg") == []
    requests = len(requests_of(harness))
    harness.run("ringg", by_hand=False)
    assert len(requests_of(harness)) <= requests + 3  # only an empty page is the end
    assert harness.scalar("SELECT completeness FROM bi.freshness") == "unknown"
