"""The demo's warehouse → a summary of at most 80 columns."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from etl.db.statements import Statements, fetch_all
from etl.sync.run import RunResult

STATUS, DRIFT, EXAMPLES = Statements("status"), Statements("schema_drift"), Statements("examples")
QUERIES = (
    ("answered calls and minutes of the last week, day by day", EXAMPLES.calls_by_day),
    ("what a minute costs, by agent and unit", EXAMPLES.cost_per_minute),
    ("the newest conversation, turn by turn", EXAMPLES.newest_conversation),
)
COLUMNS = (
    ("source", "left"),
    ("calls", "right"),
    ("answered", "right"),
    ("minutes", "right"),
    ("cost", "right"),
    ("unit", "left"),
    ("turns", "right"),
    ("newest day", "left"),
)


def summary(db: Engine, url: str, reports: Sequence[RunResult], seconds: float, page: str | None = None) -> None:
    """Print what the warehouse holds, how complete it is, its data-quality flags, and what to try next.

    ``page`` is the address of the daemon's page.
    """
    console = Console(highlight=False, soft_wrap=True)
    with db.connect() as connection:
        by_source = fetch_all(connection, STATUS.demo_sources)
        flagged, drift = fetch_all(connection, STATUS.flag_counts), fetch_all(connection, DRIFT.most_frequent_drift)
    console.print("\n[bold]Every call of four providers, in one warehouse[/]\n")
    console.print(_table(by_source))
    console.print()
    _completeness(console, by_source)
    received, requests = sum(r.counts.received for r in reports), sum(r.requests for r in reports)
    _line(console, "Read", f"{received:,} records in {requests:,} requests, {seconds:.0f} s; transcripts included")
    for report in reports:
        if report.error:
            _line(console, "Failed", f"{report.source}: {report.error}", "red")
    _data_quality(console, by_source, flagged, drift)
    _next_steps(console, url)
    if page:
        _the_page(console, page)


def _table(rows: Sequence[Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name, justify in COLUMNS:
        table.add_column(name, justify="right" if justify == "right" else "left", no_wrap=True)
    for row in rows:
        newest = f"{row.newest_call_at:%Y-%m-%d}" if row.newest_call_at else "none"
        cost = "" if row.cost is None else f"{row.cost:,.2f}"
        numbers = (f"{row.calls:,}", f"{row.answered:,}", f"{row.minutes:,.1f}", cost)
        table.add_row(row.source, *numbers, row.cost_unit or "", f"{row.turns:,}", newest)
    return table


def _completeness(console: Console, rows: Sequence[Any]) -> None:
    incomplete = [row for row in rows if row.completeness not in ("count_match", "verified")]
    if not incomplete:
        _line(console, "Complete", "yes: for each provider the counts match", "green")
    for row in incomplete:
        colour = "red" if row.completeness == "incomplete" else "yellow"
        _line(console, "Complete", f"{row.source}: {row.completeness}; `etl status` shows why", colour)


def _data_quality(console: Console, by_source: Sequence[Any], flagged: Sequence[Any], drift: Sequence[Any]) -> None:
    waiting = sum(row.quarantined for row in by_source)
    _line(
        console,
        "Quarantine",
        f"{waiting:,} records could not be loaded" if waiting else "empty: every record was loaded",
    )
    _line(console, "Drift", "unknown fields and values:" if drift else "none: every field and value is known")
    for row in drift:
        console.print(
            _cut(f"  {row.record_count:>6,} ×  {row.source}  {row.kind.replace('_', ' ')} {row.field}: {row.detail}")
        )
    _line(console, "Data quality", "kept as sent, and flagged in quality_flags:" if flagged else "no flags")
    for row in flagged:
        text = f"{row.calls:>8,} calls  {row.flag.replace('_', ' '):<26}"
        console.print(_cut(text).append(f"  {row.sources}"[: 78 - len(text)], style="dim"))


def _next_steps(console: Console, url: str) -> None:
    console.print("\n[bold]For your BI tool[/]")
    console.print(Text(f"  {url}", style="cyan"))
    console.print(f"\n[bold]Three queries to try[/] in [cyan]{_etl()} db psql demo[/]")
    for title, query in QUERIES:
        console.print(Text(f"\n  -- {title}", style="dim"))
        for line in f"{query.decode()};".split("\n"):
            console.print(Text(f"  {line}"))
    console.print(f"\nThe server runs until [cyan]{_etl()} db stop[/]. Next: a key into .env, [cyan]{_etl()} check[/].")


def _etl() -> str:
    """The command as this terminal finds it: in a checkout it is not on PATH."""
    program = Path(sys.argv[0])
    is_found = shutil.which("etl") is not None or program.name != "etl"
    return "etl" if is_found else os.path.relpath(program)


def _the_page(console: Console, page: str) -> None:
    console.print("\n[bold]Watch it live[/]: new calls arrive every minute, until Ctrl-C")
    console.print(Text(f"  {page}", style="bold cyan"))


def _line(console: Console, label: str, message: str, style: str = "") -> None:
    console.print(Text.assemble((f"{label:<14}", "bold"), (message, style)))


def _cut(line: str) -> Text:
    return Text(line if len(line) <= 80 else f"{line[:79]}…")
