"""When requests are sent: one budget for all processes, back-offs that outlive a process, and paused sources."""

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil
from random import Random
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from etl import pipeline
from etl.cli.tables import status_table
from etl.client.api_client import Client
from etl.model import HttpRequest, ResponseBody, Source, Window
from etl.reports.status import KEYS, status
from etl.sandbox.in_process import SandboxTransport
from etl.sandbox.world import World
from etl.state import registry
from etl.state.adaptive_rate import AdaptiveRate, current_rate
from etl.state.lease import Lease, Priority
from etl.state.rate_limit import SHARE, RateLimiter
from etl.state.session import StateSession
from etl.sync.checkpoint import BEGINNING
from tests.fakes import FakeClock
from tests.harness import NOW, PROVIDERS, InterceptingTransport, differences, make_harness, requests_of

TEN, TENTH = timedelta(seconds=10), timedelta(seconds=0.1)
HALF_AN_HOUR = 1800
DAY = 86_400


@contextmanager
def process(db: Engine, clock: FakeClock, rate: int = 60, priority: Priority = Priority.HEAD) -> Iterator[RateLimiter]:
    """The rate limiter of one process, over a session of its own."""
    source = source_of(db, rate)
    with db.begin() as connection:
        registry.register(connection, source, clock.now())
    with StateSession(db) as session:
        lease = Lease(session, db, source.name, clock)
        lease.priority = priority
        yield RateLimiter(session, lease, source, clock)


def source_of(db: Engine, rate: int) -> Source:
    return replace(make_harness(db).sources["ringg"], requests_per_minute=rate)


def sent(limiter: RateLimiter, clock: FakeClock, count: int) -> list[datetime]:
    """When each of a number of requests in a row is sent."""
    out = []
    for _ in range(count):
        limiter.acquire()
        out.append(clock.now())
    return out


def at_most(times: list[datetime], span: timedelta) -> int:
    """The most requests in any span of this length."""
    return max(sum(start <= each < start + span for each in times) for start in times)


@pytest.mark.parametrize(
    ("rate", "burst", "in_ten"), [(60, 10, 20), (6, 1, 1), (1, 1, 1), (600, 100, 200), (90, 15, 30)]
)
def test_a_sixth_of_the_minute_goes_at_once_and_the_rest_evenly(db: Engine, rate: int, burst: int, in_ten: int) -> None:
    clock = FakeClock(NOW)
    with process(db, clock, rate) as limiter:
        times = sent(limiter, clock, burst + 20)
    assert times[:burst] == [NOW] * burst
    apart = timedelta(minutes=1) / rate
    assert all(abs(b - a - apart) <= timedelta(microseconds=2) for a, b in pairwise(times[burst - 1 :]))
    assert at_most(times, TEN) <= in_ten


def test_no_pause_between_requests_earns_more_than_the_burst(db: Engine) -> None:
    clock, draw = FakeClock(NOW), Random(4)
    times = []
    with process(db, clock) as limiter:
        for _ in range(60):
            times += sent(limiter, clock, draw.randint(1, 14))
            clock.sleep(draw.choice([0, 0.3, 2, 9, 30, 3600]))
    assert at_most(times, TEN) <= 20
    assert at_most(times, timedelta(minutes=1)) <= 70


# How many requests of a priority, the pause after them, and whether the last is refused.
Step = tuple[Priority, int, float, bool]
steps = st.lists(
    st.tuples(st.sampled_from(Priority), st.integers(1, 25), st.sampled_from([0.0, 0.3, 4, 31, 3600]), st.booleans()),
    min_size=1,
    max_size=6,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([1, 7, 60, 90, 600]), steps)
def test_the_budget_is_kept_by_any_mix_of_priorities(db: Engine, rate: int, steps: list[Step]) -> None:
    clock, times = FakeClock(NOW), list[datetime]()
    with db.begin() as connection:
        connection.exec_driver_sql("DELETE FROM ops.rate_limits")
    with process(db, clock, rate) as one, process(db, clock, rate) as other:
        for number, (priority, count, pause, is_refused) in enumerate(steps):
            limiter = (one, other)[number % 2]
            limiter._lease.priority = priority
            times += sent(limiter, clock, count)
            if is_refused:
                limiter.on_rate_limited(limiter.acquire())
                times.append(clock.now())
            clock.sleep(pause)
    burst = max(1, ceil(rate / 6))
    assert at_most(times, timedelta(microseconds=1)) <= burst
    assert at_most(times, timedelta(minutes=1)) <= rate + burst


