"""What the views say of calls: attempts, customers, how many calls went on at once, and how calls were before."""

import uuid
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import ProgrammingError

from etl.sandbox.world import World
from tests.harness import make_harness, make_live_harness

MAY = datetime(2026, 5, 4, 9, tzinfo=UTC)
WEEK = timedelta(days=7)
PAUSES = [
    timedelta(0),
    timedelta(seconds=1),
    timedelta(hours=24),
    timedelta(hours=25),
    WEEK,
    WEEK + timedelta(seconds=1),
]
ATTEMPTS = "attempt_number, is_first_attempt, is_repeat_within_24h, is_repeat_within_7d"


def plant(connection: Connection, number: int, **columns: object) -> None:
    row: dict[str, object] = {
        "call_key": uuid.UUID(int=number), "source": "one", "provider": "ringg", "provider_call_id": str(number),
        "direction": "outbound", "outcome": "completed", "is_final": True, "is_answered": True,
        "answered_by": "human", "ended_by": "agent", "created_at": MAY, "turn_count": 0,
        "has_transcript": False, "quality_flags": [], "first_seen_at": MAY, "changed_at": MAY,
        "latest_request_seq": 1, "payload_seqs": [1], "content_hash": b"", **columns,
    }  # fmt: skip
    names = ", ".join(row)
    connection.execute(text(f"INSERT INTO warehouse.calls ({names}) VALUES (:{', :'.join(row)})"), row)


def attempts(calls: list[Any]) -> dict[Any, tuple[Any, ...]]:
    """The attempts by their definition, from (key, customer, direction, created_at) of all calls."""
    found = dict[Any, tuple[Any, ...]]()
    series = defaultdict[Any, list[datetime]](list)
    for key, customer, direction, at in sorted(calls, key=lambda call: (call[3], call[0])):
        if customer is None:
            found[key] = (None,) * 4
            continue
        before = series[customer, direction]
        pause = at - before[-1] if before else timedelta.max
        if pause > WEEK:
            before.clear()
        before.append(at)
        found[key] = (min(len(before), 100), pause > WEEK, pause <= timedelta(hours=24), pause <= WEEK)
    return found


CALLS = st.lists(
    st.tuples(
        st.sampled_from([uuid.UUID(int=1), uuid.UUID(int=1), uuid.UUID(int=2), None]),
        st.sampled_from(["outbound", "outbound", "inbound"]),
        st.sampled_from(PAUSES),
        st.sampled_from(["one", "two"]),
    ),
    max_size=9,
)


@given(CALLS, st.randoms(use_true_random=False))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_attempts_are_counted_over_all_sources_in_whatever_order_calls_come(
    planted: Connection, drawn: list[Any], chance: Any
) -> None:
    at, calls = MAY, []
    for number, (customer, direction, pause, source) in enumerate(drawn):
        at += pause
        calls.append((uuid.UUID(int=number), customer, direction, at, source))
    with planted.begin_nested() as savepoint:
        for number, customer, direction, created_at, source in chance.sample(calls, len(calls)):
            given = {"customer_id": customer, "direction": direction, "created_at": created_at, "source": source}
            plant(planted, number.int, **given)
        rows = planted.execute(text(f"SELECT call_key, {ATTEMPTS} FROM bi.calls")).all()
        savepoint.rollback()
    assert {row[0]: tuple(row[1:]) for row in rows} == attempts([call[:4] for call in calls])


def test_attempts_of_synced_calls_follow_their_customers(db: Engine) -> None:
    harness = make_harness(db, World(3, calls=60))
    for source in harness.sources:
        harness.sync(source)
    rows = harness.rows(f"SELECT call_key, customer_id, direction, created_at, {ATTEMPTS} FROM bi.calls")
    said = {row["call_key"]: tuple(row[name] for name in ATTEMPTS.split(", ")) for row in rows}
    calls = [tuple(row[name] for name in ("call_key", "customer_id", "direction", "created_at")) for row in rows]
    assert said == attempts(calls)
    assert {number for number, *_ in said.values()} >= {None, 1, 2}


