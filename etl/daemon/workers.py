"""Work that is due → threads that do it: a few of each kind, and no source twice at once in one kind."""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from etl.model import Source
from etl.runtime.clock import Clock, Stopped
from etl.sync.run import SourceRun

TURN_SECONDS = 60.0


class TaskKind(StrEnum):
    """What is done with a source: its newest calls, what older coverage lacks, the proof that none is missing."""

    HEAD = "live"
    BACKLOG = "history"
    VERIFY = "verify"


@dataclass(frozen=True, slots=True)
class Task:
    """One kind of work on one source."""

    source: Source
    kind: TaskKind

    @property
    def key(self) -> tuple[str, TaskKind]:
        """What is never at work twice."""
        return self.source.name, self.kind


@dataclass(slots=True, eq=False)
class TaskRun:
    """A task at work: whose run it is, once there is one, and how often it was seen to move."""

    task: Task
    run: SourceRun | None = None
    was_abandoned: bool = False
    requeue: bool = False  # it was cut short for others' sake, and waits for its next turn
    heartbeats: int = 0
    checks: tuple[int, int] = field(default=(0, 0))  # the moves at the last look, and how many looks saw no more

    def is_silent(self, looks: int) -> bool:
        """Look at it; whether it has not moved for so many looks. A machine that slept has not looked either."""
        moves, times = self.checks
        self.checks = (self.heartbeats, times + 1 if moves == self.heartbeats else 0)
        return self.checks[1] >= looks


class HeartbeatClock:
    """A clock that feels when a run looks at it: each request, batch and wait does, and what hangs does not.

    A run whose turn has been long ends at its next wait if others are waited for: a source that is told to wait, or has
    years to read, takes no hand from the rest.
    """

    def __init__(self, clock: Clock, stint: TaskRun, is_waited_for: Callable[[], bool]) -> None:
        self._clock, self._stint, self._is_waited_for = clock, stint, is_waited_for
        self._turn_ends = clock.monotonic() + TURN_SECONDS

    def now(self) -> datetime:
        """The wall clock: aware, UTC."""
        self._stint.heartbeats += 1
        return self._clock.now()

    def monotonic(self) -> float:
        """Seconds that never step back."""
        self._stint.heartbeats += 1
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        """Waits that long; raises :class:`~etl.runtime.clock.Stopped` where the turn is over."""
        self._stint.heartbeats += 1
        if self._clock.monotonic() >= self._turn_ends and self._is_waited_for():
            self._stint.requeue = True
            raise Stopped
        self._clock.sleep(seconds)


class WorkerPool:
    """Threads for each kind of work, started as they are needed; ``perform`` does one stint and raises nothing."""

    def __init__(self, hands: Mapping[TaskKind, int], perform: Callable[[TaskRun], None]) -> None:
        self._perform = perform
        self._waiting: dict[TaskKind, deque[Task]] = {kind: deque() for kind in hands}
        self._free = dict(hands)
        self._at_work: dict[tuple[str, TaskKind], TaskRun] = {}
        self._changed = threading.Condition()

    def submit(self, task: Task) -> bool:
        """Let a task be done as soon as a hand is free; ``False`` where it waits or is at work already."""
        with self._changed:
            if task.key in self._at_work or task in self._waiting[task.kind]:
                return False
            self._waiting[task.kind].append(task)
            self._set_to_work(task.kind)
            return True

    def is_waited_for(self, kind: TaskKind) -> bool:
        """Whether tasks of a kind wait for a hand."""
        return bool(self._waiting[kind])

    def at_work(self) -> list[TaskRun]:
        """What is being done."""
        with self._changed:
            return list(self._at_work.values())

    def abandon(self, stint: TaskRun) -> None:
        """Count a stint that hangs as gone: its hand is replaced, and its source may be read again."""
        stint.was_abandoned = True
        with self._changed:
            self._leave(stint)

    def ended_within(self, seconds: float) -> bool:
        """Begin nothing more, and wait for what is being done to end; whether all of it did."""
        with self._changed:
            for waiting in self._waiting.values():
                waiting.clear()
            return self._changed.wait_for(lambda: not self._at_work, seconds)

    def _set_to_work(self, kind: TaskKind) -> None:
        while self._free[kind] and self._waiting[kind]:
            self._free[kind] -= 1
            stint = TaskRun(self._waiting[kind].popleft())
            self._at_work[stint.task.key] = stint
            threading.Thread(
                target=self._work, args=[stint], name=f"{kind} {stint.task.source.name}", daemon=True
            ).start()

    def _work(self, stint: TaskRun) -> None:
        try:
            self._perform(stint)
        finally:
            with self._changed:
                self._leave(stint)

    def _leave(self, stint: TaskRun) -> None:
        """Once: a stint that was given up may still come to an end of its own."""
        key, kind = stint.task.key, stint.task.kind
        if self._at_work.get(key) is stint:
            del self._at_work[key]
            self._free[kind] += 1
            if stint.requeue and kind is not TaskKind.HEAD:  # the schedule brings that one again
                self._waiting[kind].append(stint.task)
            self._set_to_work(kind)
            self._changed.notify_all()
