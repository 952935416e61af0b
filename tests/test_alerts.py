"""Which alerts fire; each is delivered once when it opens and once when it is resolved, by whichever process."""

import json
import logging
import socket
import threading
import time
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
from etl.client.errors import PauseReason
from etl.client.webhook import post
from etl.model import Source
from etl.ops.alerts import inputs, messages
from etl.ops.alerts.alert_store import AlertRecord
from etl.ops.alerts.notifier import AlertNotifier
from etl.ops.alerts.rules import (
    HINTS,
    Alert,
    AlertInputs,
    AlertKind,
    EmptyColumn,
    Period,
    evaluate,
    is_silent,
    went_empty,
)
from etl.runtime import logs
from etl.runtime.redaction import Redaction
from etl.runtime.secret import Secret
from etl.sandbox.world import World
from tests.fakes import FakeClock
from tests.harness import NOW, Harness, make_harness, make_live_harness
from tests.many_sources import INITIAL, STATES, counted_statements, fill
from tests.scripted_server import http_response, sends, serve

SOURCE = Source("ringg", "ringg", "https://x.test", Secret(""), "USD")
FINE = AlertInputs(SOURCE, NOW, NOW)
FAILED = ("failed", "ringg: the host cannot be reached")


def kinds(known: AlertInputs) -> set[str]:
    return {alert.kind for alert in evaluate(known)}


@pytest.mark.parametrize(
    ("inputs_of_source", "expected"),
    [
        (FINE, set()),
        (replace(FINE, runs=[FAILED, FAILED]), set()),
        (replace(FINE, runs=[FAILED, FAILED, ("succeeded", None)]), set()),
        (replace(FINE, runs=[FAILED, ("interrupted", None), FAILED, FAILED]), {"failing"}),
        (replace(FINE, runs=[FAILED] * 3, read_at=NOW - timedelta(days=1)), {"failing"}),
        (replace(FINE, read_at=NOW - timedelta(minutes=15)), set()),
        (replace(FINE, read_at=NOW - timedelta(minutes=16)), {"stale"}),
        (replace(FINE, runs=[FAILED] * 3, pause=PauseReason.KEY_REFUSED), {"credentials"}),
        (replace(FINE, runs=[FAILED] * 3, pause=PauseReason.RATE_LIMITED), {"failing"}),
        (replace(FINE, incomplete="12 are missing"), {"incomplete"}),
        (replace(FINE, new_rejects=9), set()),
        (replace(FINE, new_rejects=10), {"quarantine"}),
        (replace(FINE, new_drift=[("status", "unknown_word")]), {"drift"}),
        (replace(FINE, columns=[EmptyColumn("cost", 20, 100, 95)]), {"drift"}),
        (replace(FINE, periods=[Period(3, 0, (12, 9, 14, 11))]), {"no_calls"}),
        (replace(FINE, periods=[Period(3, 0, (12, 9, 14, 11))], runs=[FAILED] * 3), {"failing"}),
    ],
)
def test_which_alerts_fire(inputs_of_source: AlertInputs, expected: set[str]) -> None:
    assert kinds(inputs_of_source) == expected
    assert all(alert.hint and "{" not in alert.hint for alert in evaluate(inputs_of_source))


def test_every_kind_has_a_hint_and_is_documented() -> None:
    assert HINTS.keys() == set(AlertKind)
    operations = (Path(__file__).resolve().parent.parent / "docs" / "operations.md").read_text()
    assert [kind for kind in AlertKind if f"\n| {kind} |" not in operations] == []


weeks = st.lists(st.integers(0, 60), max_size=6).map(tuple)


@given(st.integers(0, 60), weeks)
def test_silence_is_only_where_every_week_before_had_calls(now: int, before: tuple[int, ...]) -> None:
    silent = is_silent(Period(1, now, before))
    assert not (silent and (now or len(before) < 4 or min(before) < 3))
    if silent:
        assert is_silent(Period(1, 0, tuple(count + 1 for count in before)))


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 200))
def test_a_column_went_empty_only_where_it_was_nearly_full(calls: int, c: int, d: int) -> None:
    column = EmptyColumn("cost", calls, max(c, d), min(c, d))
    if went_empty(column):
        assert column.calls >= 20
        assert column.filled_before * 10 >= column.calls_before * 9


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
        (known,) = inputs.load_inputs(connection, [source], harness.clock.now(), {})
    return "no_calls" in kinds(known)


