"""What `etl status` shows of one source and of a thousand: the totals, what is worst first, and nothing left out."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from etl.cli.tables import LISTED_SOURCES, day_statuses_table, status_table
from etl.embedded import Server
from etl.model import Retention, Source
from etl.reports.status import status
from etl.state.daily_checks import DayStatus
from tests.harness import NOW
from tests.many_sources import counted_statements, fill
from tests.postgres import engine_copy

COUNT = 200


@pytest.fixture(scope="module")
def many(server: Server, template: str) -> Iterator[tuple[Engine, list[Source]]]:
    """Two hundred sources, four in each state but one; read only."""
    with engine_copy(server, template) as made:
        yield made, fill(made, NOW, COUNT, runs=3)


def test_many_sources_take_no_more_statements_than_one(many: tuple[Engine, list[Source]]) -> None:
    db, sources = many
    with counted_statements(db) as sent:
        assert len(status(db, sources, NOW)) == COUNT
    assert len(sent) == 4


def test_many_sources_begin_with_totals_and_the_worst(
    many: tuple[Engine, list[Source]], capsys: pytest.CaptureFixture[str]
) -> None:
    db, sources = many
    rows = status(db, sources, NOW)
    status_table(rows, sources, NOW)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "200 sources: 4 paused, 4 failing, 4 incomplete, 4 stale, 4 catching up, 4 never synced, 4 initial sync, "
        "4 not compared, 168 up to date"
    )
    assert lines[1].startswith("3,920 calls stored, ")
    assert lines[1].endswith(" still open, 48 records in quarantine")
    listed = [line.split()[0] for line in lines[3:] if line[:1] not in (" ", "")]
    paused, failing = ([source.name for source in sources[at::50]] for at in (2, 1))
    assert listed[:8] == sorted(paused) + sorted(failing)
    assert len(listed) == LISTED_SOURCES + 1
    assert lines[-1] == "and 180 sources more: `etl status --all`, or `etl status SOURCE`"
    status_table(rows, sources, NOW, shows_all=True)
    shown = capsys.readouterr().out
    assert all(f"\n{source.name} " in shown for source in sources)


def test_a_source_that_needs_attention_says_which(
    many: tuple[Engine, list[Source]], capsys: pytest.CaptureFixture[str]
) -> None:
    db, sources = many
    status_table(status(db, sources, NOW), sources, NOW, shows_all=True)
    shown = capsys.readouterr().out
    for remark in (
        "failing: the host ravan.test cannot be reached",
        "paused: the provider refuses the key: check its api_key; paused until 2025-05-01 12:10 UTC",
        "incomplete: 3 calls missing on 2025-04-30: ",
        "stale: last read 2 h 1 min ago, which is longer than its schedule allows",
        "catching up: a period is not read yet; the next run reads it",
        "gap from 2025-04-27T12:00:00+00:00 to 2025-04-28T12:00:00+00:00: the next sync reads it",
        "never synced: the first sync has not started",
        "not compared: the provider gives no total",
    ):
        assert f"\n  {remark}" in shown, remark


def test_it_says_how_long_what_is_kept(db: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    short = Retention(calls=timedelta(days=730), raw=timedelta(days=30))
    sources = [
        replace(source, retention=short if at else source.retention)
        for at, source in enumerate(fill(db, NOW, 3, runs=1))
    ]
    status_table(status(db, sources, NOW), sources, NOW)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "2 sources: calls kept for 730 days, raw payloads kept for 30 days"
    assert lines[3].startswith("source ")


def test_gaps_and_the_watermark_are_those_of_each_partition(db: Engine) -> None:
    (source,) = fill(db, NOW, 1)
    hour = timedelta(hours=1)

    def stored(*spans: tuple[str, datetime, datetime]) -> None:
        with db.begin() as connection:
            connection.execute(text("DELETE FROM ops.coverage"))
            for partition, start, end in spans:
                values = {"source": source.name, "partition": partition, "start": start, "end": end}
                connection.execute(text("INSERT INTO ops.coverage VALUES (:source, :partition, :start, :end)"), values)

    early = NOW - 9 * hour
    stored(
        ("+1", early, early + hour), ("+1", early + 2 * hour, NOW), ("+2", early, NOW - hour), ("+2", NOW - hour, NOW)
    )
    (row,) = status(db, [source], NOW)
    assert row["gaps"] == [{"from": (early + hour).isoformat(), "to": (early + 2 * hour).isoformat()}]
    assert row["watermark"] == NOW.isoformat()
    stored(("+1", early, NOW), ("+2", early, NOW - hour))
    (row,) = status(db, [source], NOW)
    assert (row["gaps"], row["watermark"]) == ([], (NOW - hour).isoformat())
    stored()
    (row,) = status(db, [source], NOW)
    assert (row["gaps"], row["watermark"]) == ([], None)


def test_of_many_verified_sources_those_with_an_open_day_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    found = {f"s{at:02}": [DayStatus(f"s{at:02}", NOW.date(), "verified")] for at in range(30)}
    found["s03"] = [DayStatus("s03", NOW.date(), "incomplete", 2, "2 listed calls are not stored")]
    found["s04"] = []
    day_statuses_table(found)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[1:5] == [
        "s03 1 2025-05-01 to 2025-05-01 all incomplete",
        "2025-05-01 incomplete: 2 listed calls are not stored",
        "s04 0 nothing was compared all unknown",
        "28 of 30 sources: every day is verified, or its counts match",
    ]
