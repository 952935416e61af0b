"""The demo's warehouse → a page of text that a person enjoys reading, no line of it over 80 columns."""

from collections.abc import Sequence
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
    ("newest call, UTC", "left"),
)


def summary(db: Engine, url: str, reports: Sequence[RunResult], seconds: float, page: str | None = None) -> None:
    """Print what is in the warehouse now, how complete it is, what was odd, and what to try next.

    ``page`` is where it can be seen going on.
    """
    console = Console(highlight=False, soft_wrap=True)
    with db.connect() as connection:
        by_source = fetch_all(connection, STATUS.demo_sources)
        odd, drift = fetch_all(connection, STATUS.flag_counts), fetch_all(connection, DRIFT.most_frequent_drift)
    console.print("\n[bold]Every call of four providers, in one warehouse[/]\n")
    console.print(_table(by_source))
    console.print()
    _completeness(console, by_source)
    received, requests = sum(r.counts.received for r in reports), sum(r.requests for r in reports)
    _line(console, "Read", f"{received:,} records in {requests:,} requests, {seconds:.0f} s; transcripts included")
    for report in reports:
        if report.error:
            _line(console, "Failed", report.error, "red")
    _oddities(console, by_source, odd, drift)
    _next_steps(console, url)
    if page:
        _the_page(console, page)


def _table(rows: Sequence[Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name, justify in COLUMNS:
        table.add_column(name, justify="right" if justify == "right" else "left", no_wrap=True)
    for row in rows:
        newest = f"{row.newest_call_at:%Y-%m-%d %H:%M}" if row.newest_call_at else "none"
        cost = "" if row.cost is None else f"{row.cost:,.2f}"
        numbers = (f"{row.calls:,}", f"{row.answered:,}", f"{row.minutes:,.1f}", cost)
        table.add_row(row.source, *numbers, row.cost_unit or "", f"{row.turns:,}", newest)
    return table


def _completeness(console: Console, rows: Sequence[Any]) -> None:
    short = [row for row in rows if row.completeness not in ("count_match", "verified")]
    if not short:
        _line(console, "Complete", "yes: each provider lists as many calls as the warehouse holds", "green")
    for row in short:
        colour = "red" if row.completeness == "incomplete" else "yellow"
        _line(console, "Complete", f"{row.source}: {row.completeness}; `etl status` says why", colour)


def _oddities(console: Console, by_source: Sequence[Any], odd: Sequence[Any], drift: Sequence[Any]) -> None:
    waiting = sum(row.quarantined for row in by_source)
    _line(
        console, "Quarantine", f"{waiting:,} records became no row" if waiting else "empty: every record became a row"
    )
    _line(console, "Drift", "fields and words nobody knows yet" if drift else "none: every field and word is known")
    for row in drift:
        console.print(
            _cut(f"  {row.record_count:>6,} ×  {row.source}  {row.kind.replace('_', ' ')} {row.field}: {row.detail}")
        )
    _line(console, "Odd", "kept as sent, and flagged in quality_flags:" if odd else "nothing")
    for row in odd:
        said = f"{row.calls:>8,} calls  {row.flag.replace('_', ' '):<26}"
        console.print(_cut(said).append(f"  {row.sources}"[: 78 - len(said)], style="dim"))


def _next_steps(console: Console, url: str) -> None:
    console.print("\n[bold]For your BI tool[/]")
    console.print(Text(f"  {url}", style="cyan"))
    console.print("\n[bold]Three queries to try[/] in [cyan]etl db psql demo[/]")
    for title, query in QUERIES:
        console.print(Text(f"\n  -- {title}", style="dim"))
        for line in f"{query.decode()};".split("\n"):
            console.print(Text(f"  {line}"))
    console.print("\nThe server stays up: [cyan]etl db stop[/] ends it. Next: a key into .env, and [cyan]etl check[/].")


def _the_page(console: Console, page: str) -> None:
    console.print("\n[bold]Watch it go on[/]: calls come in every minute, until Ctrl-C")
    console.print(Text(f"  {page}", style="bold cyan"))


def _line(console: Console, label: str, said: str, style: str = "") -> None:
    console.print(Text.assemble((f"{label:<12}", "bold"), (said, style)))


def _cut(said: str) -> Text:
    return Text(said if len(said) <= 80 else f"{said[:79]}…")