@pytest.mark.parametrize("priority", Priority)
def test_a_lower_priority_uses_a_part_of_the_burst_and_the_whole_rate(db: Engine, priority: Priority) -> None:
    clock = FakeClock(NOW)
    with process(db, clock, priority=priority) as limiter:
        times = sent(limiter, clock, 310)
    assert times.count(NOW) == 1 + 9 * SHARE[priority]
    assert (times[-1] - times[9]).total_seconds() == pytest.approx(300, abs=0.1)


def test_the_head_finds_room_at_once_beside_a_backfill(db: Engine) -> None:
    clock = FakeClock(NOW)
    with process(db, clock, priority=Priority.BACKFILL) as backfill, process(db, clock) as head:
        sent(backfill, clock, 100)
        began = clock.now()
        assert sent(head, clock, 6) == [began] * 6
        waited = sent(backfill, clock, 100)
    assert began + timedelta(seconds=106) <= waited[-1] <= began + timedelta(seconds=107)  # it gets what is left


class CountingSession(StateSession):
    """A state session that keeps the statements it ran."""

    def __init__(self, db: Engine) -> None:
        super().__init__(db)
        self.statements: list[Any] = []

    def fetch_one(self, statement: Any, values: Mapping[str, Any]) -> Any:
        self.statements.append(statement)
        return super().fetch_one(statement, values)


def test_a_request_costs_one_statement(db: Engine) -> None:
    clock, source = FakeClock(NOW), source_of(db, 60)
    with db.begin() as connection:
        registry.register(connection, source, clock.now())
    with CountingSession(db) as session:
        lease = Lease(session, db, source.name, clock)
        limiter = RateLimiter(session, lease, source, clock)
        lease.acquire(lambda: None)
        limiter.acquire()
        session.statements.clear()
        sent(limiter, clock, 59)
        assert 59 <= len(session.statements) <= 59 + 50 / 30  # and the lease is renewed each half minute


def last_number(db: Engine) -> int:
    with db.connect() as connection:
        return int(connection.scalar(text("SELECT last_value FROM ops.request_seq")) or 0)


@pytest.mark.parametrize("seed", range(4))
def test_at_a_high_rate_no_span_of_time_has_more_than_its_share(db: Engine, seed: int) -> None:
    clock, draw, rate, times = FakeClock(NOW), Random(seed), 1800, list[datetime]()
    with process(db, clock, rate) as one, process(db, clock, rate) as other:
        for _ in range(4):
            for _ in range(8):
                times += sent(draw.choice([one, other]), clock, draw.randint(1, 40))
                clock.sleep(draw.choice([0, 0, 0.03, 0.09, 0.1]))
            clock.sleep(draw.choice([0.5, 3, 11]))
    for span in (timedelta(microseconds=1), TENTH, 5 * TENTH, TEN, timedelta(minutes=1)):
        assert at_most(times, span) <= ceil(rate / 6) + ceil(rate / 60 * span.total_seconds())


def test_once_a_large_burst_is_used_requests_go_evenly_and_no_slower(db: Engine) -> None:
    clock = FakeClock(NOW)
    with process(db, clock, 1800) as limiter:
        sent(limiter, clock, 300)
        times = sent(limiter, clock, 600)
    assert (times[-1] - NOW).total_seconds() == pytest.approx(20, abs=0.01)
    assert at_most(times, 0.9 * TENTH) == 3


@pytest.mark.parametrize("priority", Priority)
def test_at_a_high_rate_a_lower_priority_keeps_to_its_part_of_the_burst(db: Engine, priority: Priority) -> None:
    clock = FakeClock(NOW)
    with process(db, clock, 6000, priority) as limiter, process(db, clock, 6000) as head:
        times = sent(limiter, clock, 1000)
        assert times.count(NOW) == 1 + 999 * SHARE[priority]
        if priority is Priority.BACKFILL:
            began = clock.now()
            assert sent(head, clock, 600) == [began] * 600


