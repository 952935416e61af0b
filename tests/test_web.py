"""The daemon's page over real HTTP: it shows what is stored, only to those who may see it."""

import logging
import os
import pty
import re
import socket
import time
from collections.abc import Iterator
from colorsys import rgb_to_hsv
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from subprocess import Popen
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import httpx
import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from etl import embedded, settings
from etl.cli.tables import status_table
from etl.db.connections import open_engine
from etl.db.engine import sqlstate
from etl.embedded import Server
from etl.model import Reporting, Window
from etl.ops.metrics import Metrics
from etl.reports.source_health import assess, worst_first
from etl.reports.status import status as load_status
from etl.runtime import humanize
from etl.runtime.secret import Secret
from etl.runtime.urls import Listen
from etl.sandbox.faults import parse_fault
from etl.sandbox.in_process import SandboxTransport
from etl.sandbox.socket_server import Sandbox
from etl.sandbox.world import World
from etl.state import recount, registry
from etl.state.daily_checks import DayStatus
from etl.web import call_search, charts, formatting, overview
from etl.web.cache import Cache
from etl.web.call_search import CallFilter, SearchResult
from etl.web.connection import DEFAULT_LIMITS, ConnectionLimits
from etl.web.daily_totals import daily_totals
from etl.web.http_server import serving
from etl.web.login_throttle import MAX_ADDRESSES, MAX_FAILURES, LoginThrottle
from etl.web.readonly_db import QUERY_CANCELED, limited, readonly_engine
from etl.web.signed_cookies import LOGIN, SHOW_PII, SignedCookies
from tests.commands import ETL, environment, start_etl, stop_etl
from tests.fakes import FakeClock, wait_until
from tests.harness import Harness, make_harness
from tests.many_sources import fill, many_sources

TOKEN = Secret("a-token-that-nobody-guesses")
HERE = [Listen("127.0.0.1", 0)]
HTML = {"accept": "text/html"}
STATIC = Path(charts.__file__).parent / "static"


@contextmanager
def page(
    harness: Harness,
    token: Secret | None = None,
    clock: FakeClock | None = None,
    limits: ConnectionLimits = DEFAULT_LIMITS,
) -> Iterator[httpx.Client]:
    """A client of the page that has not presented a token."""
    with serving(harness.dependencies(clock), list(harness.sources.values()), HERE, token, Metrics(), limits) as where:
        assert where
        with httpx.Client(base_url=where, headers={**HTML, "origin": where.rstrip("/")}, timeout=10) as client:
            yield client


@pytest.fixture
def harness(db: Engine) -> Harness:
    """A warehouse with the calls of two sources."""
    harness = make_harness(db)
    for name in ("ravan", "ringg"):
        harness.sync(name)
    return harness


def plain(html: str) -> str:
    """The words of a page."""
    return " ".join(re.sub(r"<[^>]+>", " ", html.partition("<body")[2]).split())


def seen(harness: Harness, path: str = "/", **given: Any) -> str:
    with page(harness) as client:
        response = client.get(path, **given)
        assert response.status_code == 200
        return response.text


def test_the_overview_shows_the_health_of_each_source(harness: Harness) -> None:
    shown = plain(seen(harness))
    assert "Autocalls was never read, and one other source is not known to be complete." in shown
    assert shown.count("up to date as many calls are stored as the provider lists") == 2
    assert shown.count("never synced the first sync has not started") == 2
    open_calls = harness.scalar("SELECT sum(open_calls) FROM bi_pii.freshness")
    calls = harness.scalar("SELECT count(*) FROM bi_pii.calls")
    assert f"{calls} calls stored, the newest " in shown
    assert f"; {open_calls} still open, nothing in quarantine." in shown
    for days in (7, 30, 90):
        stored = harness.scalar(
            "SELECT count(*) FROM bi_pii.calls WHERE created_at >= :since",
            since=harness.clock.now().replace(hour=0, minute=0) - timedelta(days=days - 1),
        )
        with page(harness) as client:
            assert f"days Calls {stored} " in plain(client.get(f"/?days={days}").text)


def test_the_page_speaks_the_time_zone_of_reports(harness: Harness) -> None:
    zone = ZoneInfo("Asia/Kolkata")
    for name, source in harness.sources.items():
        harness.sources[name] = replace(source, reporting=Reporting(zone))
        with harness.db.begin() as connection:
            registry.register(connection, harness.sources[name], harness.clock.now())
            while recount.zone_change(connection, name):
                recount.change_zone(connection, name)
    (call,) = harness.rows(
        "SELECT call_key, created_at, local_date FROM bi.calls WHERE (created_at AT TIME ZONE 'UTC')::date < local_date"
        " ORDER BY created_at LIMIT 1"
    )
    shown = plain(seen(harness, f"/calls/{call['call_key']}"))
    assert f"Created {call['created_at'].astimezone(zone):%Y-%m-%d %H:%M:%S}" in shown
    assert "All times are in the time zone Asia/Kolkata." in shown
    day = call["local_date"]
    calls = harness.scalar("SELECT count(*) FROM bi_pii.calls WHERE local_date = :day", day=day)
    assert f"{calls} calls" in plain(seen(harness, f"/calls?from={day}&to={day}"))
    today = harness.clock.now().astimezone(zone).date()
    week = harness.scalar("SELECT count(*) FROM bi_pii.calls WHERE local_date > :day", day=today - timedelta(days=7))
    assert f"days Calls {week} " in plain(seen(harness, "/?days=7"))


GOOD_ROW: dict[str, Any] = {
    "source": "ringg", "last_run": {"status": "succeeded"}, "pause_reason": None, "completeness": "count_match",
    "reason": None, "gaps": [], "incomplete_days": [], "quarantined": 0, "rate_per_minute": None, "calls": 1,
    "last_success_at": "2025-05-01T11:50:00+00:00", "newest_call_at": None, "open_calls": 0, "outdated_message": None,
}  # fmt: skip
PAUSED = {"pause_reason": "key_refused", "pause_message": "x"}
FAILING: dict[str, Any] = {"last_run": {"status": "failed", "error": "x"}}
GAP = {"completeness": "incomplete", "incomplete_days": [{"day": "2025-04-29", "missing_count": 3}]}
NEVER: dict[str, Any] = {"last_run": None}
UNKNOWN: dict[str, Any] = {"completeness": "unknown"}


