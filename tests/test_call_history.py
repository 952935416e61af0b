"""One call's history: when it was seen, what changed, and when it is read next."""

import json
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from etl.loader.batch import call_key
from etl.reports import call_history
from etl.reports.call_history_model import CallHistory
from etl.reports.next_read import NextRead
from etl.sandbox.world import World
from tests.commands import run_etl
from tests.harness import NOW, Harness, hours, make_harness, make_live_harness
from tests.stub_provider import StubProvider, make_stub_harness, ringg_record

NEXT = timedelta(minutes=5)
PERSON = "Asha Verma"


def histories(harness: Harness, wanted: str, *, show_values: bool = False) -> list[CallHistory]:
    sources = list(harness.sources.values())
    with harness.db.connect() as connection:
        return [
            call_history.call_history(connection, call, sources, harness.clock.now(), show_values=show_values)
            for call in call_history.resolve(connection, wanted)
        ]


def history_of(harness: Harness, wanted: str, *, show_values: bool = False) -> CallHistory:
    (only,) = histories(harness, wanted, show_values=show_values)
    return only


def next_reads(harness: Harness, call_ids: Iterable[str]) -> dict[str, NextRead]:
    reads = {call_id: history_of(harness, call_id).next_read for call_id in call_ids}
    return {call_id: read for call_id, read in reads.items() if read is not None}


def synced(harness: Harness, provider: StubProvider, *records: bytes) -> datetime:
    provider.records = list(records)
    harness.clock.sleep(3600)
    harness.sync("ringg")
    return harness.clock.now()


def ages(*counts: float) -> dict[str, bytes]:
    """Records of ended calls of these ages in hours, by their ids."""
    return {f"{count:g}h": ringg_record(f"{count:g}h", created_at=(NOW - hours(count)).isoformat()) for count in counts}


def scheduled(harness: Harness, name: str = "ringg") -> datetime:
    """A daemon that has noted its next run."""
    at = harness.clock.now() + NEXT
    harness.execute("UPDATE ops.sources SET next_run_at = :at WHERE source = :name", at=at, name=name)
    return at


def test_a_life_has_every_version_change_and_run_and_hides_what_shows_a_person(db: Engine) -> None:
    harness, provider = make_stub_harness(db)
    first = synced(harness, provider, ringg_record("a", status="ongoing"))
    ended = {"status": "completed", "call_cost": 1.5, "custom_args_values": {"callee_name": PERSON}}
    changed = synced(harness, provider, ringg_record("a", **ended, to_number="+919876543211"))
    seen = synced(harness, provider, ringg_record("a", **ended, to_number="+919876543211"))
    history = history_of(harness, "a")
    details = history.details
    assert details is not None
    assert details.call_key == call_key("ringg", "a")
    assert (details.first_seen_at, details.changed_at, details.last_seen_at) == (first, changed, seen)
    assert [(version.kind, version.received_at, version.is_newest) for version in history.versions] == [
        ("call", first, False),
        ("call", changed, True),
    ]
    assert [(run.kind, run.versions_received, run.fields_changed > 0, run.saw_it_last) for run in history.runs] == [
        ("sync", 1, False, False),
        ("sync", 1, True, False),
        ("sync", 0, False, True),
    ]
    changes = {change.field: (change.old_value, change.new_value) for change in history.changes}
    assert {change.changed_at for change in history.changes} == {changed}
    assert changes["provider_status"] == ("ongoing", "completed")
    assert changes["to_number"] == (call_history.HIDDEN, call_history.HIDDEN)
    assert PERSON not in repr(history)
    assert "+91" not in repr(history)
    shown = {change.field: change for change in history_of(harness, "a", show_values=True).changes}
    assert shown["to_number"].new_value == "+919876543211"
    opened = history_of(harness, "a", show_values=True).details
    assert opened is not None
    assert (details.customer, opened.customer) == (call_history.HIDDEN, "+919876543211")
    assert details.cost.message == "stored"
    assert details.transcript.message == "none yet: it comes with the record"


def test_a_cost_has_its_components(db: Engine) -> None:
    harness = make_harness(db, World(3, calls={"ravan": 20}, now=NOW))
    harness.sync("ravan")
    rows = harness.rows("SELECT * FROM bi_pii.call_costs")
    for key in {row["call_key"] for row in rows}:
        history = history_of(harness, str(key)).details
        assert history is not None
        assert history.cost.components == {
            row["component"]: {"amount": row["amount"], "unit": row["unit"]} for row in rows if row["call_key"] == key
        }
    assert len(rows) > 20