IDLE_IN_TRANSACTION = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'
"""


class Webhook:
    """A webhook on loopback: what it received, and the status that it responds with."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.status = 200


@contextmanager
def listening() -> Iterator[tuple[Webhook, Secret]]:
    webhook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if webhook.status == 200:
                webhook.received.append(json.loads(body))
            self.send_response(webhook.status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield webhook, Secret(f"http://127.0.0.1:{server.server_port}/services/T0/B0/token-of-the-hook")
        server.shutdown()


def notifier(harness: Harness, url: Secret | None) -> AlertNotifier:
    """The notifier of one daemon."""
    return AlertNotifier(harness.db, harness.clock, [harness.sources["ringg"]], url)


def delivered(webhook: Webhook) -> list[tuple[str, str]]:
    return [(sent["alert"], sent["status"]) for sent in webhook.received]


def test_an_alert_is_delivered_once_and_its_resolution_once_over_restarts_and_by_two_daemons(db: Engine) -> None:
    harness = make_live_harness(db)
    harness.sync("ringg")
    with listening() as (webhook, url):
        both = [notifier(harness, url), notifier(harness, url)]
        harness.execute("UPDATE ops.sources SET paused_until = :at, pause_reason = 'key_refused'", at=NOW)
        for _ in range(3):
            for daemon in [*both, notifier(harness, url)]:
                daemon.run_once()
            harness.clock.sleep(60)
        assert delivered(webhook) == [("credentials", "firing")]
        assert "etl sync ringg" in webhook.received[0]["text"]
        harness.sync("ringg")
        for daemon in [*both, notifier(harness, url)]:
            daemon.run_once()
        assert delivered(webhook) == [("credentials", "firing"), ("credentials", "resolved")]
        harness.clock.sleep(3600)
        both[0].run_once()
        assert harness.scalar("SELECT count(*) FROM ops.alerts WHERE kind = 'stale' AND resolved_at IS NULL") == 1
        assert len(webhook.received) == 2  # five minutes of patience
        harness.clock.sleep(301)
        both[1].run_once()
        assert delivered(webhook)[2:] == [("stale", "firing")]


@pytest.mark.parametrize("step", [7200, 10**8])
def test_an_alert_of_a_clock_that_was_ahead_is_delivered_once_it_is_right(db: Engine, step: int) -> None:
    harness = make_live_harness(db)
    harness.sync("ringg")
    harness.execute("UPDATE ops.streams SET completeness = 'incomplete', reason = '3 are missing'")
    with listening() as (webhook, url):
        harness.clock.step(step)
        notifier(harness, None).run_once()
        harness.clock.step(-step)
        notifier(harness, url).run_once()
        harness.clock.sleep(6 * 3600 + 1)
        notifier(harness, url).run_once()
        assert ("incomplete", "firing") in delivered(webhook)


def test_no_transaction_waits_for_a_webhook_and_no_other_daemon_delivers_meanwhile(db: Engine) -> None:
    harness, waiting = make_live_harness(db), list[object]()
    harness.sync("ringg")
    harness.execute("UPDATE ops.sources SET pause_reason = 'key_refused'")

    def answer(connection: socket.socket) -> None:
        waiting.append(harness.scalar(IDLE_IN_TRANSACTION))
        notifier(harness, url).run_once()
        connection.sendall(http_response(b""))

    with serve(answer) as server:
        url = Secret(f"http://127.0.0.1:{server.port}/hook")
        notifier(harness, url).run_once()
        assert (len(server.heard), waiting) == (1, [0])
    assert harness.scalar("SELECT count(*) FROM ops.alerts WHERE notified_at IS NOT NULL AND claimed_at IS NULL") == 1


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_webhook_that_drips_is_given_up_in_time(head: bytes) -> None:
    gone, began = threading.Event(), time.monotonic()
    with serve(sends(head, *[b"x"] * 100, pause=0.2, gone=gone)) as server:
        problem = post(Secret(f"http://127.0.0.1:{server.port}/hook"), b"{}", 1.0)
        gone.set()
    assert time.monotonic() - began < 5
    assert problem == (None if head.endswith(b"\r\n\r\n") else "the response did not arrive in time")


def test_alerts_of_a_removed_source_are_resolved(db: Engine) -> None:
    harness = make_live_harness(db)
    harness.sync("ringg")
    with listening() as (webhook, url):
        harness.execute("UPDATE ops.sources SET pause_reason = 'key_refused'")
        notifier(harness, url).run_once()
        other = AlertNotifier(harness.db, harness.clock, [], url)  # another daemon, with other sources
        other.run_once()
        assert delivered(webhook) == [("credentials", "firing")]
        harness.execute("UPDATE ops.sources SET next_run_at = :at", at=harness.clock.now() + timedelta(days=7))
        harness.clock.sleep(3 * 86400)
        other.run_once()
        assert len(webhook.received) == 1  # its daemon reads it once a week
        harness.execute("UPDATE ops.sources SET next_run_at = NULL")
        other.run_once()
        other.run_once()
        assert delivered(webhook)[1:] == [("credentials", "resolved")]
        assert "this source is no longer synced" in webhook.received[1]["text"]


def test_an_alert_that_is_resolved_within_its_grace_period_is_not_delivered(db: Engine) -> None:
    harness = make_live_harness(db)
    harness.sync("ringg")
    with listening() as (webhook, url):
        daemon = notifier(harness, url)
        harness.execute("UPDATE ops.streams SET completeness = 'incomplete', reason = '3 are missing'")
        daemon.run_once()
        harness.clock.sleep(3600)
        harness.execute("UPDATE ops.streams SET completeness = 'count_match', reason = NULL")
        harness.sync("ringg")
        daemon.run_once()
        harness.clock.sleep(86400)
        harness.sync("ringg")
        daemon.run_once()
        assert webhook.received == []


def test_a_webhook_that_is_down_is_retried_and_its_address_shown_nowhere(
    db: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    harness = make_live_harness(db)
    harness.sync("ringg")
    harness.execute("UPDATE ops.sources SET pause_reason = 'key_refused'")
    with listening() as (webhook, url), caplog.at_level(logging.DEBUG):
        daemon = notifier(harness, url)
        webhook.status = 503
        daemon.run_once()
        daemon.run_once()  # not before its time
        failures = [record for record in caplog.records if record.getMessage() == "alert_delivery_failed"]
        assert [str(record.__dict__["event_fields"]) for record in failures] == [
            "{'problem': 'the webhook responds with HTTP 503', 'retry_in_seconds': 120.0}"
        ]
        webhook.status = 200
        harness.clock.sleep(121)
        daemon.run_once()
        assert delivered(webhook) == [("credentials", "firing")]
        formatted = [logs.Objects(Redaction()).format(record) for record in caplog.records]
        assert [line for line in formatted if "token-of-the-hook" in line] == []
    assert "token-of-the-hook" not in str(harness.rows("SELECT * FROM ops.alerts"))


def test_without_a_webhook_alerts_are_stored(db: Engine) -> None:
    harness = make_live_harness(db)
    harness.sync("ringg")
    harness.execute("UPDATE ops.sources SET pause_reason = 'key_refused'")
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        notifier(harness, Secret(f"http://127.0.0.1:{bound.getsockname()[1]}/hook")).run_once()
    notifier(harness, None).run_once()
    assert harness.scalar("SELECT count(*) FROM ops.alerts WHERE notified_at IS NULL") == 1


def test_inputs_of_a_source_whose_columns_went_empty(db: Engine) -> None:
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
        columns = inputs.empty_columns(connection, [SOURCE], NOW + timedelta(hours=2))
        (later,) = inputs.load_inputs(connection, [SOURCE], harness.clock.now(), columns)
        assert inputs.load_inputs(connection, [replace(SOURCE, name="stranger")], NOW, {}) == []
    assert [column.column for column in columns["ringg"] if went_empty(column)] == ["agent_name"]
    assert list(later.new_drift) == [("mood", "new_field")]
    assert evaluate(later)[0].message == "the provider's records changed: mood (new field), agent_name (empty)"


def test_the_columns_of_calls_are_compared_once_an_hour(db: Engine) -> None:
    harness = make_live_harness(db)
    harness.sync("ringg")
    daemon = notifier(harness, None)
    with counted_statements(db) as sent:
        for _ in range(13):
            daemon.run_once()
            harness.clock.sleep(300)
    assert len([each for each in sent if "is_filled" in each]) == 2 * 2


def test_the_number_of_statements_does_not_grow_with_the_sources(db: Engine) -> None:
    clock, counts = FakeClock(NOW), list[int]()
    sources = fill(db, NOW, 100, runs=3)
    for some in (sources[:1], sources):
        with counted_statements(db) as sent:
            AlertNotifier(db, clock, some, None).run_once()
        counts.append(len(sent))
    assert counts[0] == counts[1] < 12


def test_a_provider_that_is_down_is_one_message_and_its_recovery_another(db: Engine) -> None:
    """Two hundred sources of four providers; those of one fail, five minutes later more, and then none."""
    clock, sources = FakeClock(NOW), fill(db, NOW, 200, runs=3)
    harness = make_harness(db, clock=clock)
    harness.execute("UPDATE ops.runs SET status = 'succeeded', error = NULL, finished_at = started_at")
    harness.execute("UPDATE ops.sources SET paused_until = NULL, pause_reason = NULL")
    harness.execute("UPDATE ops.streams SET completeness = 'count_match', reason = NULL")
    harness.execute("DELETE FROM ops.quarantine")
    ringg = [source.name for at, source in enumerate(sources) if source.provider == "ringg" and at % STATES != INITIAL]

    def read(status: str, names: list[str]) -> None:
        """Every source is read, and of these the last three runs ended so."""
        harness.execute("UPDATE ops.runs SET finished_at = :now", now=clock.now())
        harness.execute(
            "UPDATE ops.runs SET status = :status, error = CASE WHEN :status = 'failed' THEN 'HTTP 502' END"
            " WHERE source = ANY(:names)", status=status, names=names,
        )  # fmt: skip

    with listening() as (webhook, url):
        daemon = AlertNotifier(db, clock, sources, url)

        def messages_after(seconds: int) -> list[dict[str, Any]]:
            clock.sleep(seconds)
            before = len(webhook.received)
            for each in (daemon, AlertNotifier(db, clock, sources, url)):
                each.run_once()
            return webhook.received[before:]

        read("failed", ringg[:40])
        (sent,) = messages_after(0)
        assert (sent["alert"], sent["provider"], sent["status"]) == ("failing", "ringg", "firing")
        assert sent["sources"] == sorted(ringg[:40])
        names = ", ".join(sorted(ringg[:40])[:5])
        assert sent["text"].startswith(
            f"Callhouse, 40 sources of ringg: failing. {names} and 35 more; northwind-0000: "
        )
        assert "the last 3 runs failed, the newest with: HTTP 502" in sent["text"]
        read("failed", ringg)
        assert messages_after(300) == []  # not yet: a message of many was just sent
        (sent,) = messages_after(1800)
        assert sent["sources"] == sorted(ringg[40:])
        read("succeeded", ringg)
        harness.execute("UPDATE ops.runs SET finished_at = :now", now=clock.now() + timedelta(minutes=5))
        (sent,) = messages_after(300)
        assert (sent["status"], sorted(sent["sources"])) == ("resolved", sorted(ringg))
        assert messages_after(0) == []


def test_slack_gets_its_own_format_with_markup_escaped() -> None:
    record = AlertRecord(1, "ringg", Alert("ringg", AlertKind.FAILING, "a <b> & c"), NOW, None)
    sent = json.loads(messages.message([record], Secret("https://hooks.slack.com/services/T/B/x")))
    assert sent.keys() == {"text"}
    assert "a &lt;b&gt; &amp; c" in sent["text"]
    over = json.loads(messages.message([replace(record, resolved_at=NOW)], Secret("https://chat.example/hook")))
    assert over["status"] == "resolved"
    assert over["text"].startswith("Callhouse, ringg: failing is resolved")


@pytest.mark.parametrize(
    "address", ["http://example.com/hook", "https://u:p@example.com/", "hook", "ftp://example.com"]
)
def test_an_invalid_webhook_address_is_reported_and_not_shown(tmp_path: Path, address: str) -> None:
    with pytest.raises(settings.ConfigurationError) as raised:
        settings.load({"ETL_ALERT_URL": address, "RINGG_API_KEY": "k"}, tmp_path)
    assert len(raised.value.problems) == 1
    assert raised.value.problems[0].startswith("ETL_ALERT_URL ")
    assert address not in raised.value.problems[0]


def test_the_address_is_a_secret(tmp_path: Path) -> None:
    loaded = settings.load({"ETL_ALERT_URL": "https://hooks.slack.com/services/T/B/x", "RINGG_API_KEY": "k"}, tmp_path)
    assert loaded.alert_url in loaded.secrets
    assert "hooks.slack.com" not in repr(loaded)
