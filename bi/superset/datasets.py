"""What charts are made of: the views of ``bi``, two of them joined with the call, and the metrics on them."""

from typing import NamedTuple

MONEY = {"cost_reporting", "cost_per_answered_minute"}
RATE, COUNT, AMOUNT, NUMBER = ".1%", ",d", ",.2f", ",.1f"


class Metric(NamedTuple):
    """A sum, a share or an average."""

    title: str
    expression: str
    format: str = COUNT
    meaning: str = ""  # of a sum of one column: what the column's comment says


class Dataset(NamedTuple):
    """A view, or a statement on views, with its metrics by name."""

    view: str  # its columns' comments explain the dataset's
    time: str | None
    metrics: dict[str, Metric]
    sql: str | None = None
    besides: tuple[tuple[str, str], ...] = ()  # columns of a statement that are another view's: (view, column)
    currency: str | None = None  # the column that names the currency of MONEY
    computed: tuple[tuple[str, str, str], ...] = ()  # columns that Superset computes: name, expression, meaning


ANSWER_RATE = Metric(
    "Answer rate", "sum(answered) / nullif(sum(calls), 0)", RATE, "Share of the calls that were answered"
)
CALL_SUMS = {
    "calls": Metric("Calls", "sum(calls)"),
    "answered": Metric("Answered", "sum(answered)"),
    "answer_rate": ANSWER_RATE,
    "human_answered": Metric("Answered by a person", "sum(human_answered)"),
    "voicemail": Metric("Voicemail", "sum(voicemail)"),
    "transferred": Metric("Transferred", "sum(transferred)"),
    "no_answer": Metric("No answer", "sum(no_answer)"),
    "busy": Metric("Busy", "sum(busy)"),
    "failed": Metric("Failed", "sum(failed)"),
    "minutes": Metric("Minutes", "sum(minutes)", NUMBER),
    "answered_minutes": Metric("Answered minutes", "sum(answered_minutes)", NUMBER),
    "seconds_per_answered_call": Metric(
        "Seconds per answered call", "60 * sum(answered_minutes) / nullif(sum(answered), 0)", ",.0f",
        "Average duration of the answered calls, in seconds",
    ),
    "cost": Metric("Cost in its unit", "sum(cost)", AMOUNT),
    "cost_reporting": Metric("Cost", "sum(cost_reporting)", AMOUNT),
    "cost_per_answered_minute": Metric(
        "Cost per answered minute",
        "sum(cost_reporting) / nullif(sum(answered_minutes) FILTER (WHERE cost_reporting IS NOT NULL), 0)", ",.3f",
        "In the currency of reports; calls whose cost no rate converts are left out",
    ),
    "unit_cost_per_answered_minute": Metric(
        "Cost per answered minute, in its unit", "sum(cost) / nullif(sum(answered_minutes), 0)", ",.3f",
        "In cost_unit: group by it, amounts of different units cannot be added up",
    ),
    "calls_without_rate": Metric("Calls without a rate", "sum(calls_without_rate)"),
}  # fmt: skip