def test_what_is_left_of_a_burst_is_not_sent_while_the_provider_wants_none(db: Engine) -> None:
    clock = FakeClock(NOW)
    with process(db, clock, 6000) as limiter:
        limiter.acquire()
        limiter.back_off_until(NOW + timedelta(seconds=HALF_AN_HOUR))
        limiter.acquire()
    assert clock.now() >= NOW + timedelta(seconds=HALF_AN_HOUR)


def test_each_refusal_lowers_a_high_rate(db: Engine) -> None:
    clock = FakeClock(NOW)
    with process(db, clock, 6000) as limiter:
        limiter.on_rate_limited(limiter.acquire())
        limiter.on_rate_limited(limiter.acquire())
        assert rate_per_minute(db, clock) == pytest.approx(6000 * 0.75**2)


def test_several_threads_have_a_number_each(db: Engine) -> None:
    with process(db, FakeClock(NOW), 600_000) as limiter, ThreadPoolExecutor(8) as threads:
        numbers = [*threads.map(lambda _: limiter.acquire(), range(400))]
        assert len(set(numbers)) == 400
        assert last_number(db) == max(numbers)


def test_two_processes_share_one_budget_and_one_numbering(db: Engine) -> None:
    clock, draw, numbers = FakeClock(NOW), Random(5), []
    times = []
    with process(db, clock) as one, process(db, clock) as other:
        for _ in range(60):
            numbers.append(draw.choice([one, other]).acquire())
            times.append(clock.now())
    assert at_most(times, TEN) <= 20
    assert times[9] == NOW < times[10]
    assert all(a < b for a, b in pairwise(numbers))


def test_a_back_off_applies_to_every_process(db: Engine) -> None:
    clock = FakeClock(NOW)
    with process(db, clock) as waiting, process(db, clock) as other:
        waiting.back_off_until(NOW + timedelta(seconds=HALF_AN_HOUR))
        waiting.back_off_until(NOW + timedelta(seconds=5))  # never shortened
        first = other.acquire()
    assert clock.now() == NOW + timedelta(seconds=HALF_AN_HOUR)
    with process(db, clock) as later:
        assert later.acquire() > first
    assert clock.now() == NOW + timedelta(seconds=HALF_AN_HOUR)


def test_a_back_off_also_reaches_a_process_that_already_waits(db: Engine) -> None:
    clock = Interrupting(NOW)
    with process(db, clock, 1) as limiter, process(db, clock, 1) as other:
        limiter.acquire()
        clock.meanwhile = lambda: other.back_off_until(NOW + timedelta(minutes=10))
        limiter.acquire()
    assert clock.now() == NOW + timedelta(minutes=10)


class Interrupting(FakeClock):
    """Something happens in the first sleep."""

    meanwhile = staticmethod(lambda: None)

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        if seconds:
            meanwhile()


@pytest.mark.parametrize("back", [DAY, 366 * DAY])
def test_a_clock_that_is_set_back_holds_nothing_up(db: Engine, back: int) -> None:
    clock = FakeClock(NOW)
    with process(db, clock) as limiter:
        first = limiter.acquire()
        limiter.back_off_until(NOW + timedelta(seconds=HALF_AN_HOUR))
        clock.step(-back)
        before = clock.monotonic()
        second = limiter.acquire()
        assert clock.monotonic() - before <= 60
        sent(limiter, clock, 20)
        assert clock.monotonic() - before <= 80
    assert second > first


@pytest.mark.parametrize("back", [DAY, 366 * DAY])
def test_a_clock_that_is_set_back_while_it_is_waited_for_lengthens_no_wait(db: Engine, back: int) -> None:
    clock = Interrupting(NOW)
    with process(db, clock) as limiter:
        limiter.back_off_until(NOW + timedelta(seconds=HALF_AN_HOUR))
        clock.meanwhile = lambda: clock.step(-back)
        limiter.acquire()
    assert clock.monotonic() == pytest.approx(HALF_AN_HOUR, abs=0.001)


def test_a_429_lowers_the_rate_of_every_process_and_it_recovers_in_steps(db: Engine) -> None:
    clock = FakeClock(NOW)
    with process(db, clock) as one, process(db, clock) as other:
        one.on_rate_limited(one.acquire())
        assert evenly(other, clock) == pytest.approx(45, abs=1)
        assert rate_per_minute(db, clock) == pytest.approx(45, abs=1)
    clock.sleep(300)
    with process(db, clock) as later:
        assert 49 < evenly(later, clock) < 52
        clock.sleep(600)
        assert evenly(later, clock) == pytest.approx(60)
    assert rate_per_minute(db, clock) == 60


