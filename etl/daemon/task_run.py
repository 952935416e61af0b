"""A task of the daemon, one run of it, and the clock by which the run shows that it is alive."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from etl.model import Source
from etl.runtime.clock import Clock, Stopped
from etl.sync.run import SourceRun

TURN_SECONDS, CHECK_SECONDS = 60.0, 1.0


class TaskKind(StrEnum):
    """What is done with a source: read its newest calls, read what is not stored of its history, verify it."""

    HEAD = "head"
    BACKLOG = "backlog"
    VERIFY = "verify"


@dataclass(frozen=True, slots=True)
class Task:
    """One kind of work on one source."""

    source: Source
    kind: TaskKind

    @property
    def job_id(self) -> str:
        """The id of its job; no job runs twice at once."""
        return f"{self.kind} {self.source.name}"


@dataclass(slots=True, eq=False)
class TaskRun:
    """One run of a task: ``run`` once it is stored, and its heartbeats."""

    task: Task
    run: SourceRun | None = None
    was_abandoned: bool = False
    is_outdated: bool = False  # its source was removed or changed meanwhile
    requeue: bool = False  # it was interrupted because other tasks wait, and has more to do
    was_interrupted: bool = False  # for that reason, because the process ends, or because another one does the same
    heartbeats: int = 0
    checks: tuple[int, int] = field(
        default=(0, 0)
    )  # the heartbeats at the last check, and the checks without a new one

    def is_silent_at_check(self, most: int) -> bool:
        """Check for new heartbeats; whether the last ``most`` checks found none."""
        before, silent_checks = self.checks
        self.checks = (self.heartbeats, silent_checks + 1 if before == self.heartbeats else 0)
        return self.checks[1] >= most


class HeartbeatClock:
    """A clock that counts how often a run uses it: each request, batch and wait does, and a run that hangs does not.

    A run ends at its next wait if its source was removed or changed, or if others should go first: most of them once
    it has had its turn, so that a source that asks for a long wait, or has years to read, does not hold a thread for
    long. ``should_give_way`` is asked, once a second at most, whether there are such others, given whether it has.
    """

    def __init__(self, clock: Clock, task_run: TaskRun, should_give_way: Callable[[bool], bool]) -> None:
        self._clock, self._task_run, self._should_give_way = clock, task_run, should_give_way
        now = clock.monotonic()
        self._turn_ends, self._next_check = now + TURN_SECONDS, now + CHECK_SECONDS

    def now(self) -> datetime:
        """The wall clock: aware, UTC."""
        self._task_run.heartbeats += 1
        return self._clock.now()

    def monotonic(self) -> float:
        """Seconds that never step back."""
        self._task_run.heartbeats += 1
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleep; raises :class:`~etl.runtime.clock.Stopped` where the run gives way, or the process ends."""
        self._task_run.heartbeats += 1
        if self._task_run.is_outdated:
            raise Stopped
        now = self._clock.monotonic()
        if now >= self._next_check:
            self._next_check = now + CHECK_SECONDS
            if self._should_give_way(now >= self._turn_ends):
                self._task_run.requeue = True
                raise Stopped
        self._clock.sleep(seconds)
