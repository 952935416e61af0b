"""The benchmarks measure what they say: their readers understand the sandbox, and they name functions that exist."""

import json
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine

from benchmarks import bi_scale, history, report, stages
from benchmarks.contenders import CONTENDERS, api
from benchmarks.multiply import EACH, multiply
from benchmarks.rounds import stored
from bi import questions
from etl.sandbox.expected import expected_rows
from etl.sandbox.vendor_api import VENDORS
from tests.harness import PROVIDERS, make_harness

WORLD = history.world(400)


def spoken(read: Iterable[tuple[str, Any]]) -> str:
    """The digest of all turns of transcripts, given with the ids of their calls."""
    return history.md5(
        sorted(
            f"{call_id}:{number}:{text}"
            for call_id, transcript in read
            for number, (_, text, _) in enumerate(turn for turn in api.spoken(transcript) if turn[0] != "system")
        )
    )


@pytest.mark.parametrize("provider", sorted(VENDORS))
def test_the_contenders_read_every_record_that_the_sandbox_sends(provider: str) -> None:
    read = [api.READERS[provider](api.decode(call.record)) for call in history.printed(WORLD, provider)]
    expected = history.expected(WORLD, provider)
    assert history.md5(sorted(row[1] for row, _ in read)) == expected.ids
    assert sum(row[17] or Decimal(0) for row, _ in read) == expected.cost
    assert spoken((row[1], transcript) for row, transcript in read) == expected.words


def test_the_contenders_read_every_transcript_that_the_sandbox_sends() -> None:
    answered = {row["provider_call_id"] for row in expected_rows(WORLD, "vaani") if row["answered_at"]}
    read = [
        (call_id, json.loads(body)["transcript"]) for call_id, body in history.transcripts(WORLD) if call_id in answered
    ]
    assert spoken(read) == history.expected(WORLD, history.APART).words


def test_what_callhouse_stores_is_what_is_expected_of_all_contenders(db: Engine) -> None:
    harness = make_harness(db, WORLD)
    with psycopg.connect(db.url.render_as_string(hide_password=False).replace("+psycopg", "")) as connection:
        for name in PROVIDERS:
            harness.sync(name)
            expected = history.expected(WORLD, name, WORLD.phones if name == "ravan" else ())
            assert stored(connection, CONTENDERS[0], name) == history.as_values(expected)
            connection.rollback()


def test_copies_of_calls_fill_eleven_hours_each_and_every_question_is_asked_over_them(db: Engine) -> None:
    harness = make_harness(db, WORLD)
    for name in PROVIDERS:
        harness.sync(name)
    ages = "SELECT extract(epoch FROM max(created_at) OVER () - created_at)::integer FROM warehouse.calls"
    turns = "SELECT count(*) FROM bi_pii.transcript_turns"
    calls, spoken_turns = len(harness.rows(ages)), harness.scalar(turns)
    with psycopg.connect(db.url.render_as_string(hide_password=False).replace("+psycopg", "")) as connection:
        multiply(connection, 2, turns=True, copies_per_statement=1)
        copied = [age for (age,) in connection.execute(ages) if 30 * 86_400 + EACH <= age < 30 * 86_400 + 3 * EACH]
        asked = list(bi_scale.asked(connection))
    assert len(copied) >= 2 * calls
    assert (len(harness.rows(ages)), harness.scalar(turns)) == (3 * calls, 3 * spoken_turns)
    assert [line.split(" | ")[0][2:] for line in asked] == [*(q.title for q in questions.read()), *bi_scale.LOOK_UPS]


def test_what_takes_long_is_a_question_that_is_asked() -> None:
    assert bi_scale.WHY.keys() <= {question.title for question in questions.read()} | bi_scale.LOOK_UPS.keys()


def test_every_stage_times_a_function_of_the_pipeline() -> None:
    gone = [f"{stage}: {name}" for stage, place, names in stages.STAGES for name in names if not hasattr(place, name)]
    assert gone == []


def results_of(**seconds: float) -> dict[str, Any]:
    """A backfill of Callhouse that took five seconds, and those of peers."""
    cost = {"client": 4.0, "database": 4.8, "memory": 160.0}
    run = {"case": "backfill", "requests": 9, "received": 80_000, "disk": {"all": 145}, "wrong": []}
    runs = [
        {**run, "contender": name, "cost": {**cost, "wall": each}}
        for name, each in {"callhouse": 5.0, **seconds}.items()
    ]
    machine = {"cores": 2, "postgres": "", "python": "", "load": 0.0}
    return {
        "runs": runs, "calls": 20_000, "rounds": 1, "command": "", "at": "", "received": 100, "machine": machine
    }  # fmt: skip


def test_the_page_shows_the_figures_that_were_measured_and_the_command_of_each(tmp_path: Path) -> None:
    results = results_of(**{"dlt-same": 8.0})
    results["runs"][1]["wrong"] = ["ringg: days differ"]
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- from here on written by `make bench` -->\n<!-- up to here -->\nafter\n")
    report.write(results, page)
    written = page.read_text()
    assert written.startswith("before\n")
    assert written.endswith("<!-- up to here -->\nafter\n")
    assert "| client, µs of processor time a call | 50 | 70 | yes | `--only callhouse --cases backfill` |" in written
    assert "| wall, of dlt's with the same result | 0.625 | 0.5 | no |" in written
    assert "| memory, MB | 160 | 150 | no |" in written
    assert "nothing new" not in written
    assert "no: ringg: days differ" in written
    assert "Ahead of it: none. Behind it: none." in written  # a wrong result is no standing
    assert "backfill-wall.svg" in written
    assert (tmp_path / "page" / "backfill-wall.svg").exists()


def test_a_part_of_the_page_has_neither_plots_nor_aims_and_says_who_is_ahead(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- from here on written by `make bench-large` -->\n<!-- up to here -->\n")
    report.write(results_of(script=2.5, dlt=7.5), page, "make bench-large")
    assert "Ahead of it: bare script (0.50). Behind it: dlt, tuned (1.50)." in page.read_text()
    assert "aim" not in page.read_text()
    assert list(tmp_path.iterdir()) == [page]