def test_429s_of_one_burst_count_once_and_later_ones_again(db: Engine) -> None:
    clock = FakeClock(NOW)
    with process(db, clock) as one, process(db, clock) as other:
        burst = [limiter.acquire() for limiter in (one, other) * 4]
        for number in burst:
            one.on_rate_limited(number)
            other.on_rate_limited(number)
        assert rate_per_minute(db, clock) == 45
        other.on_rate_limited(other.acquire())
        assert rate_per_minute(db, clock) == pytest.approx(33.75, abs=0.1)


@pytest.mark.parametrize("configured", [1, 60, 600])
def test_a_rate_never_falls_so_low_that_nothing_is_read(db: Engine, configured: int) -> None:
    clock = FakeClock(NOW)
    with process(db, clock, configured) as limiter:
        for _ in range(40):
            limiter.on_rate_limited(limiter.acquire())
        assert rate_per_minute(db, clock) == pytest.approx(1, abs=0.1)
        before = clock.now()
        assert sent(limiter, clock, 3)[-1] - before <= timedelta(minutes=3)


def test_another_configured_rate_starts_anew(db: Engine) -> None:
    clock = FakeClock(NOW)
    with process(db, clock) as limiter:
        limiter.on_rate_limited(limiter.acquire())
    with process(db, clock, 120) as limiter:
        assert evenly(limiter, clock) == pytest.approx(120)


def test_a_clock_that_is_set_back_keeps_no_rate_low() -> None:
    learned = AdaptiveRate(30.0, NOW)
    assert (
        current_rate(60, learned, NOW - timedelta(days=366))
        == current_rate(60, learned, NOW - timedelta(hours=2))
        == 60
    )
    assert current_rate(60, learned, NOW - timedelta(minutes=10)) == 30
    assert current_rate(60, learned, NOW + timedelta(minutes=10)) > 30