@pytest.mark.parametrize(
    ("changes", "headline"),
    [
        ([{}, {}, {}, {}], "All four sources are up to date and complete."),
        ([{}], "The only source is up to date and complete."),
        ([], "No source is configured yet."),
        ([{}, PAUSED], "Ravan refuses its key."),
        ([PAUSED | {"pause_reason": "rate_limited"}], "Ringg asked us to wait."),
        ([{}, GAP], "3 calls of ravan are missing."),
        ([GAP, FAILING, PAUSED], "Autocalls refuses its key, and two other sources need attention."),
        ([GAP, FAILING, UNKNOWN], "Ravan cannot be read, and one other source needs attention."),
        ([FAILING, FAILING], "No source can be read."),
        ([NEVER, NEVER], "No source has been read yet."),
        (
            [UNKNOWN, {}, UNKNOWN],
            "Autocalls is not yet known to be complete, and one other source is not known to be complete.",
        ),
        ([{"last_success_at": "2025-05-01T11:44:00+00:00"}, {}], "Ringg was last read 16 min ago."),
        ([FAILING, *[{}] * 20, PAUSED], "2 of 22 sources need attention."),
        ([FAILING, *[{}] * 21], "Ringg cannot be read."),
    ],
)
def test_the_headline_names_the_worst_problem_and_counts_the_others(
    changes: list[dict[str, Any]], headline: str, tmp_path: Path
) -> None:
    now = datetime(2025, 5, 1, 12, tzinfo=UTC)
    names = ("ringg", "ravan", "autocalls", "vaani", *map(str, range(20)))
    source = settings.load({"RINGG_API_KEY": "k"}, tmp_path).local_sources[0]
    sources = [replace(source, name=name) for name in names]
    rows = [{**GOOD_ROW, "source": name, **change} for name, change in zip(names, changes, strict=False)]
    assert overview.headline(worst_first(rows, sources, now), now).text == headline


