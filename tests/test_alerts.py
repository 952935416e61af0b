"""What stands as an alert and what does not; told once each way, by whichever process, whenever somebody listens."""

import json
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from etl import settings
from etl.model import Source
from etl.ops.alerts import inputs, messages
from etl.ops.alerts.alert_store import AlertRecord
from etl.ops.alerts.notifier import AlertNotifier
from etl.ops.alerts.rules import DO, PATIENCE, Alert, AlertInputs, Filled, Period, evaluate, is_silent, went_empty
from etl.runtime import logs
from etl.runtime.redaction import Redaction
from etl.runtime.secret import Secret
from etl.sandbox.world import World
from tests.fakes import FakeClock
from tests.harness import NOW, Harness, make_harness, make_live_harness

SOURCE = Source("ringg", "ringg", "https://x.test", Secret(""), "USD")
FINE = AlertInputs(SOURCE, NOW, NOW)
FAILED = ("failed", "ringg: the host cannot be reached")


def kinds(books: AlertInputs) -> set[str]:
    return {alert.kind for alert in evaluate(books)}


@pytest.mark.parametrize(
    ("books", "expected"),
    [
        (FINE, set()),
        (replace(FINE, endings=[FAILED, FAILED]), set()),
        (replace(FINE, endings=[FAILED, FAILED, ("succeeded", None)]), set()),
        (replace(FINE, endings=[FAILED, ("interrupted", None), FAILED, FAILED]), {"failing"}),
        (replace(FINE, endings=[FAILED] * 3, read_at=NOW - timedelta(days=1)), {"failing"}),
        (replace(FINE, read_at=NOW - timedelta(minutes=15)), set()),
        (replace(FINE, read_at=NOW - timedelta(minutes=16)), {"stale"}),
        (replace(FINE, endings=[FAILED] * 3, refused="the provider refuses the key"), {"credentials"}),
        (replace(FINE, missing="12 are missing"), {"incomplete"}),
        (replace(FINE, new_rejects=9), set()),
        (replace(FINE, new_rejects=10), {"quarantine"}),
        (replace(FINE, new_drift=[("status", "unknown_word")]), {"drift"}),
        (replace(FINE, columns=[Filled("cost", 20, 0, 100, 95)]), {"drift"}),
        (replace(FINE, spans=[Period(3, 0, (12, 9, 14, 11))]), {"silence"}),
        (replace(FINE, spans=[Period(3, 0, (12, 9, 14, 11))], endings=[FAILED] * 3), {"failing"}),
    ],
)
def test_what_stands(books: AlertInputs, expected: set[str]) -> None:
    assert kinds(books) == expected
    assert all(alert.hint and "{" not in alert.hint for alert in evaluate(books))


def test_every_kind_says_what_to_do_and_is_explained() -> None:
    assert DO.keys() == PATIENCE.keys()
    operations = (Path(__file__).resolve().parent.parent / "docs" / "operations.md").read_text()
    assert [kind for kind in DO if f"\n| {kind} |" not in operations] == []


weeks = st.lists(st.integers(0, 60), max_size=6).map(tuple)


@given(st.integers(0, 60), weeks)
def test_silence_is_only_where_every_week_before_had_calls(now: int, before: tuple[int, ...]) -> None:
    silent = is_silent(Period(1, now, before))
    assert not (silent and (now or len(before) < 4 or min(before) < 3))
    if silent:
        assert is_silent(Period(1, 0, tuple(count + 1 for count in before)))


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 200), st.integers(0, 200))
def test_a_column_went_empty_only_where_it_was_nearly_full(a: int, b: int, c: int, d: int) -> None:
    each = Filled("cost", max(a, b), min(a, b), max(c, d), min(c, d))
    if went_empty(each):
        assert each.filled == 0
        assert each.calls >= 20
        assert each.filled_before * 10 >= each.calls_before * 9