def test_status_says_the_rate_in_force_where_it_is_lower(db: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    clock = FakeClock(NOW)
    with process(db, clock) as limiter:
        sources = [source_of(db, 60)]
        status_table(status(db, sources, NOW), sources, NOW)
        assert "requests per minute" not in capsys.readouterr().out
        limiter.on_rate_limited(limiter.acquire())
    read, never_read = status(db, [source_of(db, 60), replace(source_of(db, 60), name="vaani")], NOW)
    assert (read["requests_per_minute"], read["rate_per_minute"]) == (60, 45.0)
    assert tuple(read) == tuple(never_read) == KEYS
    assert never_read["rate_per_minute"] is None
    status_table([read, never_read], sources, NOW)
    assert capsys.readouterr().out.count("45 requests per minute instead of 60: the provider rejects more") == 1


def evenly(limiter: RateLimiter, clock: FakeClock) -> float:
    """Requests a minute once the burst is used up."""
    times = sent(limiter, clock, 40)
    return 60 / ((times[-1] - times[20]).total_seconds() / 19)


def rate_per_minute(db: Engine, clock: FakeClock) -> float:
    (row,) = status(db, [source_of(db, 60)], clock.now())
    assert row["rate_per_minute"] is not None
    return row["rate_per_minute"]


class Limited(httpx.BaseTransport):
    """A provider that allows a number of requests in any minute and refuses the others; ``inner`` answers."""

    def __init__(self, inner: httpx.BaseTransport, clock: FakeClock, per_minute: int, *, says_when: bool) -> None:
        self.inner, self.clock, self.per_minute, self.says_when = inner, clock, per_minute, says_when
        self.answered: list[datetime] = []
        self.refused: list[datetime] = []
        self._lately: deque[datetime] = deque()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        now = self.clock.now()
        while self._lately and self._lately[0] <= now - timedelta(minutes=1):
            self._lately.popleft()
        if len(self._lately) >= self.per_minute:
            self.refused.append(now)
            wait = ceil((self._lately[0] + timedelta(minutes=1) - now).total_seconds())
            return httpx.Response(429, headers={"Retry-After": str(wait)} if self.says_when else {})
        self._lately.append(now)
        self.answered.append(now)
        return self.inner.handle_request(request)


@contextmanager
def reading(db: Engine, allowed: int, *, says_when: bool) -> Iterator[tuple[Client, Limited, FakeClock]]:
    """A client at 60 requests a minute in front of a provider that allows fewer."""
    clock = FakeClock(NOW)
    fine = httpx.MockTransport(lambda request: httpx.Response(200, json={}))
    limited = Limited(fine, clock, allowed, says_when=says_when)
    with process(db, clock, priority=Priority.BACKFILL) as limiter:
        source = source_of(db, 60)
        yield Client(source, lambda key: ("X-API-KEY", key), limiter, clock, Random(1).random, limited), limited, clock


def ask_until(client: Client, clock: FakeClock, end: datetime) -> None:
    def nothing(body: ResponseBody) -> None:
        pass

    while clock.now() < end:
        client.get(HttpRequest("/calls", {}), nothing)


@pytest.mark.parametrize(("allowed", "says_when"), [(30, True), (30, False), (12, True)])
def test_what_a_provider_really_allows_is_learned_and_used(db: Engine, allowed: int, says_when: bool) -> None:
    learned = NOW + timedelta(minutes=15)
    with reading(db, allowed, says_when=says_when) as (client, limited, clock):
        ask_until(client, clock, learned + timedelta(minutes=30))
        refused = sum(each >= learned for each in limited.refused)
        answered = sum(each >= learned for each in limited.answered)
        assert refused <= 0.02 * answered
        assert answered >= 0.8 * allowed * 30


def test_when_a_provider_allows_more_again_that_is_found_out(db: Engine) -> None:
    with reading(db, 30, says_when=True) as (client, limited, clock):
        ask_until(client, clock, NOW + timedelta(minutes=5))
        limited.per_minute = 70
        clock.sleep(2700)
        limited.answered.clear()
        limited.refused.clear()
        ask_until(client, clock, clock.now() + timedelta(minutes=5))
        assert len(limited.answered) >= 60 * 5
        assert limited.refused == []


def test_a_history_is_read_whole_from_a_provider_that_allows_half(db: Engine) -> None:
    harness = make_harness(
        db, World(3, calls=700, now=NOW), "G12:size=10", clock=FakeClock(NOW), requests_per_minute=60
    )
    harness.transport = limited = Limited(harness.transport, harness.clock, 30, says_when=True)
    harness.sync("ringg")
    harness.run("ringg", lambda reader: pipeline.backfill(reader, Window(BEGINNING, NOW), again=True))
    harness.transport = limited.inner
    assert differences(harness, "ringg") == []
    assert 1 <= len(limited.refused) <= 6


@pytest.mark.parametrize("order", ["desc", "unsorted"])
@pytest.mark.parametrize("name", PROVIDERS)
def test_a_clock_that_was_set_back_a_year_and_is_put_right_again_loses_no_call(
    db: Engine, name: str, order: str
) -> None:
    harness = make_harness(db, World(3, calls=40, order=order, now=NOW), clock=FakeClock(NOW))
    harness.sync(name)
    harness.clock.step(-366 * DAY)
    late = harness.world.add(name).call_id
    assert harness.run(name, by_hand=False).status == "succeeded"
    assert (
        harness.scalar("SELECT max(completed_at) FROM ops.lookbacks WHERE source = :name", name=name)
        <= harness.clock.now()
    )
    if name in ("ravan", "vaani"):  # the others list up to the requested end
        assert late in harness.stored_ids(name)
    harness.clock.step(366 * DAY + 60)
    assert harness.run(name, by_hand=False).status == "succeeded"
    assert differences(harness, name) == []


@pytest.mark.parametrize("fault", ["H01:nth=1,after=600", "H02:nth=1,after=600"])
@pytest.mark.parametrize("by_hand", [True, False])
def test_a_run_waits_as_long_as_the_provider_asks_for(db: Engine, fault: str, by_hand: bool) -> None:
    harness = make_harness(db, World(3, calls=5, now=NOW), f"{fault},provider=ringg", clock=FakeClock(NOW))
    times: list[datetime] = []
    harness.transport = InterceptingTransport(
        harness.transport, lambda count, request: times.append(harness.clock.now())
    )
    assert harness.run("ringg", by_hand=by_hand).status == "succeeded"
    assert times[1] - times[0] >= timedelta(seconds=599)


def test_a_wait_of_more_than_an_hour_ends_the_run_and_binds_the_next_manual_one(db: Engine) -> None:
    harness = make_harness(db, World(3, calls=5, now=NOW), "H01:nth=1,after=7200,provider=ringg", clock=FakeClock(NOW))
    report = harness.run("ringg")
    assert (report.status, report.requests) == ("failed", 1)
    assert "the provider asked us to wait" in (report.error or "")
    times: list[datetime] = []
    harness.transport = InterceptingTransport(
        harness.transport, lambda count, request: times.append(harness.clock.now())
    )
    harness.sync("ringg")
    assert min(times) >= NOW + timedelta(hours=1)


@pytest.mark.parametrize("fault", ["H09:first=1", "H10:first=1"])
def test_a_paused_source_is_skipped_by_the_schedule_and_probed_by_a_manual_run(db: Engine, fault: str) -> None:
    harness = make_harness(db, World(3, calls=20, now=NOW), f"{fault},provider=vaani", clock=FakeClock(NOW))
    assert harness.run("vaani", by_hand=False).status == "failed"
    runs = harness.scalar("SELECT count(*) FROM ops.runs")
    skipped = harness.run("vaani", by_hand=False)
    assert (skipped.status, skipped.requests) == ("failed", 0)
    assert "paused until 12:15 UTC" in (skipped.error or "")
    assert len(requests_of(harness, "vaani")) == 1
    assert harness.scalar("SELECT count(*) FROM ops.runs") == runs
    harness.sync("vaani")
    assert differences(harness, "vaani") == []
    assert harness.rows("SELECT paused_until, pause_reason FROM ops.sources") == [
        {"paused_until": None, "pause_reason": None}
    ]
    assert harness.run("vaani", by_hand=False).status == "succeeded"


def test_the_schedule_probes_once_per_quarter_of_an_hour(db: Engine) -> None:
    harness = make_harness(db, World(3, calls=20, now=NOW), "H09:first=3,provider=ringg", clock=FakeClock(NOW))
    statuses = []
    for _ in range(12):
        statuses.append(harness.run("ringg", by_hand=False).status)
        harness.clock.sleep(300)
    assert statuses == ["failed"] * 9 + ["succeeded"] * 3
    assert len(requests_of(harness, "ringg")) == 6


def test_a_pause_of_a_clock_that_was_set_back_since_is_over(db: Engine) -> None:
    harness = make_harness(db, World(3, calls=20, now=NOW), "H09:first=1,provider=ringg", clock=FakeClock(NOW))
    assert harness.run("ringg").status == "failed"
    harness.clock.step(-DAY)
    assert harness.run("ringg", by_hand=False).status == "succeeded"


def test_what_came_before_a_refusal_stays_and_other_sources_go_on(db: Engine) -> None:
    faults = ("G12:size=10", "H09:nth=3,provider=autocalls")
    harness = make_harness(db, World(3, calls=45, now=NOW), *faults, clock=FakeClock(NOW))
    report = harness.run("autocalls")
    assert (report.status, report.counts.inserted) == ("failed", 20)
    assert "refuses the key" in (report.error or "")
    assert len(harness.stored_ids("autocalls")) == 20
    harness.run("ringg", by_hand=False)
    assert differences(harness, "ringg") == []
    harness.sync("autocalls")
    assert differences(harness, "autocalls") == []


@pytest.mark.parametrize("at", [0, 1, -1])
def test_a_refused_partition_keeps_no_other_partition_from_being_read(db: Engine, at: int) -> None:
    world = World(3, calls=60, now=NOW)
    refused = world.phones[at]
    harness = make_harness(db, world, f"H11:phone={refused}", clock=FakeClock(NOW))
    report = harness.run("ravan")
    assert report.status == "failed"
    assert "HTTP 400" in (report.error or "")
    assert refused not in (report.error or "")
    others = {call.call_id for call in world.calls("ravan") if {call.caller, call.callee} & {*world.phones} - {refused}}
    assert harness.stored_ids("ravan") == others
    assert {row["partition"] for row in harness.rows("SELECT partition FROM ops.coverage")} == {*world.phones} - {
        refused
    }
    harness.transport = SandboxTransport(world)
    harness.sync("ravan")
    assert differences(harness, "ravan") == []
