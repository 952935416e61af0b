"""The contenders: command, environment, and the queries that check the result."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent

CALLHOUSE = """
    SELECT source, provider_call_id AS id, cost FROM bi_pii.calls
"""
CALLHOUSE_TURNS = """
    SELECT t.source, provider_call_id AS id, text, turn_index
      FROM bi_pii.transcript_turns t JOIN warehouse.calls USING (call_key) WHERE speaker <> 'system'
"""
CALLHOUSE_DAYS = """
    SELECT source, day, sum(calls) AS calls, sum(answered) AS answered, sum(duration_seconds) AS seconds,
           sum(cost) AS cost
      FROM warehouse.call_rollup JOIN warehouse.active_dimensions USING (dimension_id)
     WHERE hour = -1 GROUP BY source, day
"""
SAME = "SELECT source, id, cost FROM same.calls"
SAME_TURNS = """
    SELECT source, id, text, turn_index
      FROM same.transcripts
     CROSS JOIN ROWS FROM (unnest(string_to_array(speakers, NULL)), jsonb_array_elements_text(texts))
           WITH ORDINALITY turns(letter, text, turn_index) WHERE letter <> 's'
"""
SAME_DAYS = """
    SELECT source, day, sum(calls) AS calls, sum(answered) AS answered, sum(seconds) AS seconds, sum(cost) AS cost
      FROM same.call_rollup_daily GROUP BY source, day
"""
BARE = "SELECT source, id, cost FROM bare.calls"
BARE_TURNS = "SELECT source, id, text, turn_index FROM bare.turns WHERE speaker <> 'system'"


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to load calls. ``calls``, ``turns`` and ``days`` are the queries that check what it loaded."""

    name: str
    title: str
    stores: str
    lock: str  # its environment: a file of benchmarks/locks, or "" for Callhouse's own
    command: Sequence[str]  # "{python}", "{bin}" and "{folder}" are filled in
    calls: str
    turns: str = ""
    cases: Sequence[str] = ("backfill",)
    needs_warehouse: bool = False  # a migrated database, as `etl migrate` leaves it
    days: str = ""
    again: Sequence[str] = ()  # the command that reads the whole history once more

    def argv(self, environment: Path, folder: Path, *, again: bool) -> list[str]:
        """The command line."""
        known = {"python": environment / "bin/python", "bin": environment / "bin", "here": HERE, "folder": folder}
        return [part.format(**known) for part in (self.again if again else self.command)]


EVERYTHING = "columns, turns, costs, raw payloads"
CONTENDERS = (
    Contender("callhouse", "Callhouse", f"{EVERYTHING}, indexes, rollups, changes, sync state", "callhouse",
              ["{bin}/etl", "sync"], CALLHOUSE, CALLHOUSE_TURNS, ("backfill", "nothing", "again", "apart"), True,
              CALLHOUSE_DAYS, ["{bin}/etl", "backfill", "--again", "--from", "2024-01-01"]),
    Contender("script", "bare script", EVERYTHING, "script",
              ["{python}", "{here}/script.py"], BARE, BARE_TURNS, ("backfill", "apart")),
    Contender("copy", "COPY of Callhouse's bytes", "the final bytes", "script",
              ["{python}", "{here}/copy_bytes.py", "{folder}/../bytes", "bare"],
              "SELECT source, provider_call_id AS id, cost FROM bare.calls", "", ("backfill",), True),
    Contender("tables", "COPY into Callhouse's tables", "the final bytes, indexes", "script",
              ["{python}", "{here}/copy_bytes.py", "{folder}/../bytes", "warehouse"],
              "SELECT source, provider_call_id AS id, cost FROM warehouse.calls", "", ("backfill",), True,
              CALLHOUSE_DAYS),
    Contender("arrow", "dlt through Arrow", "columns", "dlt",
              ["{python}", "{here}/dlt_rows.py", "arrow"], "SELECT source, id, cost FROM dlt.calls"),
    Contender("dlt", "dlt, tuned", "columns", "dlt",
              ["{python}", "{here}/dlt_rows.py", "rows"], "SELECT source, id, cost FROM dlt.calls",
              "", ("backfill", "nothing", "apart")),
    Contender("dlt-same", "dlt, tuned, with the same result", f"{EVERYTHING}, indexes, rollups", "dlt",
              ["{python}", "{here}/dlt_rows.py", "rows", "same"], SAME, SAME_TURNS, days=SAME_DAYS),
    Contender("arrow-same", "dlt through Arrow, the same result", f"{EVERYTHING}, indexes, rollups", "dlt",
              ["{python}", "{here}/dlt_rows.py", "arrow", "same"], SAME, SAME_TURNS, days=SAME_DAYS),
    Contender("singer", "Singer, target-postgres", "columns", "singer",
              ["/bin/sh", "-c", "{python} {here}/singer_tap.py | {bin}/target-postgres --config {folder}/target.json"],
              "SELECT source, id, cost FROM singer.calls"),
)  # fmt: skip


def target_config(url: str) -> str:
    """The configuration of target-postgres, tuned: large batches through COPY, nothing validated."""
    return json.dumps(
        {
            "sqlalchemy_url": url.replace("postgresql://", "postgresql+psycopg://"),
            "default_target_schema": "singer",
            "batch_size_rows": 20_000,
            "validate_records": False,
            "use_copy": True,
            "add_record_metadata": False,
            "activate_version": False,
            "load_method": "upsert",
        }
    )


def etl_toml(origin: str, sources: Sequence[str], phones: Sequence[str]) -> str:
    """Callhouse's configuration: the sources at the simulator, and a rate limit that never binds."""
    tables = [_table(origin, source, phones) for source in sources]
    return "\n".join(tables)


def _table(origin: str, source: str, phones: Sequence[str]) -> str:
    provider = "vaani" if source == "apart" else source
    values: Mapping[str, object] = {
        "provider": provider,
        "api_key": f"env:{provider.upper()}_API_KEY",
        "base_url": f"{origin}/{source}",
        "requests_per_minute": 600_000,
        **({"phones": list(phones)} if provider == "ravan" else {}),
    }
    return "\n".join([f"[sources.{source}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items()), ""])