def test_a_number_that_robots_dial_is_counted_as_far_as_a_hundred(planted: Connection) -> None:
    for number in range(130):
        created_at = MAY + timedelta(minutes=number)
        plant(planted, number, customer_id=uuid.UUID(int=1), created_at=created_at)
    counted = planted.scalars(text("SELECT attempt_number FROM bi.calls ORDER BY created_at")).all()
    assert counted == [*range(1, 100), *[100] * 31]


def test_a_customer_is_one_over_all_sources(planted: Connection) -> None:
    one, other = uuid.UUID(int=1), uuid.UUID(int=2)
    same = {"customer_id": one, "customer_number": "+14155550100"}
    plant(planted, 1, **same, agent_id="a", duration_seconds=90)
    plant(planted, 2, **same, source="two", agent_name="A", created_at=MAY + WEEK, is_answered=False, outcome="busy")
    plant(planted, 3, **same, direction="inbound", agent_id="a", agent_name="A", answered_by="machine")
    plant(planted, 4, customer_id=other, customer_number="+14155550101")
    plant(planted, 5)
    rows = planted.execute(text("SELECT * FROM bi.customers ORDER BY calls DESC")).mappings().all()
    assert [row["customer_id"] for row in rows] == [one, other]
    assert (rows[0]["first_call_at"], rows[0]["last_call_at"]) == (MAY, MAY + WEEK)
    counts = {name: rows[0][name] for name in ("calls", "attempts", "inbound_calls", "answered", "human_answered")}
    assert counts == {"calls": 3, "attempts": 2, "inbound_calls": 1, "answered": 2, "human_answered": 1}
    assert [rows[0][name] for name in ("voicemail", "minutes", "agents", "sources")] == [1, 1.5, 2, 2]


def test_calls_that_go_on_at_once_are_counted_by_the_quarter_of_an_hour(planted: Connection) -> None:
    planted.execute(text("UPDATE ops.sources SET report_timezone = 'Asia/Kolkata'"))
    calls = [  # minutes from MAY, which is 14:30 in Kolkata: when it began, and how long it took
        (0, 20), (5, 10), (14, 2), (15, 5),  # one ends as another begins: three at once at minute 14, and two at 16
        (40, None),
    ]  # fmt: skip
    for number, (began, took) in enumerate(calls):
        at = MAY + timedelta(minutes=began)
        ended = {} if took is None else {"ended_at": at + timedelta(minutes=took)}
        plant(planted, number, created_at=at, **ended)
    plant(planted, 90, source="two", started_at=MAY + timedelta(minutes=50), duration_seconds=60)
    rows = planted.execute(
        text(
            "SELECT source, to_char(quarter_hour, 'HH24:MI') AS at, calls_started, peak_calls FROM bi.concurrency"
            " WHERE day = date '2026-05-04' AND peak_calls > 0 ORDER BY 1, 2"
        )
    )
    found = [tuple(row) for row in rows]
    assert found == [("one", "14:30", 3, 3), ("one", "14:45", 1, 3), ("one", "15:00", 1, 1), ("two", "15:15", 1, 1)]
    assert planted.scalar(text("SELECT count(*) FROM bi.concurrency WHERE source = 'one'")) == 96


SPANS = st.lists(st.tuples(st.integers(0, 2 * 86_400), st.integers(0, 40_000), st.booleans()), max_size=12)


@given(SPANS, st.sampled_from(["UTC", "Asia/Kolkata", "America/New_York"]))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_peak_is_the_largest_number_at_any_moment(planted: Connection, drawn: list[Any], zone: str) -> None:
    began = datetime(2026, 3, 7, 12, tzinfo=UTC)  # in New York the day after has 23 hours
    spans = []
    with planted.begin_nested() as savepoint:
        planted.execute(text("UPDATE ops.sources SET report_timezone = :zone"), {"zone": zone})
        for number, (start, seconds, has_end) in enumerate(drawn):
            at = began + timedelta(seconds=start)
            end = {"ended_at": at + timedelta(seconds=seconds)} if has_end else {"duration_seconds": seconds}
            plant(planted, number, created_at=at, **end)
            spans.append((at, at + timedelta(seconds=max(seconds, 1))))
        rows = planted.execute(text("SELECT starts_at, calls_started, peak_calls FROM bi.concurrency")).all()
        savepoint.rollback()
    for starts_at, started, peak in rows:
        ends_at = starts_at + timedelta(minutes=15)
        moments = [starts_at, *(at for at, _ in spans if starts_at <= at < ends_at)]
        assert peak == max(sum(at <= moment < end for at, end in spans) for moment in moments)
        assert started == len(moments) - 1
    assert sum(started for _, started, _ in rows) == len(spans)


