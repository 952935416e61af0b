"""Results as tables on stdout, at most 80 columns wide as far as names allow."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from etl.cli.output import printable
from etl.cli.terminal import ago
from etl.model import Retention, Source
from etl.reports.backfill_plan import BackfillPlan
from etl.reports.source_health import GOOD, OFF, SourceHealth, count_badges, worst_first
from etl.reports.status import COMPLETENESS, SourceStatus, missing_message
from etl.runtime.humanize import counted, duration
from etl.state.daily_checks import WORST_FIRST, DayStatus

COLOURS = {"verified": "green", "count_match": "green", "incomplete": "red"}
LABELS = {"verified": "verified", "count_match": "counts match", "incomplete": "incomplete", "unknown": "unknown"}
STATUS_COLUMNS = ("source", "calls", "open", "newest call", "last success", "completeness", "next run")
LISTED_SOURCES = 20
NUMBERS = ("calls", "open", "days")


def plans_table(plans: Sequence[BackfillPlan]) -> None:
    """Print what a backfill would take, stream by stream."""
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
    console = _console()
    console.print(table)
    if any(plan.requests is None for plan in plans):
        console.print("unknown: the provider gives no total")
    console.print("Nothing was loaded. Run the same command without --plan to load it; sources are read in parallel.")


def _number(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,}"


def status_table(
    rows: Sequence[SourceStatus], sources: Sequence[Source], now: datetime, *, shows_all: bool = False
) -> None:
    """Print the totals, a line per source, the worst first, and below each what needs attention.

    Of many sources only those that are worst off are listed, and the others counted.
    """
    assessed = worst_first(rows, sources, now)
    listed = assessed if shows_all else assessed[:LISTED_SOURCES]
    badges = ", ".join(f"{count:,} {badge}" for badge, count in count_badges(assessed).items())
    _console().print(f"{counted(len(rows), 'source')}: {badges}")
    _console().print(_sums(rows))
    for line in _kept([each.source for each in assessed if each.source]):
        _console().print(line)
    lines = [[(remark, "yellow") for remark in _remarks(each.row, each.health)] for each in listed]
    _print_rows(STATUS_COLUMNS, [_status_cells(each.row) for each in listed], lines)
    if hidden := len(assessed) - len(listed):
        _console().print(f"and {counted(hidden, 'source')} more: `etl status --all`, or `etl status SOURCE`")


def day_statuses_table(found: Mapping[str, Sequence[DayStatus]]) -> None:
    """Print the result of `etl verify`: a line per source, below it the days that are incomplete or unknown.

    Of many sources those without such a day are only counted.
    """
    cells, remarks = [], []
    listed = found
    if len(found) > LISTED_SOURCES:
        listed = {name: days for name, days in found.items() if not days or any(_is_open(day) for day in days)}
    for source, days in listed.items():
        counts = Counter(day.status for day in days)
        worst = next((word for word in WORST_FIRST if counts[word]), "unknown")
        span = f"{days[0].day} to {days[-1].day}" if days else "nothing was compared"
        split = ", ".join(f"{counts[word]:,} {LABELS[word]}" for word in reversed(WORST_FIRST) if counts[word])
        result = f"all {LABELS[worst]}" if counts[worst] == len(days) else split
        cells.append([(source, "bold"), (f"{len(days):,}", ""), (span, ""), (result, COLOURS.get(worst, "yellow"))])
        shown = _alike([day for day in days if _is_open(day)])
        remarks.append([_day_remark(first, last) for first, last in shown])
    _print_rows(("source", "days", "from, to", "status"), cells, remarks)
    if complete := len(found) - len(listed):
        _console().print(f"{complete:,} of {len(found):,} sources: every day is verified, or its counts match")
    statuses = {day.status for days in found.values() for day in days}
    for word in reversed(WORST_FIRST):
        if word in statuses:
            _console().print(Text(f"{LABELS[word]}: {COMPLETENESS[word]}", style="dim"))


Cell = tuple[str, str]  # a text and its style


def _print_rows(header: Sequence[str], rows: Sequence[Sequence[Cell]], remarks: Sequence[Sequence[Cell]]) -> None:
    """Print aligned rows, each with the lines that belong to it indented below."""
    console = _console()
    widths = [max(len(name), *(len(row[at][0]) for row in rows)) for at, name in enumerate(header)] if rows else []
    for row, lines in zip([[(name, "bold") for name in header], *rows], [(), *remarks], strict=True):
        padded = [
            (f"{text:>{width}}" if name in NUMBERS else f"{text:<{width}}", style)
            for name, width, (text, style) in zip(header, widths, row, strict=True)
        ]
        line = Text("  ").join(Text(text, style=style) for text, style in padded)
        line.rstrip()
        console.print(line)
        for text, style in lines:
            console.print(Text(f"  {printable(text)}", style=style))


def _sums(rows: Sequence[SourceStatus]) -> str:
    calls, open_calls, waiting = (sum(row[name] for row in rows) for name in ("calls", "open_calls", "quarantined"))
    return f"{counted(calls, 'call')} stored, {open_calls:,} still open, {counted(waiting, 'record')} in quarantine"


def _kept(sources: Sequence[Source]) -> list[str]:
    """How long what is kept, where it is not forever, and of how many sources."""
    found = Counter(source.retention for source in sources if source.retention != Retention())
    return [
        f"{counted(count, 'source')}: "
        + ", ".join(
            f"{what} kept for {counted(period.days, 'day')}"
            for what, period in (("calls", kept.calls), ("transcripts", kept.transcripts), ("raw payloads", kept.raw))
            if period is not None
        )
        for kept, count in found.most_common()
    ]


def _status_cells(row: Mapping[str, Any]) -> list[Cell]:
    name = row["source"] + ("" if row["is_configured"] else " (not configured)")
    return [
        (name, "bold"),
        (f"{row['calls']:,}", ""),
        (f"{row['open_calls']:,}", ""),
        (ago(row["newest_call_at"]) if row["newest_call_at"] else "none", ""),
        (ago(row["last_success_at"]), ""),
        (LABELS[row["completeness"]], COLOURS.get(row["completeness"], "yellow")),
        (ago(row["next_run_at"]) if row["next_run_at"] else "no daemon" if row["is_configured"] else "never", ""),
    ]


def _remarks(row: Mapping[str, Any], health: SourceHealth) -> list[str]:
    last = row["last_run"] or {}
    lines = [] if health.level in (GOOD, OFF) else [f"{health.badge}: {health.message}"]
    missing = missing_message(row)
    is_explained = missing or (row["quarantined"] and row["completeness"] in ("count_match", "verified"))
    others = [None if is_explained or not last else row["reason"]]
    others += [f"gap from {gap['from']} to {gap['to']}: the next sync reads it" for gap in row["gaps"]]
    others += [missing, row["outdated_message"]]
    if row["quarantined"]:
        others.append(f"{counted(row['quarantined'], 'record')} in quarantine: `etl quarantine list` shows why")
    if row["open_checkpoints"]:
        others.append("the history is not complete yet: the next sync resumes it")
    others += [row["pause_message"], row["metrics_message"]]
    if (row["rate_per_minute"] or 0) < (row["requests_per_minute"] or 0):
        allowed, wanted = row["rate_per_minute"], row["requests_per_minute"]
        others.append(
            f"{allowed:g} requests per minute instead of {wanted}: the provider rejects more; the rate recovers alone"
        )
    others.append(None if row["pause_reason"] else last.get("error"))  # a pause says its cause
    lines += [line for line in others if line and line != health.message]
    return lines + [f"note: {note}" for note in last.get("notes", []) if note not in (*lines, health.message)]


def _day_remark(first: DayStatus, last: DayStatus) -> Cell:
    when = f"{first.day}" if first == last else f"{first.day} to {last.day}"
    reason = f": {first.reason}" if first.reason else ""
    return f"{when}  {LABELS[first.status]}{reason}", COLOURS.get(first.status, "yellow")


def _is_open(day: DayStatus) -> bool:
    return day.status in ("incomplete", "unknown")


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


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)
