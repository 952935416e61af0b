"""Millions of calls → the time of the questions in docs/questions.md, asked as by a BI tool, and what their plans read.

``python -m benchmarks.bi_scale [CALLS]``, 5,000,000 where none are named: about 3 GB of disk for each million.
"""

import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import psycopg

from benchmarks import report
from benchmarks.contenders import CONTENDERS
from benchmarks.environments import ROOT, environment
from benchmarks.multiply import multiply
from benchmarks.rounds import SOURCES, bench
from bi import questions

CALLHOUSE = CONTENDERS[0]
BASE = 2_000  # calls per provider that are read, and then multiplied
LARGE = ("calls", "transcripts", "changes")
LOOK_UPS = {
    "one call with its turns": """
        SELECT * FROM bi.calls c LEFT JOIN bi.transcript_turns t USING (call_key) WHERE c.call_key = '{key}'
    """,
    "the last 50 calls of a customer": """
        SELECT * FROM bi.calls WHERE customer_id = '{customer}' ORDER BY created_at DESC LIMIT 50
    """,
    "a customer": "SELECT * FROM bi.customers WHERE customer_id = '{customer}'",
    "the newest 50 calls": "SELECT * FROM bi.calls ORDER BY created_at DESC LIMIT 50",
    "yesterday's dashboard again": """
        SELECT outcome, count(*) FROM bi.calls_as_of(date '{today}' + time '00:00' AT TIME ZONE 'UTC')
         WHERE created_at >= date '{today}' - 1 GROUP BY outcome
    """,
    "agents": "SELECT * FROM bi.agents",
    "freshness": "SELECT * FROM bi.freshness",
}


def asked(connection: psycopg.Connection[Any]) -> Iterator[str]:
    """The table's lines: the twenty questions and some look-ups, asked by a role that sees bi alone."""
    newest, key, customer = connection.execute(
        "SELECT (SELECT max(created_at)::date FROM warehouse.calls), call_key, customer_id FROM warehouse.calls"
        " WHERE customer_id IS NOT NULL AND turn_count > 1 LIMIT 1"
    ).fetchone()  # type: ignore[misc]
    today: date = newest - timedelta(days=31)  # copies are a month older than what they were made from
    connection.execute("SET ROLE bi_reader")
    for question in questions.read():
        yield timed(connection, question.title, question.on(today).rstrip().rstrip(";"))
    for title, query in LOOK_UPS.items():
        yield timed(connection, title, query.format(key=key, customer=customer, today=today))
    connection.execute("RESET ROLE")


def timed(connection: psycopg.Connection[Any], question: str, query: str) -> str:
    """One line of the table; the second execution counts, as in a dashboard."""
    connection.execute(query)
    began = time.perf_counter()
    connection.execute(query)
    taken = (time.perf_counter() - began) * 1000
    (plan,) = connection.execute(f"EXPLAIN (FORMAT JSON) {query}").fetchone()  # type: ignore[misc]
    nodes = list(_nodes(plan[0]["Plan"]))
    whole = [
        node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan" and node["Relation Name"] in LARGE
    ]
    used = sorted({node["Index Name"] for node in nodes if "Index Name" in node})
    return f"| {question} | {taken:,.0f} | {', '.join(whole) or 'none'} | {', '.join(used)} |"


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", ()) for node in _nodes(child))]


def main() -> None:
    """The table, on the terminal and in the page."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000_000
    environment(CALLHOUSE.lock)
    with bench(BASE) as (measuring, _):
        measuring.renew(migrated=True)
        measuring.measure(CALLHOUSE, SOURCES)
        with psycopg.connect(measuring.url) as connection:
            multiply(connection, max(0, calls // (4 * BASE) - 1), turns=True)
        with psycopg.connect(measuring.url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
            (turns,) = connection.execute("SELECT sum(turn_count) FROM warehouse.calls").fetchone()  # type: ignore[misc]
            lines = list(asked(connection))
    head = ["| question | ms | tables read whole | indexes |", "|---|--:|---|---|"]
    caption = f"{calls:,} calls, {turns:,} turns, by `python -m benchmarks.bi_scale {calls}`."
    sys.stdout.write("\n".join([caption, *head, *lines, ""]))
    report.put(ROOT / "docs" / "benchmarks.md", "python -m benchmarks.bi_scale", [caption, "", *head, *lines, ""])


if __name__ == "__main__":
    main()