def test_a_paused_source_says_what_to_change_and_its_one_next_run_as_the_command_does(
    harness: Harness, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = harness.clock
    harness.transport = SandboxTransport(harness.world, [parse_fault("H09:first=1")])
    assert harness.run("ringg").status == "failed"
    harness.execute("UPDATE ops.sources SET next_run_at = :at", at=clock.now() + timedelta(minutes=5))
    sentence = (
        "the provider refuses the key: check RINGG_API_KEY; paused until 2025-05-01 12:15 UTC, "
        "`etl sync ringg` tries at once"
    )
    assert harness.scalar("SELECT error FROM ops.runs WHERE status = 'failed'") == (
        "the provider refuses the key (HTTP 401); check RINGG_API_KEY"
    )
    rows = {row["source"]: row for row in load_status(harness.db, list(harness.sources.values()), clock.now())}
    assert (rows["ringg"]["next_run_at"], rows["ringg"]["pause_reason"]) == ("2025-05-01T12:15:00+00:00", "key_refused")
    status_table(list(rows.values()), list(harness.sources.values()), clock.now())
    assert sentence in capsys.readouterr().out
    shown = plain(seen(harness, "/sources/ringg"))
    assert f"paused {sentence.replace('`', '')}" in shown
    assert "Next run in 15 min" in shown
    clock.sleep(900)
    assert "Next run 10 min ago" in plain(seen(harness, "/sources/ringg"))  # the pause is over


def test_a_source_that_was_never_read_says_only_that(harness: Harness) -> None:
    never, read = (plain(seen(harness, f"/sources/{name}")) for name in ("vaani", "ringg"))
    assert never.count("Nothing was read yet.") == 4
    assert "No record is in quarantine." in read
    assert "No record is in quarantine." not in never


def test_a_call_list_shows_what_is_stored_now_and_what_is_in_quarantine(harness: Harness) -> None:
    assert "all calls newest first 40 40 counts match" in plain(seen(harness, "/sources/ringg"))
    harness.execute("UPDATE ops.streams SET remote_count = 38, local_count = 38 WHERE source = 'ringg'")
    assert "newest first 38 40 (38 when compared) counts match" in plain(seen(harness, "/sources/ringg"))
    harness.execute("UPDATE ops.streams SET remote_count = 40, local_count = 40 WHERE source = 'ringg'")
    harness.execute(
        "DELETE FROM warehouse.calls WHERE provider_call_id = ANY(:ids)", ids=sorted(harness.stored_ids("ringg"))[:3]
    )
    shown = plain(seen(harness, "/sources/ringg"))
    assert "all calls newest first 40 37 incomplete the provider lists 40, 37 are stored: 3 are missing" in shown
    harness.execute(
        "INSERT INTO ops.quarantine (source, digest, reason, payload, first_seen_at, last_seen_at)"
        " SELECT 'ringg', i::text::bytea, 'no id: `etl quarantine show`', ''::bytea, now(), now()"
        "   FROM generate_series(1, 3) i"
    )
    html = seen(harness, "/sources/ringg")
    assert "all calls newest first 40 37 + 3 in quarantine counts match 3 of 40 wait in quarantine" in plain(html)
    assert "`" not in plain(html)
    assert "<code>etl quarantine show</code>" in html


def test_charts_say_the_answer_rate_the_shares_and_the_cost_per_minute(harness: Harness) -> None:
    shown = plain(seen(harness, "/sources/ravan?days=90"))
    (row,) = harness.rows(
        "SELECT count(*) AS calls, count(*) FILTER (WHERE is_answered) AS answered, sum(cost) AS cost,"
        " sum(duration_seconds) / 60 AS minutes, count(*) FILTER (WHERE outcome = 'no_answer') AS no_answer"
        " FROM warehouse.calls WHERE source = 'ravan'"
    )
    assert f"{row['answered']} of {row['calls']} calls {row['answered'] / row['calls']:.0%} answered" in shown
    assert f"no answer {row['no_answer'] / row['calls']:.0%}" in shown
    assert f"Cost, unknown unit of ravan {row['cost'] / row['minutes']:.2f} per minute {row['cost']:.2f}" in shown
    assert "(unknown" not in shown
    harness.execute("UPDATE warehouse.calls SET cost_unit = 'unknown', cost = 3")
    assert {"Cost, unknown unit of ravan", "Cost, unknown unit of ringg"} < set(
        re.findall("Cost, .*?(?=<)", seen(harness))
    )
    harness.execute("UPDATE warehouse.calls SET cost_unit = 'EUR'")
    assert set(re.findall("<h3>(Cost, .*?)<", seen(harness))) == {"Cost, EUR"}
    assert f"sum {row['calls']} Outcomes" in shown


def test_a_lowered_request_rate_is_shown(harness: Harness) -> None:
    assert "lowered as the provider limits the rate" not in seen(harness)
    at = harness.clock.now()
    harness.execute(
        "UPDATE ops.rate_limits SET adaptive_rate_per_minute = 12, adapted_at = :at WHERE source = 'ringg'", at=at
    )
    assert " of 12, lowered as the provider limits the rate" in plain(seen(harness))


def test_an_empty_database_and_an_unknown_path_are_explained(db: Engine) -> None:
    with page(make_harness(db)) as client:
        assert "No calls in these days." in client.get("/?days=7&x=1").text
        assert "No calls are stored yet." in client.get("/calls").text
        for wrong in ("/nothing", "/sources/nobody", "/calls/x", "/quarantine/1", f"/calls/{'0' * 32}"):
            response = client.get(wrong)
            assert (response.status_code, "There is no such" in response.text or "no source" in response.text) == (
                404,
                True,
            )
        assert client.get("/nothing", headers={"accept": "*/*"}).text == (
            "There is no such page. Start from the overview.\n"
        )


def test_a_sources_page_shows_its_gaps_runs_drift_and_quarantine(harness: Harness) -> None:
    now = harness.clock.now()
    harness.execute("UPDATE ops.coverage SET starts_at = :at WHERE source = 'ringg'", at=now - timedelta(hours=5))
    harness.execute("INSERT INTO ops.coverage VALUES ('ringg', '', '2015-01-01', :at)", at=now - timedelta(hours=8))
    harness.execute(
        "INSERT INTO ops.schema_drift VALUES ('ringg', 'a.field', 'new_field', 'text', 3, :now, :now)", now=now
    )
    harness.execute(
        "INSERT INTO ops.runs (source, kind, status, started_at, finished_at, owner, error)"
        " VALUES ('ringg', 'sync', 'failed', :now, :now, 'x', 'the key is refused')",
        now=now + timedelta(seconds=1),
    )
    for day, status, missing in (
        ("2025-04-28", "verified", 0),
        ("2025-04-29", "verified", 0),
        ("2025-04-30", "incomplete", 2),
    ):
        harness.execute(
            "INSERT INTO ops.daily_checks (source, day, status, missing_count, checked_at)"
            " VALUES ('ringg', :d, :v, :m, now())",
            d=day, v=status, m=missing,
        )  # fmt: skip
    html = seen(harness, "/sources/ringg")
    shown = plain(html)
    assert "2025-04-30: 2 calls listed but not stored; etl verify ringg --heal loads them" in shown
    assert "<title>2025-04-28 to 2025-04-29: verified</title>" in html
    assert "failing the key is refused" in shown
    assert "gap: 2025-05-01 04:00:00 to 2025-05-01 07:00:00 (3 h)" in shown
    assert len(re.findall(r'<rect class="incomplete" x=[^>]* fill="url', html)) == 1
    assert "a.field new field text 3" in shown
    assert "No record is in quarantine." in shown
    assert "Calls of number •••• " in plain(seen(harness, "/sources/ravan"))


EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'>&{{ 7*7 }}</p><style>*{display:none}</style>"


class Elements(HTMLParser):
    """The elements of a page, and their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: set[tuple[str, str]] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found |= {(tag, name) for name, _ in attributes} | {(tag, "")}


def test_values_of_a_provider_are_escaped(harness: Harness) -> None:
    key = harness.scalar("SELECT call_key FROM bi_pii.calls WHERE turn_count > 3 AND cost > 0 LIMIT 1")
    paths = ("/", "/calls", "/sources/ravan", f"/calls/{key}", "/quarantine/1")
    harness.execute("INSERT INTO ops.schema_drift VALUES ('ravan', 'f', 'new_field', 'text', 1, now(), now())")
    harness.execute(
        "INSERT INTO ops.quarantine (source, digest, reason, payload, first_seen_at, last_seen_at)"
        " VALUES ('ravan', 'x', 'because', 'payload', now(), now())"
    )
    harness.execute("UPDATE ops.runs SET error = 'an error' WHERE source = 'ravan'")
    harness.execute(
        "UPDATE warehouse.calls SET error_message = 'x', summary = 'x', provider_status = 'x', campaign_name = 'x',"
        " sentiment = 'x', extra = '{\"x\": 1}', agent_name = 'x', customer_name = 'x', customer_email = 'x',"
        " recording_url = 'x' WHERE call_key = :key", key=key,
    )  # fmt: skip
    with page(harness) as client:
        client.post("/personal-data", data={"show": "yes"})
        tame = {path: Elements(client.get(path).text).found for path in paths}
    for statement in (
        "UPDATE warehouse.transcripts SET texts = jsonb_set(texts, '{0}', to_jsonb(CAST(:evil AS text)))",
        "UPDATE warehouse.calls SET error_message = :evil, summary = :evil, provider_status = :evil, sentiment = :evil,"
        " campaign_name = :evil, agent_name = :evil, customer_name = :evil, customer_email = :evil,"
        " recording_url = :evil, extra = to_jsonb(CAST(:evil AS text))",
        "UPDATE ops.schema_drift SET field = :evil, detail = :evil",
        "UPDATE ops.runs SET error = :evil WHERE source = 'ravan'",
        "UPDATE ops.quarantine SET reason = :evil, payload = convert_to(:evil, 'UTF8')",
    ):
        harness.execute(statement, evil=EVIL)
    with page(harness) as client:
        client.post("/personal-data", data={"show": "yes"})
        for path in paths:
            html = client.get(path).text
            assert Elements(html).found == tame[path]
            assert "49" not in re.findall(r"&amp;(.{0,9})&lt;/p", html)
        assert "&lt;script&gt;alert(1)" in client.get(f"/calls/{key}").text


def test_personal_data_is_hidden_until_it_is_asked_for(harness: Harness) -> None:
    row = harness.rows("SELECT * FROM bi_pii.calls WHERE turn_count > 3 AND customer_name IS NOT NULL LIMIT 1")[0]
    turns = harness.rows("SELECT text FROM bi_pii.transcript_turns WHERE call_key = :key", key=row["call_key"])
    people = [row["customer_name"], row["customer_number"], turns[0]["text"]]
    with page(harness) as client:
        for path in ("/calls", f"/calls/{row['call_key']}"):
            assert not [value for value in people if value in client.get(path).text]
        response = client.post("/personal-data", data={"show": "yes", "next": "/calls"})
        assert (response.status_code, response.headers["location"]) == (303, "/calls")
        assert re.search(r"; HttpOnly; Max-Age=900; .*SameSite=strict", response.headers["set-cookie"])
        shown = client.get(f"/calls/{row['call_key']}").text
        assert [value in shown for value in people] == [True] * 3
        harness.clock.sleep(901)
        assert people[1] not in client.get(f"/calls/{row['call_key']}").text
        client.post("/personal-data", data={"show": "yes"})
        assert people[1] in client.get("/calls").text + client.get(f"/calls/{row['call_key']}").text
        client.post("/personal-data", data={"show": "no"})
        assert people[1] not in client.get(f"/calls/{row['call_key']}").text


def test_a_search_finds_numbers_and_words_and_puts_none_into_a_url(harness: Harness) -> None:
    row = harness.rows("SELECT call_key, customer_number FROM bi_pii.calls WHERE customer_number LIKE '+91%' LIMIT 1")[
        0
    ]
    turn = harness.rows("SELECT call_key, text FROM bi_pii.transcript_turns ORDER BY length(text) DESC LIMIT 1")[0]
    harness.execute(
        """UPDATE warehouse.transcripts SET texts = jsonb_set(texts, '{0}', '"surely a callback, isn''t it"')"""
        " WHERE call_key = :key", key=turn["call_key"],
    )  # fmt: skip

    def found(client: httpx.Client, sought: str, **more: str) -> set[str]:
        response = client.post("/calls", data={"words": sought, **more})
        assert sought not in response.headers["location"]
        return set(re.findall(r"/calls/([0-9a-f-]{36})", client.get(response.headers["location"]).text))

    with page(harness) as client:
        number = row["customer_number"]
        for sought in (number, number[1:], number[-6:], f"{number[:3]} {number[3:7]} {number[7:]}"):
            assert str(row["call_key"]) in found(client, sought)
        assert found(client, "SURELY Callback") == {str(turn["call_key"])}
        assert found(client, '"callback surely"') == set()
        assert found(client, str(turn["call_key"])) == {str(turn["call_key"])}
        assert found(client, "surely", source="vaani") == set()
        assert "That search has expired" in client.get("/calls?search=abc").text
        harness.execute("UPDATE warehouse.calls SET created_at = '2025-04-30'")
        older = client.get("/calls").text
        assert "80 calls, newest first" in plain(older)
        following = re.search(r'href="(/calls\?before=[^"]+)"', older)
        assert following
        second = client.get(following[1].replace("&amp;", "&")).text
        pages = [re.findall(r"/calls/([0-9a-f-]{36})", html) for html in (older, second)]
        assert [len(keys) for keys in pages] == [50, 30]
        assert not set(pages[0]) & set(pages[1])


class SlowClock(FakeClock):
    """A clock by which everything takes 1.2 seconds."""

    def monotonic(self) -> float:
        self.sleep(1.2)
        return super().monotonic()


@pytest.mark.parametrize(
    ("chosen", "condition"),
    [
        ({"source": "ravan"}, "source = 'ravan'"),
        ({"direction": "inbound"}, "direction = 'inbound'"),
        ({"outcome": "completed", "agent": "Maya"}, "outcome = 'completed' AND agent_name = 'Maya'"),
        ({"from": "2025-04-05", "to": "2025-04-20"}, "created_at >= '2025-04-05Z' AND created_at < '2025-04-21Z'"),
        ({"from": "2025-04-31", "to": "x", "outcome": "%00", "agent": "nobody", "source": "'"}, "true"),
        ({"from": "2025-05-02"}, "false"),
    ],
)
def test_calls_are_filtered_and_counted(harness: Harness, chosen: dict[str, str], condition: str) -> None:
    keys = {str(row["call_key"]) for row in harness.rows(f"SELECT call_key FROM warehouse.calls WHERE {condition}")}
    with page(harness) as client:
        where = client.post("/calls", data={"words": "", **chosen}).headers["location"]
        found, caption = set[str](), ""
        while where:
            html = client.get(where.replace("&amp;", "&")).text
            caption = caption or plain(html).partition(" newest first")[0]
            found |= set(re.findall(r"/calls/([0-9a-f-]{36})", html))
            where = next(iter(re.findall(r'href="(/calls\?[^"]*before=[^"]+)"', html)), "")
        assert found == keys
        assert caption.endswith(f"{humanize.counted(len(keys), 'call')},") == bool(keys)
        assert keys or "No calls found with these filters." in html


def test_a_search_finds_agents_and_shows_the_words_only_with_personal_data(harness: Harness) -> None:
    (row,) = harness.rows("SELECT call_key FROM bi_pii.calls WHERE turn_count > 3 LIMIT 1")
    harness.execute(
        "UPDATE warehouse.calls SET agent_name = 'Zoe <b>', summary = NULL WHERE call_key = :call_key", **row
    )
    harness.execute(
        """UPDATE warehouse.transcripts SET texts = '["tangerine & now", "a Tangerine"]' WHERE call_key = :call_key""",
        **row,
    )

    def shown(client: httpx.Client, words: str) -> str:
        return client.post("/calls", data={"words": words}, follow_redirects=True).text

    with page(harness) as client:
        assert str(row["call_key"]) in shown(client, "zoe")
        assert str(row["call_key"]) in shown(client, "tangerine")
        assert "<mark>" not in shown(client, "tangerine")
        client.post("/personal-data", data={"show": "yes"})
        assert "<mark>tangerine</mark> &amp; now – a <mark>Tangerine</mark>" in shown(client, "tangerine")
        harness.execute("UPDATE warehouse.calls SET summary = 'wants a quince<' WHERE call_key = :call_key", **row)
        assert "wants a q<mark>uinc</mark>e&lt;" in shown(client, "UINC")
        assert "Digits are searched in phone numbers" in shown(client, "999999")
        assert "Transcripts are searched by whole words" in shown(client, "nowhere said")


def test_a_search_that_takes_too_long_shows_how_far_it_came(harness: Harness) -> None:
    clock = SlowClock(harness.clock.now())
    found = call_search.search_calls(harness.db, clock, "hello", CallFilter(("ringg", "ravan")))
    assert (found.stopped_at, found.has_more) == (harness.clock.now() - timedelta(days=2), False)
    with page(harness, clock=clock) as client:
        html = client.post("/calls", data={"words": "hello"}, follow_redirects=True).text
    assert re.search(
        r"The search stopped after three seconds; it covers the calls since 2025-04-\d\d 12:0\d:\d\d", html
    )


def test_a_search_cancels_a_statement_at_its_time_limit(harness: Harness) -> None:
    db = readonly_engine(harness.db.url)
    tomorrow = harness.clock.now() + timedelta(days=1)
    with harness.db.begin() as connection:
        connection.execute(text("LOCK TABLE warehouse.transcripts"))
        found = call_search.search_calls(db, harness.clock, "hello", CallFilter(("ringg",)), seconds=0.3)
    assert found == SearchResult([], tomorrow, has_more=False)
    assert call_search.search_calls(db, harness.clock, "hello", CallFilter(("ringg",))).stopped_at is None
    db.dispose()


def test_the_quarantine_is_retried_from_the_page(harness: Harness) -> None:
    call_id = harness.world.calls("ringg")[0].call_id
    harness.execute(
        "INSERT INTO ops.quarantine (source, provider_call_id, digest, reason, payload, first_seen_at, last_seen_at)"
        " VALUES ('ringg', :id, 'x', 'created_at is missing', :payload, now(), now())",
        id=call_id, payload=harness.versions_of(call_id)[0],
    )  # fmt: skip
    with page(harness) as client:
        shown = plain(client.get("/sources/ringg").text)
        assert "1 record could not be loaded" in shown
        assert "created_at is missing" in shown
        assert call_id not in plain(client.get("/quarantine/1").text).partition("Record as received")[2]
        assert "Hidden" in client.get("/quarantine/1").text
        response = client.post("/sources/ringg/retry")
        assert (response.status_code, response.headers["location"]) == (303, "/sources/ringg#quarantine")
        wait_until(
            lambda: harness.scalar("SELECT count(*) FROM ops.runs WHERE kind = 'replay' AND status = 'succeeded'") == 1,
            seconds=20,
        )
        assert client.post("/sources/nobody/retry").status_code == 404


def test_cross_site_and_oversized_requests_are_refused(harness: Harness) -> None:
    with page(harness) as client:
        for headers in (
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"origin": ""},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"sec-fetch-site": "none"},
        ):
            for path in ("/sources/ringg/retry", "/personal-data", "/login", "/calls"):
                assert client.post(path, headers=headers).status_code == 403
        assert client.get("/sources/ringg/retry").status_code == 405
        assert client.put("/personal-data").status_code == 405
        assert client.post("/personal-data", content=b"x" * 20_000).status_code == 413
        assert client.post("/personal-data", data={"next": "//evil.example"}).headers["location"] == "/"
        assert client.post("/personal-data", data={"next": "/\\evil.example"}).headers["location"] == "/"
    assert harness.scalar("SELECT count(*) FROM ops.runs WHERE kind = 'replay'") == 0


def test_on_loopback_only_loopback_host_names_are_accepted(harness: Harness) -> None:
    with page(harness) as client:
        for host in ("evil.example", "evil.example:8787", "127.0.0.1.evil.example", "", "[::1", "10.0.0.1"):
            assert client.get("/", headers={"host": host}).status_code == 421
        for host in ("localhost", "localhost:9999", "127.0.0.1", "[::1]:80", "LOCALHOST"):
            assert client.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("head", ["GET {} HTTP/1.0", "GET {} HTTP/1.0\r\nHost:", "GET {} HTTP/1.1\r\nHost:"])
def test_a_probe_needs_no_host_name_and_a_page_does(harness: Harness, head: str) -> None:
    with serving(harness.dependencies(), [], [Listen("127.0.0.1", 0)], None, Metrics()) as where:
        for path, status in (("/healthz", b"200"), ("/readyz", b"200"), ("/", b"421"), ("/metrics", b"421")):
            with socket.create_connection(("127.0.0.1", urlsplit(where or "").port or 0), 10) as connection:
                connection.sendall(f"{head.format(path)}\r\nConnection: close\r\n\r\n".encode())
                assert connection.makefile("rb").readline().split()[1] == status


def test_elsewhere_only_own_host_names_are_accepted(harness: Harness) -> None:
    with serving(harness.dependencies(), [], [Listen("0.0.0.0", 0)], TOKEN, Metrics()) as where:  # noqa: S104 - what is tested
        assert where
        base = where.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        for host, status in (("10.1.2.3:80", 401), ("callhouse", 401), ("evil.example", 421), ("localhost", 401)):
            assert httpx.get(base, headers={"host": host}).status_code == status


def test_with_a_token_every_page_requires_it(harness: Harness) -> None:
    bearer = {"authorization": f"Bearer {TOKEN.reveal()}"}
    with page(harness, TOKEN) as client:
        for path in ("/", "/calls", "/sources/ringg", "/metrics", "/nothing"):
            response = client.get(path)
            assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
            assert "ringg" not in response.text.replace('value="/sources/ringg"', "")
        assert client.post("/sources/ringg/retry").status_code == 401
        assert client.get("/", headers={"accept": "*/*"}).text == (
            "Unauthorized: send the token in ETL_TOKEN as Authorization: Bearer …\n"
        )
        assert client.get("/healthz").text == "alive\n"
        assert client.get("/static/page.css").status_code == 200
        for wrong in ("Bearer", "Bearer x", f"Basic {TOKEN.reveal()}", f"Bearer {TOKEN.reveal()}x"):
            assert client.get("/", headers={"authorization": wrong}).status_code == 401
        assert client.get("/", headers=bearer).status_code == 200


def test_probes_and_metrics_answer_programs(harness: Harness) -> None:
    harness.execute("UPDATE ops.sources SET first_seen_at = '2025-05-01'")
    with page(harness) as client:
        assert (client.get("/healthz").text, client.get("/readyz").text) == ("alive\n", "ready\n")
        shown = client.get("/metrics")
        assert shown.headers["content-type"].startswith("text/plain; version=")
        stored = harness.scalar("SELECT count(*) FROM warehouse.calls WHERE source = 'ringg'")
        assert re.search(rf'^callhouse_calls{{source="ringg"}} {stored}\.0$', shown.text, re.M)
        harness.clock.sleep(7200)
        late = client.get("/readyz")
        assert (late.status_code, "ringg: last read 2025-05-01 12:00 UTC" in late.text) == (503, True)
    with page(harness, TOKEN) as client:
        late = client.get("/readyz")
        assert (late.status_code, late.text) == (503, "not ready: the page and etl status say why\n")
        assert client.get("/metrics").status_code == 401


def test_signing_in_sets_a_cookie_and_signing_out_deletes_it(harness: Harness) -> None:
    with page(harness, TOKEN) as client:
        form = client.get("/sources/ringg").text
        assert '<input type="hidden" name="next" value="/sources/ringg">' in form
        wrong = client.post("/login", data={"token": "x", "next": "/calls"})
        assert (wrong.status_code, "Wrong token." in wrong.text) == (401, True)
        accepted = client.post("/login", data={"token": TOKEN.reveal(), "next": "/sources/ringg"})
        assert (accepted.status_code, accepted.headers["location"]) == (303, "/sources/ringg")
        assert re.search(r"; HttpOnly; .*SameSite=strict", accepted.headers["set-cookie"])
        assert TOKEN.reveal() not in accepted.headers["set-cookie"]
        assert client.get("/sources/ringg").status_code == 200
        given = client.cookies[LOGIN]
        client.post("/logout")
        assert client.get("/").status_code == 401
        other = SignedCookies(Secret("another token"), harness.clock).issue(LOGIN, 99)
        for forged in (f"9{given}", given[:-1] + ("0" if given[-1] != "0" else "1"), "", "x.y", other):
            assert client.get("/", headers={"cookie": f"{LOGIN}={forged}"}).status_code == 401
        assert client.get("/", headers={"cookie": f"{LOGIN}={given}"}).status_code == 200
        secure = client.post(
            "/login", data={"token": TOKEN.reveal()}, headers={"origin": "https://x", "sec-fetch-site": "same-origin"}
        )
        assert "; Secure" in secure.headers["set-cookie"]


def test_after_twenty_wrong_tokens_an_address_is_answered_429_and_the_right_token_still_works(harness: Harness) -> None:
    accepted = {"authorization": f"Bearer {TOKEN.reveal()}"}
    with page(harness, TOKEN) as client:

        def wrong() -> list[httpx.Response]:
            bearer = {"authorization": "Bearer wrong"}
            return [client.post("/login", data={"token": "wrong"}), client.get("/metrics", headers=bearer)]

        assert [response.status_code for _ in range(10) for response in wrong()] == [401] * 20
        assert [(each.status_code, each.headers.get("retry-after")) for each in wrong()] == [(429, "60")] * 2
        assert [client.get(path).status_code for path in ("/healthz", "/login")] == [200, 200]
        assert client.get("/metrics", headers=accepted).status_code == 200
        assert client.post("/login", data={"token": TOKEN.reveal()}).status_code == 303
        assert client.get("/", headers={"authorization": "Bearer wrong"}).status_code == 200  # signed in by cookie
        client.cookies.clear()
        harness.clock.sleep(60)
        assert [response.status_code for response in wrong()] == [401, 401]


def test_the_login_throttle_keeps_a_bounded_number_of_addresses() -> None:
    throttle = LoginThrottle(FakeClock())
    for number in range(3 * MAX_ADDRESSES):
        for _ in range(MAX_FAILURES):
            assert throttle.refusal(str(number)) is None
    refused = [throttle.refusal(str(number)) is not None for number in reversed(range(3 * MAX_ADDRESSES))]
    assert sum(refused) == MAX_ADDRESSES


def address_of(client: httpx.Client) -> tuple[str, int]:
    return str(client.base_url.host), int(client.base_url.port or 0)


UNFINISHED = (
    b"",
    b"GET",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n",
    b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /",
    b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: same-origin\r\nContent-Length: 9\r\n\r\ntoken",
)


def test_connections_that_ask_for_nothing_do_not_keep_a_probe_from_its_answer(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    with page(harness, TOKEN) as client, ExitStack() as opened:
        sockets = []
        for number in range(300):
            sockets.append(opened.enter_context(socket.create_connection(address_of(client))))
            sockets[-1].sendall(UNFINISHED[number % len(UNFINISHED)])
            if number % 50 == 49:
                assert httpx.get(client.base_url.join("/healthz"), timeout=5).status_code == 200
        assert client.get("/", headers={"authorization": f"Bearer {TOKEN.reveal()}"}).status_code == 200
        wait_until(lambda: sum(map(is_open, sockets)) <= DEFAULT_LIMITS.max_connections)
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 0


def is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        while received := connection.recv(65536):
            pass
        return bool(received)
    except BlockingIOError:
        return True
    except OSError:
        return False


def test_a_connection_ends_where_an_exchange_takes_too_long(harness: Harness) -> None:
    with page(harness, TOKEN, limits=ConnectionLimits(exchange_seconds=0.5)) as client, ExitStack() as opened:
        for sent in UNFINISHED:
            connection = opened.enter_context(socket.create_connection(address_of(client), timeout=5))
            connection.sendall(sent)
            began = time.monotonic()
            for _ in range(30):  # a byte now and then gives it no more time
                if not is_open(connection):
                    break
                time.sleep(0.1)
                with suppress(OSError):
                    connection.sendall(b"x")
            assert time.monotonic() - began < 2, sent
        for _ in range(3):
            time.sleep(0.2)
            assert client.get("/healthz").status_code == 200


FORM = {"content-type": "application/x-www-form-urlencoded"}
STRANGE = [
    *(("POST", "/login", {"origin": origin}, b"", 403) for origin in (
        "http://[", "http://]", "http://[::1", "http://[v1.x]", "//", "http:", "http://\xff",
        "ftp://127.0.0.1", "x" * 9000)),
    *(("POST", path, FORM, body, 303) for path in ("/calls", "/personal-data") for body in (
        "&".join(f"f{n}=x" for n in range(21)).encode(), b"a" * 1000 + b"&" * 9000, b"=&=&=", b"%", b"\xff=\xff")),
    *(("GET", path, {}, b"", 404) for path in (
        "/quarantine/9999999999999999999", "/quarantine/" + "9" * 5000, "/quarantine/-1", "/quarantine/%C2%B2",
        "/calls/%F0%9F%98%80", "/static/" + "x" * 5000, "/static/..%2f..%2fpage.py", "/sources/%EF%BF%BD")),
    *(("GET", path, {}, b"", 400) for path in ("/static/%00", "/calls/%00", "/sources/%00", "/%0a", "/static/%1b[2J")),
    *(("GET", f"/calls?{query}", {}, b"", 200) for query in (
        "source=%00", "search=%00", "before=%00", "before=8999-01-01T00:00:00%2B00:00 " + "0" * 32,
        "before=1970-01-01T00:00:00%2B23:59 " + "f" * 32, "days=%C2%B2")),
]  # fmt: skip


def test_no_request_is_answered_with_a_server_error(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    with page(harness) as client:
        for method, path, headers, body, status in STRANGE:
            given = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
            response = client.request(method, path, headers=given, content=body or None)
            assert response.status_code == status, (method, path[:60], headers, body[:60], response.text[:200])
        for words in (b"%00", b"hello%00", b"%ED%A0%80", b"%FF", b"%27%22%5C%25_", b"%2B", b"%E2%80%AE", b"(" * 150):
            found = client.post("/calls", content=b"words=" + words, headers=FORM, follow_redirects=True)
            assert found.status_code == 200, words
        later = client.post("/calls", data={"words": "hello"}).headers["location"]
        assert client.get(f"{later}&before=8999-01-01T00:00:00%2B00:00 {'0' * 32}").status_code == 200
        for line in (b"GET [ HTTP/1.1", b"GET http://[ HTTP/1.1", b"GET * HTTP/1.1", b"GET // HTTP/1.1"):
            with socket.create_connection(address_of(client), timeout=5) as connection:
                connection.sendall(line + b"\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                assert re.match(rb"HTTP/1.1 4", connection.recv(4096)), line
    assert not re.search("Traceback|ASGI", caplog.text)
    assert {record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING} <= {"page_failed"}


def test_a_signed_cookie_is_valid_for_one_purpose_until_it_expires() -> None:
    clock = FakeClock()
    cookies = SignedCookies(TOKEN, clock)
    value = cookies.issue(SHOW_PII, 60)
    assert cookies.is_valid(SHOW_PII, value)
    assert not cookies.is_valid(LOGIN, value)
    assert SignedCookies(TOKEN, clock).is_valid(SHOW_PII, value)
    assert not SignedCookies(None, clock).is_valid(SHOW_PII, value)
    clock.sleep(60)
    assert not cookies.is_valid(SHOW_PII, value)
    for step in (1000, 10**8):  # the clock is ahead, and is put right again
        clock.step(step)
        value = cookies.issue(SHOW_PII, 15 * 60)
        assert cookies.is_valid(SHOW_PII, value)
        clock.step(-step)
        assert not cookies.is_valid(SHOW_PII, value)


def test_every_response_has_security_headers(harness: Harness) -> None:
    with page(harness, TOKEN) as client:
        responses = [client.get(path) for path in ("/", "/healthz", "/static/page.js", "/static/nothing", "/login")]
        responses.append(client.get("/", headers={"host": "evil.example"}))
    for response in responses:
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'; ")
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "same-origin"
        assert "server" not in response.headers
        assert "access-control-allow-origin" not in response.headers
        assert response.headers["cache-control"] == ("no-cache" if "static" in response.url.path else "no-store")
    templates = Path(__file__).parent.parent / "etl" / "web" / "templates"
    for template in templates.glob("*.html"):
        assert not re.search(r"\bstyle=|\bon[a-z]+=|<style|<script>|https?://|\|\s*safe", template.read_text()), (
            template
        )


def test_a_database_that_is_down_is_a_503_page(
    harness: Harness, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    name = make_url(harness.db.url.render_as_string(hide_password=False)).database
    admin = open_engine(server.url("postgres")).execution_options(isolation_level="AUTOCOMMIT")
    with page(harness) as client, caplog.at_level(logging.INFO), admin.connect() as connection:
        connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": name}
        )
        response = client.get("/")
        assert (response.status_code, "The database does not answer." in response.text) == (503, True)
        assert client.get("/healthz").status_code == 200
        connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))
        assert client.get("/").status_code == 200
    admin.dispose()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == ["page_failed"]


def test_an_internal_error_shows_and_logs_no_data(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    number = "+91" + "9876543210"
    broken = replace(harness.sources["ringg"], schedule=f"* * * * {number[3:]}")  # which no configuration lets in
    with (
        serving(harness.dependencies(), [broken], HERE, None, Metrics()) as where,
        httpx.Client(headers=HTML) as client,
    ):
        response = client.get(str(where))
    assert (response.status_code, "this is a bug in Callhouse" in response.text) == (500, True)
    assert number[3:] not in response.text + caplog.text


def test_the_pages_connections_are_read_only_and_limited_in_time(db: Engine) -> None:
    readonly = readonly_engine(db.url)
    with pytest.raises(SQLAlchemyError) as refused, readonly.connect() as connection:
        connection.execute(text("CREATE TABLE warehouse.x ()"))
    assert sqlstate(refused.value) == "25006"
    with pytest.raises(SQLAlchemyError) as late, limited(readonly, 0.05) as connection:
        connection.execute(text("SELECT pg_sleep(5)"))
    assert sqlstate(late.value) == QUERY_CANCELED
    with readonly.connect() as connection:
        assert connection.scalar(text("SHOW statement_timeout")) == "5s"
    readonly.dispose()


def test_a_port_in_use_does_not_stop_the_daemon(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, caplog.at_level(logging.WARNING):
        busy = Listen("127.0.0.1", taken.getsockname()[1])
        with serving(harness.dependencies(), [], [busy], None, Metrics()) as nowhere:
            assert nowhere is None
        with serving(harness.dependencies(), [], [busy, *HERE], None, Metrics()) as where:
            assert where
            assert httpx.get(f"{where}healthz").text == "alive\n"
    assert "page_not_served" in caplog.text
    with serving(harness.dependencies(), [], [], None, Metrics()) as nowhere:
        assert nowhere is None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def test_the_daemon_stops_within_seconds_while_a_client_is_connected(tmp_path: Path, database_url: str) -> None:
    port = free_port()
    with Sandbox(World(5, calls=12, days=2, now=datetime.now(UTC).replace(microsecond=0))) as sandbox:
        given = {
            **sandbox.environment(), "DATABASE_URL": f"{database_url}?sslmode=disable",
            "ETL_LISTEN": f"127.0.0.1:{port}",
        }  # fmt: skip
        process = start_etl("daemon", cwd=tmp_path, given=given)
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"), seconds=20)
        with httpx.Client() as client, socket.create_connection(("127.0.0.1", port)):
            wait_until(lambda: "autocalls" in client.get(f"http://127.0.0.1:{port}/", headers=HTML).text, seconds=20)
            began = time.monotonic()
            code, out, err = stop_etl(process)
    assert (code, out) == (0, ""), err
    assert time.monotonic() - began < 8
    assert f'"address": "http://127.0.0.1:{port}/"' in err
    assert "Traceback" not in err


def answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


def test_the_demo_on_a_terminal_serves_the_page_until_it_is_stopped(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = Popen(
        [*ETL, "demo"], cwd=tmp_path, env={**environment(tmp_path, {}), "TERM": "dumb"}, stdin=theirs, stdout=theirs,
        stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while not (found := re.search(rb"Watch it live.*?(http://127\.0\.0\.1:\d+/)\s", shown, re.S)):
            shown += os.read(ours, 65536)
        where = found[1].decode()
        wait_until(lambda: "sources are up to date" in httpx.get(where, headers=HTML).text, seconds=20)
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        os.close(ours)
        embedded.stop(tmp_path / "etl")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({}, "up to date"),
        ({"last_run": None}, "never synced"),
        ({"pause_reason": "key_refused", "pause_message": "the key is refused"}, "paused"),
        ({"last_run": {"status": "failed", "error": "x"}}, "failing"),
        ({"completeness": "incomplete"}, "incomplete"),
        ({"completeness": "unknown"}, "not compared"),
        ({"last_success_at": None}, "initial sync"),
        ({"last_success_at": "2025-05-01T11:44:00+00:00"}, "stale"),
        ({"gaps": [{}]}, "catching up"),
        ({"outdated_message": "3 calls"}, "old settings"),
    ],
)
def test_each_state_of_a_source_has_its_badge(change: dict[str, Any], word: str, tmp_path: Path) -> None:
    now = datetime(2025, 5, 1, 12, tzinfo=UTC)
    source = settings.load({"RINGG_API_KEY": "k"}, tmp_path).local_sources[0]
    assert assess({**GOOD_ROW, **change}, source, now).badge == word
    assert assess({**GOOD_ROW, **change}, None, now).badge == "not configured"


def test_an_incomplete_source_says_how_many_calls_are_missing_and_when(tmp_path: Path) -> None:
    source = settings.load({"RINGG_API_KEY": "k"}, tmp_path).local_sources[0]
    days = [{"day": "2025-04-29", "missing_count": 1}, {"day": "2025-04-30", "missing_count": 2}]
    for count, message, headline in (
        (0, "the provider lists calls that are not stored", "calls of ringg are missing"),
        (1, "1 call missing on 2025-04-29: `etl verify ringg --heal` loads them", "1 call of ringg is missing"),
        (
            2,
            "3 calls missing on 2025-04-29, 2025-04-30: `etl verify ringg --heal` loads them",
            "3 calls of ringg are missing",
        ),
    ):
        health = assess(
            {**GOOD_ROW, "completeness": "incomplete", "incomplete_days": days[:count]},
            source,
            datetime(2025, 5, 1, tzinfo=UTC),
        )
        assert (health.message, health.headline) == (message, headline)


def test_times_and_numbers_as_text() -> None:
    spans = [0, 59, 60, 61, 185, 3600, 3660, 4 * 3600 + 60, 86400, 90000, 5 * 86400]
    assert [humanize.duration(seconds) for seconds in spans] == [
        "0 s", "59 s", "1 min", "1 min 1 s", "3 min", "1 h", "1 h 1 min", "4 h", "1 d", "1 d 1 h", "5 d",
    ]  # fmt: skip
    now = datetime(2025, 5, 1, tzinfo=UTC)
    assert [humanize.ago(now + timedelta(seconds=seconds), now) for seconds in (-5, 0, 65)] == [
        "5 s ago",
        "now",
        "in 1 min 5 s",
    ]
    assert (formatting.phone_number("+919876543210", False), formatting.phone_number(None, True)) == ("•••• 10", "–")
    assert [formatting.short(value) for value in (0.5, 20, 1500, 2e6)] == ["0.5", "20", "1.5k", "2M"]


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance of ``#rrggbb``."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("count", [9, 10])
def test_totals_are_by_source_or_of_many_sources_by_provider_and_unknown_units_are_not_added_up(
    db: Engine, count: int
) -> None:
    now = datetime(2025, 5, 1, 12, tzinfo=UTC)
    fill(db, now, count, runs=1)
    with db.begin() as connection:
        connection.execute(text("UPDATE ops.sources SET provider = 'ravan' WHERE source = 'summit-0004'"))
        connection.execute(text("UPDATE warehouse.calls SET cost_unit = 'unknown' WHERE source <> 'northwind-0000'"))
        found = daily_totals(connection, now, 90)
    calls = {name: sum(numbers) for name, numbers in found.calls.items()}
    if count == 9:
        assert calls == {source.name: 20 for source in many_sources(9) if source.name != "cobalt-0007"}
        assert len(found.costs) == 8
    else:
        assert calls == {"autocalls": 40, "ravan": 80, "ringg": 40, "vaani": 20}
        assert list(found.costs) == ["USD"]


def test_the_colours_of_outcomes_stand_out_from_their_card_and_from_each_other() -> None:
    css = (STATIC / "page.css").read_text()
    for theme in css.split("@media (prefers-color-scheme: dark)")[:2]:
        colours = dict(re.findall(r"--(o-\w+|card): (#[0-9a-f]{6});", theme.partition("* { box-sizing")[0]))
        card = luminance(colours.pop("card"))
        for name, colour in colours.items():
            lighter, darker = sorted((luminance(colour), card), reverse=True)
            assert (lighter + 0.05) / (darker + 0.05) >= 3, name
        hues = sorted(
            360 * rgb_to_hsv(*(int(colours[f"o-{name}"][at : at + 2], 16) / 255 for at in (1, 3, 5)))[0]
            for name in ("failed", "busy", "no_answer")
        )
        assert min(hues[1] - hues[0], hues[2] - hues[1], 360 + hues[0] - hues[2]) >= 35


def test_a_gap_of_an_hour_in_a_year_is_visible_on_a_timeline() -> None:
    start = datetime(2025, 1, 1, tzinfo=UTC)
    span = Window(start, start + timedelta(days=365))
    hour = Window(start + timedelta(days=364, hours=23), start + timedelta(days=365))
    stored, gap = charts.timeline(span, [Window(datetime(2015, 1, 1, tzinfo=UTC), hour.start)], [hour])
    assert (stored.kind, stored.x, round(stored.width)) == ("stored", 0, 100)
    assert (gap.kind, gap.width, gap.x) == ("incomplete", charts.MIN_WIDTH_PERCENT, 100 - charts.MIN_WIDTH_PERCENT)


def test_a_day_of_a_source_begins_at_midnight_in_its_time_zone() -> None:
    span = Window(datetime(2025, 6, 1, tzinfo=UTC), datetime(2025, 6, 11, tzinfo=UTC))
    found = [DayStatus("ringg", date(2025, 6, day), "count_match") for day in (2, 3)]
    for zone, start in (("UTC", 10), ("Asia/Kolkata", 10 - 5.5 / 2.4)):
        (piece,) = charts.days(span, found, ZoneInfo(zone))
        assert (piece.x, piece.width) == pytest.approx((start, 20), abs=0.01)
        assert piece.label == "2025-06-02 to 2025-06-03: counts match"


def test_the_bars_of_a_chart_are_as_high_as_its_numbers() -> None:
    assert [round(charts.nice(most), 9) for most in (0, 0.3, 7, 8.1, 20, 68, 101, 3500)] == [
        1,
        0.3,
        8,
        10,
        20,
        80,
        200,
        4000,
    ]
    days = [datetime(2025, 5, day, tzinfo=UTC).date() for day in (1, 2)]
    chart = charts.stacked(days, {"a": [1, 4], "b": [0, 4]}, {"a": "c0", "b": "c1"}, "calls", is_split=True)
    assert [[part.height for part in bar.parts] for bar in chart.bars] == [[18.75], [75, 75]]
    assert [bar.label for bar in chart.bars] == ["Thu 1 May: 1 call (a 1)", "Fri 2 May: 8 calls (a 4, b 4)"]
    assert charts.stacked(days, {"USD": [0.123, 4]}, {"USD": "cost"}, "USD", 2).bars[0].label == "Thu 1 May: 0.12 USD"


def test_a_cached_result_is_kept_ten_times_as_long_as_it_took() -> None:
    clock, asked = FakeClock(), [0]
    cache = Cache(clock, 2.0)

    def work() -> int:
        asked[0] += 1
        clock.sleep(1.0)
        return asked[0]

    assert [cache.get("x", work) for _ in range(3)] == [1, 1, 1]
    clock.sleep(9.9)
    assert cache.get("x", work) == 1
    clock.sleep(0.2)
    assert cache.get("x", work) == 2
    cache.clear()
    assert cache.get("x", work) == 3
