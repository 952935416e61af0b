"""Millions of calls → the time of a dashboard's queries, and whether any scans a large table sequentially.

``python -m benchmarks.bi_scale [CALLS]``, 5,000,000 where none are named: about 3 GB of disk for each million.
"""

import sys
import time
from typing import Any

import psycopg

from benchmarks import report
from benchmarks.contenders import CONTENDERS
from benchmarks.environments import ROOT, environment
from benchmarks.multiply import multiply
from benchmarks.rounds import SOURCES, bench

CALLHOUSE = CONTENDERS[0]
BASE = 2_000  # calls per provider that are read, and then multiplied
LARGE = ("calls", "transcripts")

# The newest call is of the simulator's last day: "now" is its end.
QUERIES = {
    "the last 90 days by day, source and agent": """
        SELECT day, source, agent_name, sum(calls), sum(answered), sum(minutes) FROM bi.daily_call_metrics
         WHERE day > date '2025-05-01' - 90 GROUP BY 1, 2, 3
    """,
    "cost per answered minute, last 90 days": """
        SELECT source, cost_unit, sum(cost) / nullif(sum(minutes), 0) FROM bi.daily_call_metrics
         WHERE day > date '2025-05-01' - 90 GROUP BY 1, 2
    """,
    "one call with its turns": """
        SELECT * FROM bi.calls c LEFT JOIN bi.transcript_turns t USING (call_key)
         WHERE c.call_key = '{key}'
    """,
    "the last 50 calls of a number": """
        SELECT * FROM bi.calls
         WHERE source = 'ringg' AND customer_number = '{number}'
         ORDER BY created_at DESC LIMIT 50
    """,
    "the newest 50 calls": "SELECT * FROM bi.calls ORDER BY created_at DESC LIMIT 50",
    "text search in transcripts": """
        SELECT source, call_key, transcript FROM bi.transcripts
         WHERE search_vector @@ websearch_to_tsquery('simple', 'callback tomorrow') LIMIT 50
    """,
    "agents": "SELECT * FROM bi.agents",
    "campaigns": "SELECT * FROM bi.campaigns",
    "freshness": "SELECT * FROM bi.freshness",
}


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
            some = "SELECT call_key, customer_number FROM bi.calls WHERE source = 'ringg' AND turn_count > 1"
            key, number = connection.execute(f"{some} LIMIT 1").fetchone()  # type: ignore[misc]
            lines = [
                timed(connection, question, query.format(key=key, number=number)) for question, query in QUERIES.items()
            ]
    head = ["| query | ms | tables read whole | indexes |", "|---|--:|---|---|"]
    caption = f"{calls:,} calls, {turns:,} turns, by `python -m benchmarks.bi_scale {calls}`."
    sys.stdout.write("\n".join([caption, *head, *lines, ""]))
    report.put(ROOT / "docs" / "benchmarks.md", "python -m benchmarks.bi_scale", [caption, "", *head, *lines, ""])


if __name__ == "__main__":
    main()
