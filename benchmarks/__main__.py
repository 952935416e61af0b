"""Contenders → results and docs/benchmarks.md: alternating rounds on the same calls and the same PostgreSQL."""

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
    parse.add_argument("--cases", default=",".join(CASES), help="backfill, nothing, again, apart")
    parse.add_argument("--results", type=Path, default=WORK / "results.json", help="where the results go")
    parse.add_argument("--report", type=Path, help="the page to write the results into")
    parse.add_argument("--part", default=report.MAIN, help="the command that writes that part of the page")
    arguments = parse.parse_args()
    chosen = [
        contender for contender in CONTENDERS if not arguments.only or contender.name in arguments.only.split(",")
    ]
    for lock in dict.fromkeys(contender.lock for contender in chosen):
        environment(lock)
    with bench(arguments.calls) as (measuring, _):
        results = measure_all(measuring, arguments.cases.split(","), chosen, arguments.rounds)
    results |= {
        "calls": arguments.calls,
        "rounds": arguments.rounds,
        "command": " ".join(["python -m benchmarks", *sys.argv[1:]]),
    }
    results |= {"received": history.received(arguments.calls)} if "backfill" in arguments.cases else {}
    arguments.results.write_text(json.dumps(results, indent=1, default=str))
    if arguments.report:
        report.write(results, arguments.report, arguments.part)
    return 1 if any(run["wrong"] for run in results["runs"]) else 0


def measure_all(measuring: Bench, cases: Sequence[str], chosen: Sequence[Contender], rounds: int) -> dict[str, Any]:
    """Round by round, so that other load on the machine affects all contenders alike."""
    runs: list[dict[str, Any]] = []
    for case in cases:
        for number in range(rounds):
            turn = number % len(chosen)  # the first one has the quietest machine
            for contender in (*chosen[turn:], *chosen[:turn]):
                if case in contender.cases:
                    runs.append(_measured(measuring, case, contender, number))
    return {
        "runs": runs,
        "at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": _machine() | {"postgres": measuring.release()},
    }


def _measured(measuring: Bench, case: str, contender: Contender, number: int) -> dict[str, Any]:
    try:
        run = asdict(measuring.run(case, contender))
    except Failed as failed:
        run = {"case": case, "contender": contender.name, "cost": None, "wrong": [str(failed)]}
    cost = run["cost"] and " ".join(f"{name} {value:.2f}" for name, value in run["cost"].items())
    sys.stderr.write(
        f"{case} {number + 1} {contender.name}: {cost} {'; '.join(run['wrong'])[:1000] or 'as expected'}\n"
    )
    return run


def _machine() -> dict[str, Any]:
    return {"cores": len(os.sched_getaffinity(0)), "python": platform.python_version(), "load": os.getloadavg()[0]}


if __name__ == "__main__":
    sys.exit(main())