DATASETS = {
    "daily_call_metrics": Dataset("daily_call_metrics", "day", CALL_SUMS, currency="report_currency"),
    "hourly_call_metrics": Dataset(
        "hourly_call_metrics", "day", CALL_SUMS, currency="report_currency",
        computed=(
            ("weekday", "to_char(day, 'ID Dy')", "Day of the week of day: 1 Mon to 7 Sun"),
        ),
    ),
    "calls": Dataset(
        "calls", "created_at",
        {
            "calls": Metric("Calls", "count(*)", COUNT, "Number of calls"),
            "answer_rate": Metric(
                "Answer rate", "avg(is_answered::integer)", RATE, "Share of the calls that were answered"
            ),
            "median_seconds": Metric(
                "Median duration", "percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_seconds)", ",.0f",
                "Half of the calls are shorter, in seconds",
            ),
            "p90_seconds": Metric(
                "90th percentile of duration", "percentile_cont(0.9) WITHIN GROUP (ORDER BY duration_seconds)", ",.0f",
                "Nine of ten calls are shorter, in seconds",
            ),
            "first_attempt_answer_rate": Metric(
                "Answered at the first attempt",
                "avg(is_answered::integer) FILTER (WHERE is_first_attempt AND direction = 'outbound')", RATE,
                "Answer rate of the outbound calls before which the customer was not called for seven days",
            ),
            "repeat_rate": Metric(
                "Called again", "avg(is_repeat_within_7d::integer) FILTER (WHERE direction = 'inbound')", RATE,
                "Share of the inbound calls that follow another one of the same customer within seven days",
            ),
            "after_hours_share": Metric(
                "After hours", "avg((NOT is_business_hours)::integer)", RATE,
                "Share of the calls outside business hours",
            ),
        },
    ),
    "conversations": Dataset(
        "conversation_metrics", "created_at",
        {
            "conversations": Metric("Conversations", "count(*)", COUNT, "Number of calls with a transcript"),
            "agent_talk_share": Metric("Agent's share", "avg(agent_talk_share)", RATE, "Average of agent_talk_share"),
            "silent_share": Metric(
                "Silent", "avg((customer_turns = 0)::integer)", RATE,
                "Share of the conversations in which the customer says nothing",
            ),
            "median_reply_seconds": Metric(
                "Median reply", "percentile_cont(0.5) WITHIN GROUP (ORDER BY response_gap_p50_seconds)", NUMBER,
                "Half of the conversations have a shorter median time to the agent's reply, in seconds",
            ),
            "slow_reply_seconds": Metric(
                "Slow reply", "percentile_cont(0.5) WITHIN GROUP (ORDER BY response_gap_p95_seconds)", NUMBER,
                "The same of the replies that are slower than 95 of 100, in seconds",
            ),
            "turns": Metric("Turns", "avg(turns)", NUMBER, "Average number of turns"),
        },
        "SELECT m.*, c.agent_name, c.campaign_name, c.direction, c.outcome, c.local_date\n"
        "  FROM bi.conversation_metrics m\n  JOIN bi.calls c USING (call_key)",
        tuple(("calls", name) for name in ("agent_name", "campaign_name", "direction", "outcome", "local_date")),
    ),
    "scores": Dataset(
        "call_scores", "created_at",
        {
            "scored": Metric("Calls", "count(*)", COUNT, "Number of calls with this item"),
            "average": Metric("Average", "avg(number)", ",.2f", "Average of number"),
            "positive_share": Metric(
                "Positive", "avg((value = 'positive')::integer)", RATE, "Share of the items whose value is positive"
            ),
        },
        "SELECT s.*, c.agent_name, c.campaign_name, c.direction, c.local_date\n"
        "  FROM bi.call_scores s\n  JOIN bi.calls c USING (call_key)",
        tuple(("calls", name) for name in ("agent_name", "campaign_name", "direction", "local_date")),
    ),
    "concurrency": Dataset(
        "concurrency", "day",
        {
            "peak_calls": Metric("Calls at once", "max(peak_calls)", ",.1~f", "Most calls of a source at once"),
            "calls_started": Metric("Calls started", "sum(calls_started)"),
        },
    ),
    "cost_anomalies": Dataset(
        "cost_anomalies", "day",
        {
            "cost": Metric("Cost", "sum(cost)", AMOUNT),
            "expected_cost": Metric("Expected", "sum(expected_cost)", AMOUNT),
        },
    ),
    "call_flags": Dataset(
        "call_flags", "created_at", {"calls": Metric("Calls", "count(*)", COUNT, "Number of calls")}
    ),
    "freshness": Dataset(
        "freshness", None,
        {
            "open_calls": Metric("Open calls", "sum(open_calls)"),
            "quarantined": Metric("Records in quarantine", "sum(quarantined)"),
            "minutes_since_sync": Metric(
                "Minutes since the last sync", "max(extract(epoch FROM now() - last_success_at)) / 60", ",.0f",
                "Since the last successful sync or backfill, of the source where it is longest ago",
            ),
        },
        computed=(
            ("hours_since_newest_call", "round(extract(epoch FROM now() - newest_call_at) / 3600, 1)",
             "Hours since created_at of the newest stored call"),
        ),
    ),
}  # fmt: skip
