"""Medians of the cases → the figures that were aimed at, each with the command that measures it alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Rows = Mapping[str, Mapping[str, Any]]
"""Case → contender → its medians."""

RECORDS_OF_A_PAGE = 200  # of Vaani's list


@dataclass(frozen=True, slots=True)
class Aim:
    """A figure, the most that it may be, and the options of ``python -m benchmarks`` that measure it alone."""

    title: str
    most: float
    figure: Callable[[Rows, int], float]  # of the medians and the number of calls per provider
    options: str


def _per_call(of: str) -> Callable[[Rows, int], float]:
    return lambda rows, calls: float(rows["backfill"]["callhouse"][of] / (4 * calls) * 1e6)


def _wall_against(peer: str) -> Callable[[Rows, int], float]:
    return lambda rows, calls: float(rows["backfill"]["callhouse"]["wall"] / rows["backfill"][peer]["wall"])


def _again(rows: Rows, calls: int) -> float:
    """What remains without the start of a process and its first requests, for each record received."""
    again, nothing = (rows[case]["callhouse"]["client"] for case in ("again", "nothing"))
    return float((again - nothing) / rows["again"]["callhouse"]["received"] * 1e6)


def _per_transcript(of: str) -> Callable[[Rows, int], float]:
    """What remains without the calls themselves, for each request for a transcript."""

    def figure(rows: Rows, calls: int) -> float:
        apart = rows["apart"]["callhouse"]
        rest = apart[of] - rows["backfill"]["callhouse"][of] / 4
        return float(rest / (apart["requests"] - calls / RECORDS_OF_A_PAGE) * 1000)

    return figure


def _disk(rows: Rows, calls: int) -> float:
    return float(rows["backfill"]["callhouse"]["disk"]["all"] / rows["backfill"]["callhouse"]["bytes"] * 1000)


CALLHOUSE = "--only callhouse --cases"
AIMS = (
    Aim("client, µs of processor time a call", 70, _per_call("client"), f"{CALLHOUSE} backfill"),
    Aim("database, µs of processor time a call", 60, _per_call("database"), f"{CALLHOUSE} backfill"),
    Aim("wall, of tuned dlt's", 0.75, _wall_against("dlt"), "--only callhouse,dlt --cases backfill"),
    Aim("wall, of Singer's", 1, _wall_against("singer"), "--only callhouse,singer --cases backfill"),
    Aim("wall, of dlt's with the same result", 0.5, _wall_against("dlt-same"),
        "--only callhouse,dlt-same --cases backfill"),
    Aim("a record read again, µs in the client", 22, _again, f"{CALLHOUSE} nothing,again"),
    Aim("a transcript by request, ms in the client", 0.35, _per_transcript("client"), f"{CALLHOUSE} backfill,apart"),
    Aim("a transcript by request, ms in the database", 0.2, _per_transcript("database"), f"{CALLHOUSE} backfill,apart"),
    Aim("nothing new, s in the client", 0.35, lambda rows, calls: float(rows["nothing"]["callhouse"]["client"]),
        f"{CALLHOUSE} nothing"),
    Aim("nothing new, requests", 6, lambda rows, calls: float(rows["nothing"]["callhouse"]["requests"]),
        f"{CALLHOUSE} nothing"),
    Aim("memory, MB", 150, lambda rows, calls: float(rows["backfill"]["callhouse"]["memory"]), f"{CALLHOUSE} backfill"),
    Aim("disk, bytes for 1,000 received", 1_450, _disk, f"{CALLHOUSE} backfill"),
)  # fmt: skip


def table(rows: Rows, calls: int) -> list[str]:
    """The figures that were measured, in Markdown."""
    lines = ["| | measured | aim | reached | by `python -m benchmarks` |", "|---|--:|--:|---|---|"]
    for aim in AIMS:
        try:
            figure = aim.figure(rows, calls)
        except KeyError:  # its case or its peer was not measured
            continue
        reached = "yes" if figure <= aim.most else "no"
        lines.append(f"| {aim.title} | {_shown(figure)} | {_shown(aim.most)} | {reached} | `{aim.options}` |")
    return [*lines, ""]


def _shown(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 or figure == int(figure) else f"{figure:.3g}"
