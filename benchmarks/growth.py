"""A source that grows → what a run with nothing new, and one with 100 new calls, costs at each size.

``python -m benchmarks.growth [SMALL LARGE]``, 10,000 and 1,000,000 calls where none are named.
"""

import sys
from collections.abc import Sequence
from statistics import median

import psycopg

from benchmarks import report
from benchmarks.contenders import CONTENDERS
from benchmarks.environments import ROOT, environment
from benchmarks.measure import Cost
from benchmarks.multiply import multiply
from benchmarks.rounds import SOURCES, Bench, Simulator, bench

CALLHOUSE = CONTENDERS[0]
BASE, NEW, TIMES = 10_000, 100, 3


def grown(measuring: Bench, simulator: Simulator, source: str, size: int) -> list[str]:
    """The lines of one source at one size."""
    simulator.ask(f"_hide/{NEW}")
    simulator.ask("_times/1")
    measuring.renew(migrated=True)
    measuring.measure(CALLHOUSE, (source,))
    with psycopg.connect(measuring.url) as connection:
        stored = connection.execute("SELECT count(*) FROM warehouse.calls").fetchone()
        copies = max(0, round((size - NEW) / stored[0]) - 1) if stored else 0
        multiply(connection, copies, turns=False)
    with psycopg.connect(measuring.url, autocommit=True) as connection:
        # unlike a batch of a run, each multiplying statement rewrote every rollup row
        connection.execute("VACUUM FULL warehouse.call_rollup, warehouse.stream_rollup_daily")
        connection.execute("VACUUM ANALYZE")
    simulator.ask(f"_times/{copies + 1}")
    measuring.measure(CALLHOUSE, (source,))  # the total has changed, which one run examines
    unchanged = [measuring.measure(CALLHOUSE, (source,)) for _ in range(TIMES)]
    simulator.ask("_hide/0")
    new = measuring.measure(CALLHOUSE, (source,))
    lines = [_line(source, size, "nothing new", unchanged), _line(source, size, f"{NEW} new", [new])]
    sys.stderr.write("\n".join([*lines, ""]))
    return lines


def _line(source: str, size: int, what: str, runs: Sequence[tuple[Cost, int]]) -> str:
    client, server = (median(getattr(cost, of) for cost, _ in runs) for of in ("client", "database"))
    return f"| {source} | {size:,} | {what} | {runs[-1][1]} | {client:.2f} | {server:.2f} |"


def main() -> None:
    """The table, on the terminal and in the page."""
    sizes = [int(size) for size in sys.argv[1:]] or [10_000, 1_000_000]
    environment(CALLHOUSE.lock)
    with bench(min(BASE, *sizes)) as (measuring, simulator):
        lines = [line for source in SOURCES for size in sizes for line in grown(measuring, simulator, source, size)]
    head = ["| source | calls stored | run | requests | client CPU s | database CPU s |", "|---|--:|---|--:|--:|--:|"]
    caption = f"By `python -m benchmarks.growth {' '.join(map(str, sizes))}`; nothing new: medians of {TIMES} runs."
    report.put(ROOT / "docs" / "benchmarks.md", "python -m benchmarks.growth", [caption, "", *head, *lines, ""])


if __name__ == "__main__":
    main()
