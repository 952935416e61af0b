"""Progress, results and tables as text: bars on a terminal, one line per step elsewhere."""

import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from etl.cli.output import printable
from etl.reports.backfill_plan import BackfillPlan
from etl.reports.status import SourceStatus
from etl.runtime import humanize
from etl.runtime.humanize import counted, duration
from etl.runtime.logs import event
from etl.state.daily_checks import WORST_FIRST, DayStatus
from etl.sync.replay import ReplayDiff
from etl.sync.run import Progress, ProgressCallback, RunResult

log = logging.getLogger("etl.progress")


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
        TextColumn("{task.fields[what]:<13}"),
        BarColumn(bar_width=13),
        TextColumn("{task.completed:>9,.0f}"),
        TextColumn("{task.fields[rate]:>7}"),
        TextColumn("[dim]{task.fields[left]:<15}"),
    )
    tasks: dict[tuple[str, str], TaskID] = {}
    rates = _Rates()
    with Bars(*columns, console=Console(stderr=True)) as bars:

        def on_progress(at: Progress) -> None:
            per_second, seconds_left = rates(at)
            rate = "" if per_second is None else f"{per_second:,.0f}/s"
            left = "" if seconds_left is None else f"{duration(seconds_left)} left"
            key = (at.source, at.what)
            if key not in tasks:
                tasks[key] = bars.add_task("", source=at.source, what=at.what, rate="", left="", total=None)
            bars.update(tasks[key], completed=at.rows, total=at.total, rate=rate, left=left)

        yield on_progress


def result_line(result: RunResult) -> str:
    """The result of a run, in one line, with a line for each note."""
    c = result.counts
    read = (
        f"{c.received:,} received in {result.requests:,} requests: {c.inserted:,} new, {c.updated:,} changed, "
        f"{c.unchanged:,} unchanged, {c.quarantined:,} quarantined"
    )
    line = f"{result.source}: {result.status}; {read}"
    return "\n".join([line, *(f"  note: {note}" for note in result.notes)])


def replay_diff(source: str, found: ReplayDiff, *, dry_run: bool) -> str:
    """What a replay changed, or would change, by column, with the key of one call each."""
    would = "would change" if dry_run else "changed"
    lines = [f"{source}: {found.calls:,} calls replayed, {found.changed:,} {would}"]
    lines += [
        f"  {column}: {times:,} calls, for example {found.examples[column]}"
        for column, times in found.columns.most_common()
    ]
    return "\n".join(lines)