def test_a_quiet_sunday_does_not_alarm_and_a_silent_monday_does(db: Engine) -> None:
    """Four weeks of calls on working days, and then none."""
    clock = FakeClock(datetime(2025, 6, 6, 18, tzinfo=UTC))  # a Friday evening
    harness = make_harness(db, World(3, calls=0, now=clock.now()), clock=clock)
    harness.sync("ringg")
    at = clock.now() - timedelta(days=32)
    while at < clock.now():
        if at.weekday() < 5 and 8 <= at.hour < 18:
            harness.world.add("ringg", at)
        at += timedelta(minutes=20)
    source = harness.sources["ringg"]
    harness.execute("DELETE FROM ops.coverage")
    harness.sync("ringg")
    for _ in range(30):
        harness.execute("UPDATE ops.runs SET finished_at = :now", now=clock.now())  # it is read, and nothing comes
        assert (clock.now().weekday(), silence(harness, source)) != (6, True)
        if silence(harness, source):
            break
        clock.sleep(3 * 3600)
    assert f"{clock.now():%A %H}" == "Monday 12"


def silence(harness: Harness, source: Source) -> bool:
    with harness.db.connect() as connection:
        books = inputs.load_inputs(connection, source, harness.clock.now())
    assert books is not None
    return "silence" in kinds(books)


