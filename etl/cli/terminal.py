"""Progress and results as text: bars on a terminal, one line per step elsewhere."""

import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from etl.loader.batch import Counts
from etl.reports.replay_diff import ReplayDiff
from etl.runtime import humanize
from etl.runtime.humanize import counted, duration
from etl.runtime.logs import event
from etl.sync.run import Progress, ProgressCallback, RunResult

log = logging.getLogger("etl.progress")
MOST_BARS, MOST_RESULTS = 16, 20  # as many as a terminal shows


@contextmanager
def progress(sources: Sequence[str]) -> Iterator[ProgressCallback]:
    """Show on stderr how far each source has come, with a rate and the time left: as log events off a terminal."""
    if sys.stderr.isatty():
        with _bars(sources) as on_progress:
            yield on_progress
    else:
        yield _events()


class _Rates:
    """The rate of each source; a step begins where the one before it last reported progress."""

    def __init__(self) -> None:
        self._last_at: dict[str, float] = {}
        self._started_at: dict[tuple[str, str], float] = {}
        self._start = time.monotonic()
        self._lock = threading.Lock()

    def __call__(self, at: Progress) -> tuple[float | None, float | None]:
        """The rows per second and the seconds left, while known."""
        with self._lock:
            started_at = self._started_at.setdefault((at.source, at.what), self._last_at.get(at.source, self._start))
            self._last_at[at.source] = time.monotonic()
            seconds = self._last_at[at.source] - started_at
        if seconds <= 0 or not at.rows:
            return None, None
        rate = at.rows / seconds
        return rate, (at.total - at.rows) / rate if at.total and at.total > at.rows else None


def _events() -> ProgressCallback:
    rates = _Rates()

    def on_progress(at: Progress) -> None:
        rate, left = (None if value is None else round(value, 1) for value in rates(at))
        counts: dict[str, Any] = {"rows": at.rows, "total": at.total, "requests": at.requests}
        event(log, "progress", source=at.source, step=at.what, **counts, rows_per_second=rate, seconds_left=left)

    return on_progress


@contextmanager
def _bars(sources: Sequence[str]) -> Iterator[ProgressCallback]:
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TextColumn
    from rich.progress import Progress as Bars

    width = min(max(map(len, sources), default=0), 16)
    columns = (
        TextColumn(f"[bold]{{task.fields[source]:<{width}.{width}}}"),
        TextColumn("{task.fields[what]:<16}"),
        BarColumn(bar_width=10),
        TextColumn("{task.completed:>9,.0f}"),
        TextColumn("{task.fields[rate]:>7}"),
        TextColumn("[dim]{task.fields[left]:<15}"),
    )
    tasks: dict[tuple[str, str], TaskID] = {}
    rates, lock = _Rates(), threading.Lock()
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:

        def on_progress(at: Progress) -> None:
            per_second, seconds_left = rates(at)
            rate = "" if per_second is None else f"{per_second:,.0f}/s"
            left = "" if seconds_left is None else f"{duration(seconds_left)} left"
            key = (at.source, at.what)
            with lock:
                bar = tasks.pop(key, None)
                if bar is None:
                    bar = bars.add_task("", source=at.source, what=at.what, rate="", left="", total=None)
                tasks[key] = bar  # the last one is that of the latest report
                if len(tasks) > MOST_BARS:
                    bars.remove_task(tasks.pop(next(iter(tasks))))
                bars.update(bar, completed=at.rows, total=at.total, rate=rate, left=left)

        yield on_progress


def result_line(result: RunResult) -> str:
    """The result of a run, in one line, with a line for each note."""
    read = _read(result.requests, result.counts)
    return "\n".join([f"{result.source}: {result.status}; {read}", *(f"  note: {note}" for note in result.notes)])


def result_lines(results: Sequence[RunResult]) -> list[str]:
    """The results of runs; of many only those that failed or brought something, and a line that sums up all."""
    if len(results) <= MOST_RESULTS:
        return [result_line(result) for result in results]
    statuses = ", ".join(f"{count:,} {status}" for status, count in Counter(each.status for each in results).items())
    requests = sum(each.requests for each in results)
    counts = Counts(*map(sum, zip(*(each.counts for each in results), strict=True)))
    return [
        *(
            result_line(each)
            for each in results
            if each.status != "succeeded" or each.notes or _has_changes(each.counts)
        ),
        f"{len(results):,} sources: {statuses}; {_read(requests, counts)}",
    ]


def _has_changes(counts: Counts) -> bool:
    return counts.unchanged < counts.received


def _read(requests: int, c: Counts) -> str:
    return (
        f"{c.received:,} received in {counted(requests, 'request')}: {c.inserted:,} new, {c.updated:,} changed, "
        f"{c.unchanged:,} unchanged, {c.quarantined:,} quarantined"
    )


def replay_diff(source: str, found: ReplayDiff, *, dry_run: bool) -> str:
    """What a replay changed, or would change, by column, with the key of one call each."""
    would = "would change" if dry_run else "changed"
    lines = [f"{source}: {found.calls:,} calls replayed, {found.changed:,} {would}"]
    lines += [
        f"  {column}: {times:,} calls, for example {found.examples[column]}"
        for column, times in found.columns.most_common()
    ]
    return "\n".join(lines)


def ago(stamp: str | datetime | None) -> str:
    """A time relative to the present."""
    return humanize.ago(stamp, datetime.now(UTC))
