"""Millions of calls → the time of the questions in docs/questions.md, asked as by a BI tool, and what their plans read.

``python -m benchmarks.bi_scale [CALLS]``, 5,000,000 where none are named: about 3 GB of disk for each million.
"""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
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
PATIENCE = 60  # seconds for a question
FEW = 1_000  # a table of which a plan reads fewer rows is not named
SLOW = 0.3  # seconds; what takes longer says why
WHY = {
    "When in the week are calls answered?": "adds up the hours of sixty days, by agent and campaign",
    "How many customers answer at the first attempt, and how many later?": "looks up the calls of each call's customer",
    "How many callers have to call again?": "looks up the calls of each call's customer, twice",
    "How many answered calls were dropped, or silent?": "reads who spoke in every conversation",
    "Of the customers of a month, how many are still there later?": "sums up every customer from all calls",
    "What was the mood of the customers?": "masks the names of all items: the customer's may be among them",
    "Who does the talking, agent or customer?": "counts the words of every conversation",
    "How were conversations scored?": "masks the names of all items: the customer's may be among them",
    "How many calls go on at once, at most?": "puts the beginnings and ends of all calls of a day in order",
    "yesterday's dashboard again": "looks for changes of every call",
}
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
    today: date = newest - timedelta(days=30)  # copies are a month older than what they were made from
    connection.execute(
        f"SET max_parallel_workers_per_gather = 0; SET statement_timeout = '{PATIENCE}s'; SET ROLE bi_reader"
    )
    for question in questions.read():
        yield timed(connection, question.title, question.on(today).rstrip().rstrip(";"))
    for title, query in LOOK_UPS.items():
        yield timed(connection, title, query.format(key=key, customer=customer, today=today))
    connection.execute("RESET ROLE")


def timed(connection: psycopg.Connection[Any], question: str, query: str) -> str:
    """One line of the table; the second execution counts, as in a dashboard."""
    try:
        (plan,) = connection.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {query}").fetchone()  # type: ignore[misc]
        began, spent = time.perf_counter(), _processor(connection)
        connection.execute(query)
        taken, spent = time.perf_counter() - began, _processor(connection) - spent
    except psycopg.errors.QueryCanceled:
        return f"| {question} | over {PATIENCE} s | | | |"
    why = WHY.get(question, "unknown") if spent > SLOW else ""
    return f"| {question} | {spent * 1000:,.0f} | {taken * 1000:,.0f} | {_reads(plan[0]['Plan'])} | {why} |"


def _processor(connection: psycopg.Connection[Any]) -> float:
    """The processor time that the session's process has spent, in seconds."""
    return int(Path(f"/proc/{connection.info.backend_pid}/schedstat").read_text().split()[0]) / 1e9


def _reads(plan: dict[str, Any]) -> str:
    """The rows that a plan reads from each table that is not small, and by which index."""
    rows = Counter[str]()
    for node in _nodes(plan):
        if "Relation Name" in node:
            index = node.get("Index Name", "bitmap" if "Bitmap" in node["Node Type"] else "whole")
            read = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
            rows[f"{node['Relation Name']} ({index})"] += round(read * node["Actual Loops"])
    return ", ".join(f"{count:,} {name}" for name, count in rows.most_common() if count >= FEW)


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
    head = ["| question | processor ms | wall ms | rows read | why over 300 ms |", "|---|--:|--:|---|---|"]
    caption = f"{calls:,} calls, {turns:,} turns, by `python -m benchmarks.bi_scale {calls}`."
    sys.stdout.write("\n".join([caption, *head, *lines, ""]))
    report.put(ROOT / "docs" / "benchmarks.md", "python -m benchmarks.bi_scale", [caption, "", *head, *lines, ""])


if __name__ == "__main__":
    main()
