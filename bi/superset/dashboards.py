"""The five dashboards: few charts each, and each title is a question that the chart answers."""

from typing import NamedTuple

from bi.superset.charts import Chart, bars, big_number, heatmap, over_time, rows, table, total

DAILY, HOURLY = "daily_call_metrics", "hourly_call_metrics"
MOOD = "value IN ('positive', 'neutral', 'negative')"


class Dashboard(NamedTuple):
    """A dashboard: rows of charts, and the columns that its filters offer, each from a dataset."""

    title: str
    meaning: str
    rows: tuple[tuple[Chart, ...], ...]
    filters: tuple[tuple[str, str], ...] = ((DAILY, "source"), (DAILY, "agent_name"), (DAILY, "direction"))

    @property
    def slug(self) -> str:
        """Its place in addresses and names of files."""
        return f"callhouse-{self.title.lower().replace(' ', '-')}"


DASHBOARDS = (
    Dashboard(
        "Operations", "Do calls get through, when, and how do they end?",
        (
            (
                big_number("How many calls?", DAILY, "calls"),
                big_number("How many are answered?", DAILY, "answer_rate"),
                big_number("How many seconds each?", DAILY, "seconds_per_answered_call"),
                big_number("How many callers call again?", "calls", "repeat_rate"),
            ),
            (
                over_time("How do the calls of a day end?", DAILY, ["answered", "no_answer", "busy", "failed"],
                          unit="calls"),
                over_time("Which vendor's calls are answered?", DAILY, ["answer_rate"], by="source", kind="line",
                          grain="P1W"),
            ),
            (
                heatmap("When in the week do customers answer?", HOURLY, "answer_rate", "hour", "weekday"),
                heatmap("When in the week do we call?", HOURLY, "calls", "hour", "weekday"),
            ),
            (
                bars("Which agents reach a customer at the first attempt?", "calls", ["first_attempt_answer_rate"],
                     "agent_name"),
                over_time("How many calls go on at once?", "concurrency", ["peak_calls"], by="source", kind="line",
                          unit="calls"),
            ),
            (
                table("How far do the calls of each campaign get?", DAILY, ["campaign_name"],
                      ["calls", "answered", "answer_rate", "human_answered", "voicemail", "seconds_per_answered_call"],
                      only="campaign_name IS NOT NULL"),
            ),
        ),
    ),
    Dashboard(
        "Agents", "Which agents reach customers, and what do their calls cost?",
        (
            (
                table("Which agents do best?", DAILY, ["agent_name"],
                      ["calls", "answered", "answer_rate", "seconds_per_answered_call", "transferred", "cost_reporting",
                       "cost_per_answered_minute"]),
            ),
            (
                over_time("Does an agent get better or worse?", DAILY, ["answer_rate"], by="agent_name", kind="line",
                          grain="P1W"),
                bars("How much of the talking does the agent do?", "conversations", ["agent_talk_share"], "agent_name"),
            ),
            (
                bars("How fast does an agent reply, in seconds?", "conversations", ["median_reply_seconds"],
                     "agent_name"),
                bars("How many of an agent's customers are in a good mood?", "scores", ["positive_share"], "agent_name",
                     only=MOOD),
            ),
        ),
    ),
    Dashboard(
        "Cost", "What do calls cost, in one currency and in each vendor's unit?",
        (
            (
                big_number("What do calls cost?", DAILY, "cost_reporting", "in the currency of reports", width=4),
                big_number("What does an answered minute cost?", DAILY, "cost_per_answered_minute",
                           "in the currency of reports", width=4),
                total("How many calls are not in it?", DAILY, "calls_without_rate",
                      "for want of a rate: etl rates set", width=4),
            ),
            (
                over_time("What does each day cost?", DAILY, ["cost_reporting"], by="source"),
                over_time("What does an answered minute cost, by vendor?", DAILY, ["cost_per_answered_minute"],
                          by="source", kind="line", grain="P1W"),
            ),
            (
                table("What does each vendor charge, in its own unit?", DAILY, ["source", "cost_unit"],
                      ["cost", "unit_cost_per_answered_minute", "cost_reporting", "calls_without_rate"], width=6),
                bars("Which agents cost most?", DAILY, ["cost_reporting"], "agent_name"),
            ),
            (
                rows("Which days cost more, or less, than expected?", "cost_anomalies",
                     ["day", "source", "cost_unit", "calls", "cost", "expected_cost", "ratio", "is_anomaly"],
                     order="day", only="abs(z_score) > 2"),
            ),
        ),
    ),
    Dashboard(
        "Conversations", "What happens in a conversation, and how do customers feel about it?",
        (
            (
                big_number("How many conversations?", "conversations", "conversations"),
                big_number("How much does the agent talk?", "conversations", "agent_talk_share"),
                big_number("How many seconds to a reply?", "conversations", "median_reply_seconds"),
                big_number("How many are silent?", "conversations", "silent_share"),
            ),
            (
                bars("How did customers feel?", "scores", ["scored"], "value", by="source", only=MOOD),
                table("How were conversations scored?", "scores", ["source", "name"], ["scored", "average"], width=6),
            ),
            (
                over_time("How fast do agents reply, and how slow are the slowest?", "conversations",
                          ["median_reply_seconds", "slow_reply_seconds"], kind="line", grain="P1W", x="local_date",
                          unit="seconds"),
                bars("Which campaigns lead to long conversations?", "conversations", ["turns"], "campaign_name",
                     only="campaign_name IS NOT NULL"),
            ),
            (
                rows("Which calls were the longest?", "calls",
                     ["created_at", "source", "agent_name", "direction", "outcome", "duration_seconds", "sentiment",
                      "call_key"], order="duration_seconds", only="duration_seconds IS NOT NULL"),
            ),
        ),
        (("conversations", "agent_name"), ("conversations", "campaign_name"), (DAILY, "source")),
    ),
    Dashboard(
        "Quality of data", "Is everything there, up to date, and as it should be?",
        (
            (
                total("How many minutes since the last sync?", "freshness", "minutes_since_sync",
                      "of the source where it is longest ago", width=4),
                total("How many calls may still change?", "freshness", "open_calls", "cost and transcript come later",
                      width=4),
                total("How many records are no calls?", "freshness", "quarantined", "etl quarantine list", width=4),
            ),
            (
                rows("How fresh and how complete is each source?", "freshness",
                     ["source", "completeness", "complete_since", "newest_call_at", "last_success_at", "open_calls",
                      "quarantined"], order="source"),
            ),
            (
                bars("What is odd in the vendors' records?", "call_flags", ["calls"], "flag", by="source"),
                over_time("How many calls come in from each source?", DAILY, ["calls"], by="source", unit="calls"),
            ),
        ),
        ((DAILY, "source"),),
    ),
)  # fmt: skip
