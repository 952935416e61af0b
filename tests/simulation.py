"""Plays a schedule through the public entry on a real database, and says when and how what is stored is wrong."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count

import httpx
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from etl import pipeline
from etl.model import Window
from etl.sandbox.faults import parse_fault
from etl.sandbox.in_process import SandboxTransport
from etl.sandbox.simulated_call import SimulatedCall
from etl.sandbox.world import World
from etl.state.lease import TERM
from etl.sync.run import SourceRun
from tests.fakes import FakeClock
from tests.harness import NOW, Harness, Killed, counts_add_up, differences, hours, kill, restart
from tests.strategies import Act, Motion, Schedule

PHONES = ("+918040000001", "+918040000002")
WEEK = timedelta(days=7)  # the widest lookback
SETTLED = timedelta(days=3)  # nothing happens any more to a call of this age by itself
SLOW = 20  # requests a minute: a batch is committed every four pages
NUMBERS = count(1)
COVERAGE = "SELECT partition, starts_at, ends_at FROM ops.coverage WHERE source = :name"
CHECKPOINTS = "SELECT partition, starts_at, ends_at FROM ops.checkpoints WHERE source = :name"
AGREEING = "SELECT partition FROM ops.streams WHERE source = :name AND completeness IN ('count_match', 'verified')"
LAST = "SELECT error FROM ops.runs WHERE source = :name ORDER BY run_id DESC LIMIT 1"
FREE = "SELECT count(*) FROM ops.leases WHERE source = :name AND owner IS NULL"
MISSING = "SELECT provider_call_id AS id FROM warehouse.calls WHERE source = :name AND delisted_at IS NOT NULL"


class Turns(FakeClock):
    """A clock that says when a process is between two batches: it sleeps for no time then."""

    between: Callable[[], None] = staticmethod(lambda: None)

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if seconds == 0:
            self.between()


class Play(httpx.BaseTransport):
    """One schedule under way: the provider of the runs, and the witness of what they have to hold."""

    def __init__(self, db: Engine, schedule: Schedule) -> None:
        self.schedule, self.provider = schedule, schedule.provider
        self.name = f"{self.provider}-{next(NUMBERS)}"  # a source of its own: nothing has to be emptied for it
        self.clock = Turns(NOW)
        self.clock.between = self._second_process
        self.world = World(
            schedule.seed, calls={self.provider: schedule.calls}, days=schedule.days, order=schedule.order,
            clock=self.clock.now, phones=PHONES,
        )  # fmt: skip
        self.harness = Harness(db, self.world, self.clock, self, SLOW)
        self.harness.sources = {self.name: replace(self.harness.sources[self.provider], name=self.name)}
        self.clamp, self.total, self.once = schedule.clamp, schedule.total, ""
        self.inner = SandboxTransport(self.world)
        self.count, self.due = 0, list[tuple[int, Motion]]()
        self.running, self.waiting = False, ""  # the other process, until the lease is free
        self.obliged = {call.call_id for call in self.world.calls(self.provider)}
        self.gone = 0
        self.moved = set[str]()  # what happened since the request before
        self.deceived = False  # neither the size of the pages nor the total can be believed
        # Something happened that no reader could see: a few rows without order may look as if they had one.
        self.blind = schedule.order == "unsorted" and "size=8" not in schedule.clamp
        self._answer_with("")

    # The provider

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if "/transcript/" in request.url.path:
            return self.inner.handle_request(request)
        self.count += 1
        now, self.due = [m for at, m in self.due if at <= self.count], [(a, m) for a, m in self.due if a > self.count]
        for motion in now:
            self._move(*motion)
        self._judge_sight()
        response = self.inner.handle_request(request)
        self._answer_with("")
        return response

    def _move(self, what: str, how: object) -> None:
        world, calls = self.world, self.world.calls(self.provider)
        self.moved.add(what.partition(" ")[0])
        if what == "arrive":
            for _ in range(int(str(how))):
                world.add(self.provider)
        elif what == "late":
            world.add(self.provider, self.clock.now() - hours(float(str(how))))
        elif what.startswith("vanish") and calls:
            chosen = calls[-1 - int(str(how)) % len(calls)] if "newest" in what else calls[int(str(how)) % len(calls)]
            world.delete(self.provider, chosen.call_id)
            self.gone += chosen.call_id in self.harness.stored_ids(self.name)
        elif what == "change" and calls:
            chosen = calls[int(str(how)) % len(calls)]
            world.change(self.provider, chosen.call_id, sentiment="mixed", summary=f"Changed as number {self.count}.")
        elif what == "wait":
            self.clock.sleep(float(str(how)))
        elif what == "reorder":
            world.reorder(self.provider, str(how))
            self.blind |= how == "reshuffled" or (how == "unsorted" and "size=8" not in self.clamp)
        elif what in ("clamp", "total", "once"):
            is_small = self.world.order[self.provider] == "unsorted" and "size=8" not in str(how)
            self.blind |= what == "clamp" and (is_small or (self.running and "silent" in f"{how} {self.clamp}"))
            setattr(self, what, str(how))
            self._answer_with(self.once)
        else:
            self._disturb(what, str(how))

    def _disturb(self, what: str, how: str) -> None:
        if what == "kill" and self.running:
            kill(self.harness)
        elif what == "second":
            self.waiting = how
        elif what == "sleeper" and self.running:
            self.clock.sleep(TERM.total_seconds() + 1)
            self._other(how)

    def _answer_with(self, once: str) -> None:
        faults = [fault for fault in (self.clamp, self.total, once) if fault]
        requests = self.inner.requests
        self.inner = SandboxTransport(self.world, [parse_fault(fault) for fault in faults])
        self.inner.requests.extend(requests)
        self.once = once

    def _judge_sight(self) -> None:
        """Whether what moved since the request before could be seen at all by who reads this list."""
        silent = "silent" in self.clamp
        lies = bool(self.total) and not (self.provider == "ringg" and self.total.endswith("absent"))
        self.deceived |= lies and silent
        self.blind |= self.deceived
        self.blind |= "vanish" in self.moved and (lies or "late" in self.moved)
        self.blind |= lies and self.once in ("G08", "G09", "G11")
        self.moved = {"vanish"} & self.moved if self.running and lies else set()

    # The processes

    def _second_process(self) -> None:
        free = self.waiting and self.harness.scalar(FREE, name=self.name) > 0
        if free:
            how, self.waiting = self.waiting, ""
            self._other(how)

    def _other(self, how: str) -> None:
        """Another process does its whole work while this one stands between two of its steps."""
        due, self.due = self.due, []
        self.harness.run(self.name, self._backfill if how == "backfill" else pipeline.sync)
        self.due = due

    def _backfill(self, reader: SourceRun) -> None:
        now = self.clock.now()
        pipeline.backfill(reader, Window(now - hours(100), now - hours(24)))

    def play(self, act: Act) -> str:
        """One run of the schedule; how it ended."""
        self.clock.sleep(act.minutes * 60)
        self._oblige()
        self.count, self.due, self.running = 0, sorted(act.motions, key=lambda each: each[0]), True
        try:
            work = self._backfill if act.kind == "backfill" else pipeline.sync
            status = self.harness.run(self.name, work, by_hand=act.kind != "scheduled").status
        except (Killed, SQLAlchemyError):
            status = "killed"
        restart(self.harness)
        self.running, self.waiting = False, ""
        for _, motion in self.due:
            self._move(*motion)
        self._answer_with("")
        self.due = []
        return status

    # The witness

    def lists_of(self, call: SimulatedCall) -> list[str]:
        """The phones of the lists that show a call."""
        return [phone for phone in PHONES if phone in (call.caller, call.callee)] if self.provider == "ravan" else [""]

    def _oblige(self) -> None:
        """From here on a call that is listed has to be in whatever coverage is gained by scans that begin now."""
        taken = self.harness.rows(f"{COVERAGE} UNION ALL {CHECKPOINTS}", name=self.name)
        for call in self.world.calls(self.provider):
            claimed = any(
                row["partition"] in self.lists_of(call) and row["starts_at"] <= call.created_at < row["ends_at"]
                for row in taken
            )
            if not claimed:
                self.obliged.add(call.call_id)

    def lost(self, since: datetime | None = None) -> set[str]:
        """Calls that lie in coverage, or that a lookback since then must have read, and that are not stored."""
        stored = self.harness.stored_ids(self.name)
        missing = [
            call for call in self.world.calls(self.provider) if call.call_id not in stored and self.lists_of(call)
        ]
        coverage = self.harness.rows(COVERAGE, name=self.name) if missing else []

        def is_claimed(call: SimulatedCall) -> bool:
            return call.call_id in self.obliged and any(
                row["partition"] in self.lists_of(call) and row["starts_at"] <= call.created_at < row["ends_at"]
                for row in coverage
            )

        return {call.call_id for call in missing if is_claimed(call) or (since and call.created_at >= since)}

    def check(self) -> None:
        """What is true at every instant, before anything heals."""
        lost = self.lost()
        if not self.blind:
            assert lost == set(), f"{len(lost)} calls lie in coverage and are not stored"
        if not self.gone and not self.deceived:
            agreeing = self.harness.rows(AGREEING, name=self.name)
            matching = {row["partition"] for row in agreeing}
            unsaid = {
                call.call_id for call in self.world.calls(self.provider) if matching & set(self.lists_of(call))
            } & lost
            assert unsaid == set(), f"{len(unsaid)} calls are not stored of a list whose count matches"
        assert counts_add_up(self.harness, self.name)

    def settle(self) -> None:
        """A day later all is quiet, and one run by hand does every lookback: now everything is stored, as it is."""
        self.clock.sleep(25 * 3600)
        began = self.clock.now()
        status = self.play(Act("sync", 0))
        assert status == "succeeded", self.harness.rows(LAST, name=self.name)
        self.check()
        if self.blind:
            return
        since = self.clock.now() - WEEK + hours(1)
        lost = self.lost(since)
        obliged = {c.call_id for c in self.world.calls(self.provider) if c.call_id in self.obliged and self.lists_of(c)}
        lost |= obliged - self.harness.stored_ids(self.name)
        assert lost == set(), f"{len(lost)} calls were listed all the time and are not stored"
        fresh = {c.call_id for c in self.world.calls(self.provider) if c.created_at >= since or self._is_still(c)}
        missing = {row["id"] for row in self.harness.rows(MISSING, name=self.name)}
        assert {c.call_id for c in self.world.calls(self.provider)} & missing == set()
        # What changed while the run read is true both as it was and as it is.
        before, after = (
            {each.partition(":")[0]: each for each in differences(self.harness, self.name, at, provider=self.provider)}
            for at in (began, self.clock.now())
        )
        stale = [after[each] for each in before.keys() & after.keys() if each.partition(".")[0] in fresh]
        assert stale == [], stale[:5]

    def _is_still(self, call: SimulatedCall) -> bool:
        return not call.overrides and call.listed_from == call.created_at and call.created_at < NOW - SETTLED


def play(db: Engine, schedule: Schedule) -> None:
    """Play a schedule to its end; raises AssertionError as soon as something is wrong."""
    playing = Play(db, schedule)
    for act in schedule.acts:
        playing.play(act)
        playing.check()
    playing.settle()
