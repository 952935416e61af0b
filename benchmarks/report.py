"""Results → docs/benchmarks.md between its two marks, and the plots beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import aims
from benchmarks.contenders import CONTENDERS
from benchmarks.plots import bars

MAIN = "make bench"
END = "<!-- up to here -->"
TITLES = {
    "backfill": "The whole history",
    "nothing": "A run with nothing new",
    "again": "The whole history read again",
    "apart": "Vaani with a request per transcript",
}
ABOUT = {
    "backfill": "{calls:,} calls of each provider, {all:,} in all; {received:.0f} MB as received.",
    "nothing": "The same command once more, on the database that it has just filled.",
    "again": "`etl backfill --again` on the database that has just been filled: no record has changed.",
    "apart": "{calls:,} calls of Vaani, whose answered calls take a request for their transcript each.",
}

Runs = Sequence[Mapping[str, Any]]


def write(results: Mapping[str, Any], page: Path, command: str = MAIN) -> None:
    """Put the results into the part of a page that a command writes; the main one has plots, in a folder beside it."""
    plots = page.parent / page.stem if command == MAIN else None
    rows = {case: _rows(results, case) for case in TITLES if any(run["case"] == case for run in results["runs"])}
    lines = [*_head(results), *(aims.table(rows, results["calls"]) if plots else [])]
    for case in rows:
        lines += _case(results, case, rows[case], plots)
    put(page, command, lines)


def put(page: Path, command: str, lines: Sequence[str]) -> None:
    """Put lines into the part of a page that a command writes, instead of those that were there."""
    begin = f"<!-- from here on written by `{command}` -->"
    before, found, rest = page.read_text().partition(begin)
    if not found:
        raise ValueError(f"{page} has no line {begin}")
    page.write_text("\n".join([before + begin, "", *lines, END]) + rest.partition(END)[2])


def _head(results: Mapping[str, Any]) -> list[str]:
    machine = results["machine"]
    return [
        f"Measured {results['at']} by `{results['command']}`: medians of {results['rounds']} rounds on"
        f" {machine['cores']} cores, shared by simulator, client and PostgreSQL {machine['postgres']};"
        f" Python {machine['python']}; load before it {machine['load']:.1f}.",
        "",
    ]


def _rows(results: Mapping[str, Any], case: str) -> dict[str, dict[str, Any]]:
    rows = {contender.name: _medians(results["runs"], case, contender.name) for contender in CONTENDERS}
    received = {"bytes": results["received"]} if "received" in results else {}
    return {name: row | received for name, row in rows.items() if row}


def _case(results: Mapping[str, Any], case: str, rows: dict[str, dict[str, Any]], plots: Path | None) -> list[str]:
    calls = results["calls"]
    about = ABOUT[case].format(calls=calls, all=4 * calls, received=results.get("received", 0) / 1e6)
    lines = [*([f"## {TITLES[case]}", ""] if plots else []), about, ""]
    lines += ["| | stores | wall s | client CPU s | database CPU s | memory MB | requests | disk MB | correct |"]
    lines += ["|---|---|--:|--:|--:|--:|--:|--:|---|"]
    lines += [*(_line(name, row) for name, row in rows.items()), "", *_standing(rows)]
    if plots and len(rows) > 1:
        lines += _plots(case, rows, plots)
    return lines + (_disk(rows["callhouse"]) if case == "backfill" and "callhouse" in rows else [])


def _standing(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Who is ahead of Callhouse and who is behind it, by the clock: of the contenders whose result is right."""
    if "callhouse" not in rows or len(rows) == 1:
        return []
    titles = {contender.name: contender.title for contender in CONTENDERS}
    wall = {name: row["wall"] / rows["callhouse"]["wall"] for name, row in rows.items() if not row["wrong"]}
    shown = {name: f"{titles[name]} ({wall[name]:.2f})" for name in sorted(wall, key=wall.__getitem__)}
    ahead = ", ".join(shown[name] for name in shown if wall[name] < 1) or "none"
    behind = ", ".join(shown[name] for name in shown if wall[name] > 1) or "none"
    return [f"Wall time, Callhouse's being 1. Ahead of it: {ahead}. Behind it: {behind}.", ""]


def _plots(case: str, rows: dict[str, dict[str, Any]], plots: Path) -> list[str]:
    plots.mkdir(exist_ok=True)
    wall, cpu = plots / f"{case}-wall.svg", plots / f"{case}-cpu.svg"
    titles = {contender.name: contender.title for contender in CONTENDERS}
    wall.write_text(bars(f"{TITLES[case]}: seconds", "s", {titles[n]: [row["wall"]] for n, row in rows.items()}))
    both = {titles[n]: [row["client"], row["database"]] for n, row in rows.items()}
    cpu.write_text(bars(f"{TITLES[case]}: processor seconds", "s", both, ("client", "database")))
    return [*(f"![{TITLES[case]}]({plots.name}/{plot.name})" for plot in (wall, cpu)), ""]


def _medians(runs: Runs, case: str, name: str) -> dict[str, Any]:
    chosen = [run for run in runs if (run["case"], run["contender"]) == (case, name) and run["cost"]]
    if not chosen:
        return {}
    costs = {of: median(run["cost"][of] for run in chosen) for of in chosen[0]["cost"]}
    return {
        **costs,
        "requests": chosen[-1]["requests"],
        "received": chosen[-1]["received"],
        "disk": chosen[-1]["disk"],
        "wrong": [w for r in chosen for w in r["wrong"]],
    }


def _line(name: str, row: Mapping[str, Any]) -> str:
    contender = next(contender for contender in CONTENDERS if contender.name == name)
    shown = [f"{row['wall']:.2f}", f"{row['client']:.2f}", f"{row['database']:.2f}", f"{row['memory']:.0f}"]
    correct = "no: " + row["wrong"][0] if row["wrong"] else "yes"
    cells = [
        contender.title,
        contender.stores,
        *shown,
        f"{row['requests']:,}",
        f"{row['disk']['all'] / 1e6:.0f}",
        correct,
    ]
    return f"| {' | '.join(cells)} |"


def _disk(row: Mapping[str, Any]) -> list[str]:
    """Callhouse's bytes on disk for each 1,000 bytes received, by part."""
    received, disk = row["bytes"] / 1000, row["disk"]
    parts = {
        "raw payloads": "raw.payloads",
        "calls": "warehouse.calls",
        "turns": "warehouse.transcripts",
        "indexes": "indexes",
    }
    shares = {title: disk.get(part, 0) / received for title, part in parts.items()}
    shares["sync state and the rest"] = disk["all"] / received - sum(shares.values())
    lines = ["Callhouse's bytes on disk for each 1,000 bytes received:", "", f"| {' | '.join(shares)} | all |"]
    lines += [
        f"|{'--:|' * (len(shares) + 1)}",
        f"| {' | '.join(f'{n:,.0f}' for n in shares.values())} | {disk['all'] / received:,.0f} |",
    ]
    return [*lines, ""]
