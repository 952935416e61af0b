"""Every contender in turn, some rounds, on the same calls and the same PostgreSQL → results, and a page of them."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import history, report
from benchmarks.contenders import CONTENDERS, Contender
from benchmarks.environments import environment
from benchmarks.measure import Failed
from benchmarks.rounds import CASES, WORK, Bench, bench


def main() -> int:
    """The command line."""
    parse = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parse.add_argument("--calls", type=int, default=20_000, help="how many per provider (default 20,000)")
    parse.add_argument("--rounds", type=int, default=3, help="how often each is run; the medians count")
    parse.add_argument("--only", default="", help="contenders, comma-separated")
    parse.add_argument("--cases", default=",".join(CASES), help="backfill, nothing, apart")
    parse.add_argument("--results", type=Path, default=WORK / "results.json", help="where the results go")
    parse.add_argument("--report", type=Path, help="the page to write the results into")
    asked = parse.parse_args()
    chosen = [each for each in CONTENDERS if not asked.only or each.name in asked.only.split(",")]
    for lock in dict.fromkeys(each.lock for each in chosen):
        environment(lock)
    with bench(asked.calls) as (measuring, _):
        results = measure_all(measuring, asked.cases.split(","), chosen, asked.rounds)
    results |= {
        "calls": asked.calls,
        "rounds": asked.rounds,
        "command": " ".join(["python -m benchmarks", *sys.argv[1:]]),
    }
    results |= {"received": history.received(asked.calls)} if "backfill" in asked.cases else {}
    asked.results.write_text(json.dumps(results, indent=1, default=str))
    if asked.report:
        report.write(results, asked.report)
    return 1 if any(each["wrong"] for each in results["runs"]) else 0


def measure_all(measuring: Bench, cases: Sequence[str], chosen: Sequence[Contender], rounds: int) -> dict[str, Any]:
    """Round by round, so that what else the machine does falls on all of them."""
    runs: list[dict[str, Any]] = []
    for case in cases:
        for number in range(rounds):
            turn = number % len(chosen)  # whoever is first has the quietest machine
            for contender in (*chosen[turn:], *chosen[:turn]):
                if case in contender.cases:
                    runs.append(_said(measuring, case, contender, number))
    return {
        "runs": runs,
        "at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": _machine() | {"postgres": measuring.release()},
    }


def _said(measuring: Bench, case: str, contender: Contender, number: int) -> dict[str, Any]:
    try:
        run = asdict(measuring.run(case, contender))
    except Failed as failed:
        run = {"case": case, "contender": contender.name, "cost": None, "wrong": [str(failed)]}
    cost = run["cost"] and " ".join(f"{name} {value:.2f}" for name, value in run["cost"].items())
    sys.stderr.write(f"{case} {number + 1} {contender.name}: {cost} {'; '.join(run['wrong'])[:1000] or 'right'}\n")
    return run


def _machine() -> dict[str, Any]:
    return {"cores": len(os.sched_getaffinity(0)), "python": platform.python_version(), "load": os.getloadavg()[0]}


if __name__ == "__main__":
    sys.exit(main())