class Ear:
    """A webhook on loopback: what it was told, and what it answers."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.status = 200


@contextmanager
def listening() -> Iterator[tuple[Ear, Secret]]:
    ear = Ear()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if ear.status == 200:
                ear.heard.append(json.loads(body))
            self.send_response(ear.status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield ear, Secret(f"http://127.0.0.1:{server.server_port}/services/T0/B0/token-of-the-hook")
        server.shutdown()


def herald(harness: Harness, url: Secret | None) -> AlertNotifier:
    """What a daemon of its own would have."""
    return AlertNotifier(harness.db, harness.clock, [harness.sources["ringg"]], url)


def told(ear: Ear) -> list[tuple[str, str]]:
    return [(each["alert"], each["status"]) for each in ear.heard]


def test_each_is_told_once_and_its_end_once_over_restarts_and_by_two_daemons(db: Engine) -> None:
    harness = make_live_harness(db)
    harness.sync("ringg")
    with listening() as (ear, url):
        both = [herald(harness, url), herald(harness, url)]
        harness.execute(
            "UPDATE ops.sources SET paused_until = :at, pause_reason = 'the provider refuses the key'", at=NOW
        )
        for _ in range(3):
            for each in [*both, herald(harness, url)]:
                each.look()
            harness.clock.sleep(60)
        assert told(ear) == [("credentials", "standing")]
        assert "etl sync ringg" in ear.heard[0]["text"]
        harness.sync("ringg")
        for each in [*both, herald(harness, url)]:
            each.look()
        assert told(ear) == [("credentials", "standing"), ("credentials", "over")]
        harness.clock.sleep(3600)
        both[0].look()
        assert harness.scalar("SELECT count(*) FROM ops.alerts WHERE kind = 'stale' AND resolved_at IS NULL") == 1
        assert len(ear.heard) == 2  # five minutes of patience
        harness.clock.sleep(301)
        both[1].look()
        assert told(ear)[2:] == [("stale", "standing")]


def test_of_a_source_that_nobody_configures_any_more_the_alerts_end(db: Engine) -> None:
    harness = make_live_harness(db)
    harness.sync("ringg")
    with listening() as (ear, url):
        harness.execute("UPDATE ops.sources SET pause_reason = 'the provider refuses the key'")
        herald(harness, url).look()
        other = AlertNotifier(harness.db, harness.clock, [], url)  # another daemon, with other sources
        other.look()
        assert told(ear) == [("credentials", "standing")]
        harness.execute("UPDATE ops.sources SET next_run_at = :at", at=harness.clock.now() + timedelta(days=7))
        harness.clock.sleep(3 * 86400)
        other.look()
        assert len(ear.heard) == 1  # its daemon reads it once a week
        harness.execute("UPDATE ops.sources SET next_run_at = NULL")
        other.look()
        other.look()
        assert told(ear)[1:] == [("credentials", "over")]
        assert "nobody reads this source any more" in ear.heard[1]["text"]


def test_what_is_over_before_anybody_was_told_is_not_told(db: Engine) -> None:
    harness = make_live_harness(db)
    harness.sync("ringg")
    with listening() as (ear, url):
        each = herald(harness, url)
        harness.execute("UPDATE ops.streams SET completeness = 'incomplete', reason = '3 are missing'")
        each.look()
        harness.clock.sleep(3600)
        harness.execute("UPDATE ops.streams SET completeness = 'count_match', reason = NULL")
        harness.sync("ringg")
        each.look()
        harness.clock.sleep(86400)
        harness.sync("ringg")
        each.look()
        assert ear.heard == []


def test_a_webhook_that_is_down_is_told_later_and_its_address_is_nowhere(
    db: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    harness = make_live_harness(db)
    harness.sync("ringg")
    harness.execute("UPDATE ops.sources SET pause_reason = 'the provider refuses the key'")
    with listening() as (ear, url), caplog.at_level(logging.DEBUG):
        each = herald(harness, url)
        ear.status = 503
        each.look()
        each.look()  # not before its time
        assert [str(record.event_fields) for record in caplog.records if "told" in record.getMessage()] == [  # type: ignore[attr-defined]
            "{'why': 'the webhook answers HTTP 503', 'again_in_seconds': 120.0}"
        ]
        ear.status = 200
        harness.clock.sleep(121)
        each.look()
        assert told(ear) == [("credentials", "standing")]
        formatted = [logs.Objects(Redaction()).format(record) for record in caplog.records]
        assert [line for line in formatted if "token-of-the-hook" in line] == []
    assert "token-of-the-hook" not in str(harness.rows("SELECT * FROM ops.alerts"))


def test_nobody_listens(db: Engine) -> None:
    harness = make_live_harness(db)
    harness.sync("ringg")
    harness.execute("UPDATE ops.sources SET pause_reason = 'the provider refuses the key'")
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        herald(harness, Secret(f"http://127.0.0.1:{bound.getsockname()[1]}/hook")).look()
    herald(harness, None).look()
    assert harness.scalar("SELECT count(*) FROM ops.alerts WHERE notified_at IS NULL") == 1


def test_the_books_of_a_source_in_trouble(db: Engine) -> None:
    harness = make_live_harness(db, calls=400)
    harness.sync("ringg")
    harness.clock.sleep(2 * 86400)
    harness.sync("ringg")
    harness.execute("UPDATE warehouse.calls SET agent_name = NULL WHERE created_at > :at", at=NOW - timedelta(days=1))
    harness.execute(
        "INSERT INTO ops.schema_drift VALUES ('ringg', 'mood', 'new_field', 'text', 1, :at, :at)",
        at=harness.clock.now(),
    )
    with db.connect() as connection:
        books = inputs.load_inputs(connection, SOURCE, NOW + timedelta(hours=2))
        later = inputs.load_inputs(connection, SOURCE, harness.clock.now())
    assert books is not None
    assert later is not None
    assert [each.column for each in books.columns if went_empty(each)] == ["agent_name"]
    assert list(later.new_drift) == [("mood", "new_field")]
    assert "mood (new field)" in evaluate(later)[0].message
    with db.connect() as connection:
        assert inputs.load_inputs(connection, replace(SOURCE, name="stranger"), NOW) is None


def test_slack_gets_its_own_form_with_nothing_that_it_would_read_as_a_link() -> None:
    episode = AlertRecord(1, Alert("ringg", "failing", "a <b> & c"), NOW, None)
    sent = json.loads(messages.message(episode, Secret("https://hooks.slack.com/services/T/B/x")))
    assert sent.keys() == {"text"}
    assert "a &lt;b&gt; &amp; c" in sent["text"]
    over = json.loads(messages.message(replace(episode, resolved_at=NOW), Secret("https://chat.example/hook")))
    assert over["status"] == "over"
    assert over["text"].startswith("Callhouse, ringg: failing is over")


@pytest.mark.parametrize(
    "address", ["http://example.com/hook", "https://u:p@example.com/", "hook", "ftp://example.com"]
)
def test_an_address_that_will_not_do_is_said_and_not_shown(tmp_path: Path, address: str) -> None:
    with pytest.raises(settings.ConfigurationError) as raised:
        settings.load({"ETL_ALERT_URL": address, "RINGG_API_KEY": "k"}, tmp_path)
    assert len(raised.value.problems) == 1
    assert raised.value.problems[0].startswith("ETL_ALERT_URL ")
    assert address not in raised.value.problems[0]


def test_the_address_is_a_secret(tmp_path: Path) -> None:
    loaded = settings.load({"ETL_ALERT_URL": "https://hooks.slack.com/services/T/B/x", "RINGG_API_KEY": "k"}, tmp_path)
    assert loaded.alert_url in loaded.secrets
    assert "hooks.slack.com" not in repr(loaded)