def test_every_column_whose_changes_are_shown_exists(db: Engine) -> None:
    from etl.db import tables

    assert call_history.OPEN - {column.name for column in tables.calls.columns} == {"transcript"}


def test_a_flag_has_its_meaning(db: Engine) -> None:
    harness, provider = make_stub_harness(db)
    synced(harness, provider, ringg_record("a", call_duration=-3))
    details = history_of(harness, "a").details
    assert details is not None
    assert details.flags["duration_negative"].startswith("The duration is below zero")


def test_a_call_is_found_by_its_key_its_id_and_its_source_and_id(db: Engine) -> None:
    harness, provider = make_stub_harness(db)
    synced(harness, provider, ringg_record("a:b"), ringg_record("b"))
    key = call_key("ringg", "a:b")
    for wanted in ("a:b", "ringg:a:b", str(key), str(key).upper()):
        assert history_of(harness, wanted).details.call_key == key  # type: ignore[union-attr]
    for wanted in ("a", "ringg:", "", str(uuid.uuid4()), "vaani:b", "b\udcff"):
        assert histories(harness, wanted) == []


def test_a_call_that_never_became_a_row_is_explained_by_the_quarantine(db: Engine) -> None:
    harness, provider = make_stub_harness(db)
    at = synced(harness, provider, ringg_record("bad", created_at=None))
    history = history_of(harness, "ringg:bad")
    assert history.details is None
    assert [(record.reason, record.first_seen_at, record.resolved_at) for record in history.rejected] == [
        ("created_at is missing", at, None)
    ]
    assert [(run.kind, run.records_quarantined) for run in history.runs] == [("sync", 1)]
    loaded = synced(harness, provider, ringg_record("bad"))
    history = history_of(harness, "bad")
    assert history.details is not None
    assert history.rejected[0].resolved_at == loaded


def test_the_next_read_follows_from_the_age_and_the_lookbacks(db: Engine) -> None:
    calls = ages(0.1, 3, 5.99, 30, 47.99, 100, 167.99, 300)
    harness, _ = make_stub_harness(db, *calls.values())
    harness.sync("ringg")
    next_run = scheduled(harness)
    now = harness.clock.now()
    reads = next_reads(harness, calls)
    assert {name: (read.by, read.at) for name, read in reads.items()} == {
        "0.1h": ("head", next_run),
        "3h": ("lookback", now + hours(1)),
        "5.99h": ("lookback", now + hours(6)),  # the hourly one comes too late for it
        "30h": ("lookback", now + hours(6)),
        "47.99h": ("lookback", now + hours(24)),
        "100h": ("lookback", now + hours(24)),
        "167.99h": (None, None),
        "300h": (None, None),
    }
    assert "the lookback of 6 h, due every 1 h" in reads["3h"].message
    assert reads["300h"].message.startswith("it is final, and older than every lookback")
    assert all(read.is_scheduled for read in reads.values() if read.by)


def test_the_widest_lookback_extends_to_the_oldest_open_call(db: Engine) -> None:
    calls = ages(0.1, 400, 600, 800)
    calls["500h"] = ringg_record("500h", created_at=(NOW - hours(500)).isoformat(), status="ongoing")
    calls["900h"] = ringg_record("900h", created_at=(NOW - hours(900)).isoformat(), status="ongoing")
    harness, _ = make_stub_harness(db, *calls.values())
    harness.sync("ringg")
    scheduled(harness)
    reads = next_reads(harness, calls)
    assert {name for name, read in reads.items() if read.by} == {"0.1h", "400h", "500h"}
    assert "etl backfill ringg --from" in reads["900h"].message


def test_what_keeps_it_from_being_read_is_said(db: Engine) -> None:
    harness, _ = make_stub_harness(db, *ages(3).values())
    harness.sync("ringg")
    history = history_of(harness, "3h").next_read
    assert history is not None
    assert not history.is_scheduled
    assert "`etl sync` does it" in history.message
    until = harness.clock.now() + hours(2)
    harness.execute("UPDATE ops.sources SET paused_until = :until, pause_reason = 'key_refused'", until=until)
    history = history_of(harness, "3h").next_read
    assert history is not None
    assert history.at == until
    assert "the provider refuses the key" in history.message
    later = until + hours(0.5)
    harness.execute("UPDATE ops.rate_limits SET blocked_until = :later WHERE source = 'ringg'", later=later)
    history = history_of(harness, "3h").next_read
    assert history is not None
    assert history.at == later
    assert "asked us to wait" in history.message
    with harness.db.connect() as connection:
        alone = call_history.call_history(
            connection, call_history.resolve(connection, "3h")[0], [], harness.clock.now()
        )
    assert alone.next_read is not None
    assert alone.next_read.by is None