AS_OF_NOW = {*ATTEMPTS.split(", "), "is_final", "settled_at"}  # of the stored calls, and of the server's clock


@pytest.mark.parametrize("source", ["ringg", "ravan", "autocalls", "vaani"])
def test_every_call_is_as_it_was_at_any_moment_before(db: Engine, source: str) -> None:
    harness = make_live_harness(db, calls=40, days=2, per_hour=2.0)
    seen: list[tuple[datetime, list[dict[str, Any]]]] = []
    for minutes in (0, 20, 20, 60, 600, 1500):
        harness.clock.sleep(minutes * 60)
        harness.run(source)
        seen.append((harness.clock.now(), harness.rows("SELECT * FROM bi_pii.calls ORDER BY call_key")))
    assert len({len(rows) for _, rows in seen}) > 1
    assert harness.scalar("SELECT count(*) FROM warehouse.changes WHERE field = 'outcome'") > 0
    for at, rows in seen:
        then = harness.rows("SELECT * FROM bi_pii.calls_as_of(:at) ORDER BY call_key", at=at)
        for was, said in zip(rows, then, strict=True):
            assert {name: said[name] for name in said if name not in AS_OF_NOW and said[name] != was[name]} == {}
            assert said["is_final"] in (was["is_final"], False)


def test_a_customer_whose_number_changed_was_another_one(planted: Connection) -> None:
    number, later = "+14155550100", MAY + timedelta(hours=1)
    customer = planted.scalar(text("SELECT bi_pii.customer_id(:number)"), {"number": number})
    plant(planted, 1, customer_number="anonymous", changed_at=later + timedelta(hours=1))
    changes = [(later, number, "+14155550101"), (later + timedelta(hours=1), "+14155550101", "anonymous")]
    for at, old, new in changes:
        planted.execute(
            text(
                "INSERT INTO warehouse.changes (call_key, changed_at, field, old_value, new_value)"
                " VALUES (:key, :at, 'customer_number', :old, :new)"
            ),
            {"key": uuid.UUID(int=1), "at": at, "old": old, "new": new},
        )
    then = text("SELECT customer_number, customer_id, changed_at FROM bi_pii.calls_as_of(:at)")
    assert [tuple(row) for row in planted.execute(then, {"at": MAY})] == [(number, customer, MAY)]
    (row,) = planted.execute(then, {"at": later})
    assert (row.customer_number, row.changed_at) == ("+14155550101", later)
    assert row.customer_id not in (customer, None)
    assert [row.customer_id for row in planted.execute(then, {"at": later + timedelta(hours=1)})] == [None]
    assert planted.execute(then, {"at": MAY - timedelta(seconds=1)}).all() == []


def test_a_call_of_unknown_status_was_not_final_in_its_first_day(planted: Connection) -> None:
    plant(planted, 1, outcome="unknown", is_final=None)
    final = text("SELECT is_final, settled_at IS NOT NULL FROM bi.calls_as_of(:at)")
    after = {hours: planted.execute(final, {"at": MAY + timedelta(hours=hours)}).one() for hours in (1, 25, 24 * 8)}
    assert [tuple(row) for row in after.values()] == [(False, False), (True, False), (True, True)]


def test_yesterday_is_masked_for_those_who_read_bi(db: Engine) -> None:
    harness = make_harness(db, World(3, calls=20))
    harness.sync("ravan")
    masked = "SELECT call_key, customer_number, customer_name, summary, recording_url FROM bi.{} ORDER BY call_key"
    with db.begin() as connection:
        connection.execute(text("SET LOCAL ROLE bi_reader"))
        now = connection.execute(text(masked.format("calls"))).all()
        assert connection.execute(text(masked.format("calls_as_of(now())"))).all() == now
        with pytest.raises(ProgrammingError, match="permission denied"):
            connection.execute(text("SELECT * FROM bi_pii.calls_as_of(now())"))