def plans_table(plans: Sequence[BackfillPlan]) -> None:
    """Print what a backfill would take, stream by stream."""
    from rich.console import Console
    from rich.table import Table

    table = Table("source", "requests", "rows", "time", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for plan in plans:
        time = "unknown" if plan.seconds is None else duration(plan.seconds)
        table.add_row(plan.source, _number(plan.requests), _number(plan.rows), time)
        for part in plan.streams if len(plan.streams) > 1 else ():
            table.add_row(
                f"  number ending {part.partition[-2:]}", _number(part.requests), _number(part.rows), "", style="dim"
            )
        if plan.transcripts:
            table.add_row("  transcripts", _number(plan.transcripts), "", "", style="dim")
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    if any(plan.requests is None for plan in plans):
        console.print("unknown: the provider gives no total")
    console.print("Nothing was loaded. Run the same command without --plan to load it; sources are read in parallel.")


def _number(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,}"


COLOURS = {"verified": "green", "count_match": "green", "incomplete": "red"}
LABELS = {"verified": "verified", "count_match": "counts match", "incomplete": "incomplete", "unknown": "unknown"}


def status_table(rows: Sequence[SourceStatus]) -> None:
    """Print the status of each source, one block per source."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for row in rows:
        name = row["source"] + ("" if row["is_configured"] else " (no longer configured)")
        console.print(Text(name, style="bold"))
        for label, text, style in _facts(row):
            console.print(Text.assemble((f"  {label:<13}", "dim"), (text, style)))
        for line in _remarks(row):
            console.print(Text(f"  {printable(line)}", style="yellow"))


def day_statuses_table(found: Mapping[str, Sequence[DayStatus]]) -> None:
    """Print the result of `etl verify`: a line per source, and one for each day that is incomplete or unknown."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for source, days in found.items():
        counts = Counter(day.status for day in days)
        worst = next((word for word in WORST_FIRST if counts[word]), "unknown")
        statuses = ", ".join(f"{counts[word]:,} {LABELS[word]}" for word in reversed(WORST_FIRST) if counts[word])
        text = f"{_days(days)}: {statuses}" if days else "nothing was compared"
        console.print(Text.assemble((source, "bold"), "  ", (LABELS[worst], COLOURS.get(worst, "yellow")), f"  {text}"))
        for first, last in _alike([day for day in days if day.status in ("incomplete", "unknown")]):
            when = f"{first.day}" if first == last else f"{first.day} to {last.day}"
            line = Text.assemble((f"  {when}  ", "dim"), (LABELS[first.status], COLOURS.get(first.status, "yellow")))
            console.print(line.append(f"  {printable(first.reason or '')}"))


def _days(days: Sequence[DayStatus]) -> str:
    return f"{counted(len(days), 'day')} from {days[0].day} to {days[-1].day}"


def _alike(days: Sequence[DayStatus]) -> list[tuple[DayStatus, DayStatus]]:
    """The first and last of consecutive days that are unknown for the same reason; incomplete days stand alone."""
    out: list[tuple[DayStatus, DayStatus]] = []
    for day in days:
        last = out[-1][1] if out else None
        follows = last is not None and day.day - last.day == timedelta(days=1)
        if last and follows and day.status == "unknown" and (last.status, last.reason) == ("unknown", day.reason):
            out[-1] = (out[-1][0], day)
        else:
            out.append((day, day))
    return out


def _facts(row: SourceStatus) -> list[tuple[str, str, str]]:
    last = row["last_run"]
    run = f"{last['kind']} {last['status']} {ago(last['finished_at'] or last['started_at'])}" if last else "never"
    return [
        ("newest call", ago(row["newest_call_at"]), ""),
        ("watermark", ago(row["watermark"]), ""),
        ("last run", run, "red" if last and last["status"] == "failed" else ""),
        ("last success", ago(row["last_success_at"]), ""),
        ("completeness", LABELS[row["completeness"]], COLOURS.get(row["completeness"], "yellow")),
        ("open", f"{counted(row['open_calls'], 'call')}, {row['quarantined']:,} in quarantine", ""),
        ("next run", ago(row["next_run_at"]) if row["next_run_at"] else "no daemon is running", ""),
    ]


def _remarks(row: SourceStatus) -> list[str]:
    last = row.get("last_run") or {}
    lines = [row["reason"]] if row["reason"] else []
    lines += [f"gap from {gap['from']} to {gap['to']}: the next sync reads it" for gap in row.get("gaps", [])]
    if days := row.get("incomplete_days"):
        missing = sum(day["missing_count"] for day in days)
        lines.append(f"{missing} missing on {_listed([day['day'] for day in days])}: `etl verify --heal`")
    if row.get("open_checkpoints"):
        lines.append("the history is not complete yet: the next sync resumes it")
    if row.get("paused_until") and row.get("pause_reason"):
        lines.append(f"paused until {row['paused_until']}: {row['pause_reason']}; `etl sync` tries at once")
    if (row.get("rate_per_minute") or 0) < (row.get("requests_per_minute") or 0):
        allowed, wanted = row["rate_per_minute"], row["requests_per_minute"]
        lines.append(
            f"{allowed:g} requests per minute instead of {wanted}: the provider rejects more; the rate recovers alone"
        )
    if last.get("error"):
        lines.append(last["error"])
    return lines + [f"note: {note}" for note in last.get("notes", [])]


def _listed(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more days" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def ago(stamp: str | datetime | None) -> str:
    """A time relative to the present."""
    return humanize.ago(stamp, datetime.now(UTC))