@pytest.mark.parametrize(("name", "order"), [("ravan", "asc"), ("vaani", "unsorted")])
def test_what_is_foretold_happens(db: Engine, name: str, order: str) -> None:
    harness = make_live_harness(db, calls=30, days=9, order=order)
    harness.sync(name)
    harness.clock.sleep(1800)
    scheduled(harness, name)
    foretold = {}
    for call_id in harness.stored_ids(name):
        read = history_of(harness, f"{name}:{call_id}").next_read
        assert read is not None
        if read.at:
            foretold[call_id] = read.at
    assert len(foretold) > 10
    asked_at = harness.clock.now()
    while harness.clock.now() < asked_at + hours(25):
        harness.clock.sleep(2.5 * 3600)
        assert harness.run(name, by_hand=False).status == "succeeded"
        for call_id in [call_id for call_id, at in foretold.items() if at <= harness.clock.now()]:
            details = history_of(harness, f"{name}:{call_id}").details
            assert details is not None
            assert details.last_seen_at > asked_at, (call_id, foretold[call_id])
            del foretold[call_id]
    assert foretold == {}


def test_a_transcript_of_its_own_says_where_it_is(db: Engine) -> None:
    harness = make_live_harness(db, calls=40, days=3)
    harness.sync("vaani")
    messages = set()
    for call_id in harness.stored_ids("vaani"):
        history = history_of(harness, f"vaani:{call_id}")
        details = history.details
        assert details is not None
        by_request = "transcript" in {version.kind for version in history.versions}
        assert details.transcript.is_stored or not by_request
        assert (details.transcript.asked_at is not None) == (details.transcript.attempts > 0) >= by_request
        messages.add(details.transcript.message.split(":")[0])
    assert {"stored", "not requested"} <= messages


# -- the command


@pytest.fixture
def configured(database_url: str) -> dict[str, str]:
    return {"DATABASE_URL": database_url, "RINGG_API_KEY": "a-key", "VAANI_API_KEY": "another-key"}


def test_the_command_prints_it_without_control_characters(
    db: Engine, tmp_path: Path, configured: dict[str, str]
) -> None:
    harness, provider = make_stub_harness(db)
    odd = "done\x1b[31m\u202e"
    synced(harness, provider, ringg_record("a", status="ongoing"), ringg_record("bad", created_at=None))
    synced(harness, provider, ringg_record("a", status=odd, to_number="+919876543211"))
    said = run_etl("why", "a", cwd=tmp_path, given=configured)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("ringg:a\n")
    for words in ("first seen", "versions", "provider_status: ongoing → done", "read next"):
        assert words in said.stdout
    assert not {"\x1b", "\u202e"} & set(said.stdout)
    assert "9876" not in said.stdout
    assert "+919876543211" in run_etl("why", "a", "--show-values", cwd=tmp_path, given=configured).stdout
    assert "created_at is missing" in run_etl("why", "bad", cwd=tmp_path, given=configured).stdout
    history = json.loads(run_etl("why", "ringg:a", "--json", cwd=tmp_path, given=configured).stdout)
    assert history["details"]["call_key"] == str(call_key("ringg", "a"))
    assert datetime.fromisoformat(history["details"]["created_at"]).tzinfo


def test_an_unknown_call_is_status_1_and_an_ambiguous_one_says_how_to_choose(
    db: Engine, tmp_path: Path, configured: dict[str, str]
) -> None:
    harness, _ = make_stub_harness(db, ringg_record("a"))
    harness.sync("ringg")
    said = run_etl("why", "nothing", cwd=tmp_path, given=configured)
    assert (said.returncode, said.stdout) == (1, "")
    assert "etl quarantine list" in said.stderr
    harness.execute("""
        INSERT INTO ops.sources (source, provider, host, first_seen_at, settled_after_seconds, schedule)
        VALUES ('b', 'ringg', 'b.example', now(), 0, 'every 5m')
    """)
    harness.execute("INSERT INTO ops.quarantine (source, provider_call_id, digest, reason, payload, first_seen_at,"
             " last_seen_at) VALUES ('b', 'a', '', 'odd', '', now(), now())")  # fmt: skip
    said = run_etl("why", "a", cwd=tmp_path, given=configured)
    assert said.returncode == 2
    assert "ringg:a" in said.stderr
    assert "b:a" in said.stderr
    assert run_etl("why", "b:a", cwd=tmp_path, given=configured).returncode == 0
