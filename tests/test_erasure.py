"""`etl erase`: a person leaves every table, comes back by no way, and everybody else stays exactly as they were."""

import json
import threading
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import msgspec
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from etl import pipeline
from etl.fields.person import numbers_in, pattern_of, readable
from etl.loader.batch import call_key
from etl.model import Window
from etl.ops.privacy.erasure import Erasure, NotAPerson, SourceReceipt, person, require_person
from etl.ops.privacy.tombstones import add, settle
from etl.reconcile import VerifyRequest, verify
from etl.runtime.clock import SystemClock
from etl.sandbox.personas import Customer
from etl.sandbox.world import World
from etl.state import registry
from etl.state.daily_checks import DayStatus
from etl.sync.checkpoint import BEGINNING
from etl.sync.replay import replay, retry
from tests.commands import run_etl
from tests.fakes import FakeClock
from tests.harness import (
    NOW,
    PROVIDERS,
    Harness,
    InterceptingTransport,
    Killed,
    counts_add_up,
    differences,
    hours,
    kill,
    make_harness,
    make_live_harness,
    restart,
)
from tests.stub_provider import make_stub_harness, ringg_record
from tests.test_rollups import differences as rollup_differences

TEXTS = """
    SELECT format('%I.%I', n.nspname, c.relname) AS name, a.attname AS column
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
       AND n.nspname IN ('warehouse', 'raw', 'ops')
"""


def everything(db: Engine) -> Iterator[tuple[str, str]]:
    """Every value of every table as text, payloads read."""
    with db.connect() as connection:
        for name, column in connection.execute(text(TEXTS)).all():
            for (value,) in connection.execute(text(f'SELECT "{column}" FROM {name}')):
                if column == "records_zlib_msgpack":
                    yield f"{name}.{column}", b"\n".join(msgspec.msgpack.decode(zlib.decompress(value))).decode()
                elif isinstance(value, bytes):
                    yield f"{name}.{column}", value.decode("utf-8", "replace")
                elif value is not None:
                    yield f"{name}.{column}", str(value)


def traces(db: Engine, words: Collection[str]) -> set[str]:
    """The columns in which one of some words still stands."""
    return {where for where, value in everything(db) if any(word in readable(value.encode()) for word in words)}


def erase(
    harness: Harness, number: str, file: Path, *, is_dry: bool = False, with_mentions: bool = False
) -> dict[str, SourceReceipt]:
    """Erase a person as the command does."""
    with harness.db.begin() as connection:
        who = person(number, {None}, registry.masking_key(connection))
        require_person(connection, who, ())
        if not is_dry:
            add(connection, file, who.tokens, harness.clock.now())
    return {each.source: each for each in Erasure(harness.db, harness.clock, who, is_dry, with_mentions).run({})}


def crowded(calls: int = 40) -> World:
    """A world of nine people, so that one has several calls at each provider; web calls are of the ninth."""
    world = World(3, calls=calls, days=6, now=NOW)
    people = [Customer(f"Person{n} Of{n}test", f"person{n}@example.org", f"+9198765432{n:02}") for n in range(9)]
    for stored in world._calls.values():
        for n, call in enumerate(list(stored.values())):
            if call.kind != "internal":
                world._store(replace(call, customer=people[8 if call.kind == "web" else n % 8]))
    return world


PERSON = "+919876543203"
WORDS = ("9876543203", "Person3", "Of3test", "person3@")


def calls_of(world: World, name: str) -> set[str]:
    """The calls of the person, as the provider names them."""
    return {call.call_id for call in world.calls(name) if call.customer.number == PERSON}


@pytest.mark.parametrize("name", PROVIDERS)
def test_nothing_of_a_person_is_left_and_nothing_comes_back(db: Engine, name: str, tmp_path: Path) -> None:
    harness = make_harness(db, crowded())
    harness.sync(name)
    theirs, everybody = calls_of(harness.world, name), harness.stored_ids(name)
    assert len(theirs) >= 4
    assert {"warehouse.calls.customer_number", "raw.payloads.records_zlib_msgpack"} <= traces(db, WORDS)
    others = others_of(harness, name, theirs)

    receipt = erase(harness, PERSON, tmp_path / "erasures.txt")[name]
    assert (receipt.calls, receipt.still_listed, receipt.mentioned_by) == (len(theirs), len(theirs), [])
    assert traces(db, WORDS) == set()

    for work, kind in COMEBACKS:
        harness.clock.sleep(86400)
        report = harness.run(name, work, kind)
        assert (report.status, report.error) == ("succeeded", None)
        assert traces(db, WORDS) == set(), kind
        assert harness.stored_ids(name) == everybody - theirs
    assert others_of(harness, name, theirs) == others
    assert counts_add_up(harness)
    with db.connect() as connection:
        assert rollup_differences(connection) == []
    assert verified(harness, name) == {"verified"}


def others_of(harness: Harness, name: str, besides: set[str]) -> list[str]:
    """Everybody else's rows and raw records, to be compared."""
    found = [line for line in differences(harness, name) if line.partition(":")[0].partition(".")[0] not in besides]
    return found + [f"{row}" for row in harness.rows(OTHERS, ids=sorted(besides))]


OTHERS = """
    SELECT c.call_key, c.content_hash, c.latest_request_seq, c.changed_at, t.texts,
           (SELECT count(*) FROM raw.payloads p WHERE c.call_key = ANY(p.call_keys)) AS payloads
      FROM warehouse.calls c LEFT JOIN warehouse.transcripts t USING (call_key)
     WHERE provider_call_id <> ALL(:ids) ORDER BY 1
"""
EVERYTHING = Window(BEGINNING, NOW + timedelta(days=30))
COMEBACKS = (
    (pipeline.sync, "sync"),
    (lambda run: pipeline.backfill(run, EVERYTHING, again=True), "backfill"),
    (lambda run: replay(run, lambda changes: None), "replay"),
    (retry, "replay"),
    (lambda run: verify(run, VerifyRequest(heal=True)), "verify"),
)


def verified(harness: Harness, name: str) -> set[str]:
    """The statuses of all days that `etl verify` compares."""
    found: list[DayStatus] = []
    report = harness.run(name, lambda run: verify(run, VerifyRequest(), found), "verify")
    assert report.error is None
    return {day.status for day in found}


def test_calls_of_both_directions_are_removed(db: Engine, tmp_path: Path) -> None:
    harness = make_harness(db, crowded(120))
    for name in PROVIDERS:
        harness.sync(name)
    before = Counter(
        (row["source"], row["direction"])
        for row in harness.rows("SELECT source, direction FROM warehouse.calls WHERE customer_number = :n", n=PERSON)
    )
    assert {(name, way) for name in PROVIDERS for way in ("inbound", "outbound")} <= before.keys()
    receipts = erase(harness, PERSON, tmp_path / "erasures.txt")
    assert {name: receipts[name].calls for name in PROVIDERS} == {
        name: before[name, "inbound"] + before[name, "outbound"] for name in PROVIDERS
    }
    assert traces(db, WORDS) == set()


def test_a_dry_run_says_the_same_and_writes_nothing(db: Engine, tmp_path: Path) -> None:
    harness = make_harness(db, crowded())
    harness.sync("vaani")
    before = sorted(everything(db))
    planned = erase(harness, PERSON, tmp_path / "erasures.txt", is_dry=True)
    unwritten = [(where, value) for where, value in everything(db) if not where.startswith("ops.leases.")]
    assert sorted(unwritten) == [each for each in before if not each[0].startswith("ops.leases.")]
    assert not (tmp_path / "erasures.txt").exists()
    assert planned == erase(harness, PERSON, tmp_path / "erasures.txt")
    assert planned["vaani"].calls >= 4


def test_a_person_of_whom_nothing_is_stored_is_kept_out_all_the_same(db: Engine, tmp_path: Path) -> None:
    harness = make_harness(db, crowded())
    assert erase(harness, PERSON, tmp_path / "erasures.txt") == {}
    for name in PROVIDERS:
        harness.sync(name)
        assert harness.scalar(LISTED, source=name) == len(calls_of(harness.world, name))
        assert verified(harness, name) == {"verified"}
    assert traces(db, WORDS) == set()


LISTED = "SELECT count(*) FROM ops.removed_calls WHERE source = :source AND reason = 'erased' AND delisted_at IS NULL"


def test_a_run_that_is_at_work_meanwhile_stores_nothing_of_the_person(db: Engine, tmp_path: Path) -> None:
    harness = make_harness(db, crowded())
    harness.sync("ringg")
    for n, call_id in enumerate(sorted(calls_of(harness.world, "ringg"))):
        harness.world.change("ringg", call_id, cost=Decimal(n + 7))
    threads: list[threading.Thread] = []

    def begin(number: int, request: httpx.Request) -> None:
        if number == 1:  # the run has its lease by now, and a batch to read
            person = replace(harness, clock=SystemClock())  # type: ignore[arg-type]
            threads.append(threading.Thread(target=erase, args=[person, PERSON, tmp_path / "erasures.txt"]))
            threads[0].start()

    harness.transport = InterceptingTransport(harness.transport, begin)
    harness.run("ringg", lambda run: pipeline.backfill(run, EVERYTHING, again=True), "backfill")
    threads[0].join(60)
    assert not threads[0].is_alive()
    assert traces(db, WORDS) == set()


@pytest.mark.parametrize("at", range(1, 7))
def test_one_that_is_killed_is_finished_by_the_next_command_that_loads(db: Engine, tmp_path: Path, at: int) -> None:
    harness = make_harness(db, crowded())
    for name in PROVIDERS:
        harness.sync(name)
    file, clock = tmp_path / "erasures.txt", harness.clock

    class Deadly(FakeClock):
        asked = 0

        def now(self) -> datetime:
            self.asked += 1
            if self.asked == at:
                kill(harness)
            return clock.now()

    harness.clock = Deadly()
    was_killed = False
    try:
        erase(harness, PERSON, file)
    except (Killed, SQLAlchemyError):
        was_killed = True
    finally:
        restart(harness)
    harness.clock = clock
    said: list[str] = []
    settle(harness.db, clock, file, said.append)
    assert was_killed == (at <= 6)
    assert (traces(db, WORDS) == set()) == file.exists()
    receipts = erase(harness, PERSON, file)  # which says what all of them removed
    assert {name: receipt.calls for name, receipt in receipts.items()} == {
        name: len(calls_of(harness.world, name)) for name in PROVIDERS
    }


def test_what_the_provider_deletes_too_is_expected_no_more(db: Engine, tmp_path: Path) -> None:
    harness = make_live_harness(db, calls=0)
    for name in PROVIDERS:
        for n in range(18):
            harness.world.add(name, NOW - hours(20 - n), kind="outbound" if n % 2 else "inbound")
        harness.sync(name)
        call = harness.world.calls(name)[9]
        number = call.customer.number
        erase(harness, number, tmp_path / "erasures.txt")
        assert verified(harness, name) == {"verified"}
        harness.world.delete(name, call.call_id)
        assert verified(harness, name) == {"verified"}  # also the first time
        assert harness.scalar(LISTED, source=name) == 0
        harness.world.restore(name, call.call_id)
        harness.clock.sleep(86400)
        harness.sync(name)
        assert harness.scalar(LISTED, source=name) == 1
        assert traces(db, [number]) == set()


DEVANAGARI = str.maketrans("0123456789", "०१२३४५६७८९")
WITHOUT_A_ROW = {
    "no time": ringg_record("a", created_at=None, to_number=PERSON),
    "in another script": ringg_record("b", created_at="soon", to_number="९१९८७६५४३२०३"),
    "grouped": ringg_record("c", created_at=None, note="call +91 98765-43203 please"),
    "no JSON": b'{"id": "d", "to_number": "+919876543203", "created_at"}',
}


@pytest.mark.parametrize("kind", WITHOUT_A_ROW)
def test_a_record_that_became_no_row_leaves_quarantine_and_does_not_come_back(
    db: Engine, tmp_path: Path, kind: str
) -> None:
    harness, shelf = make_stub_harness(db, WITHOUT_A_ROW[kind], ringg_record("e", created_at=None))
    harness.run("ringg")
    assert harness.scalar("SELECT count(*) FROM ops.quarantine") == 2
    receipt = erase(harness, PERSON, tmp_path / "erasures.txt")["ringg"]
    assert (receipt.calls, receipt.quarantined) == (0, 1)
    shelf.records.append(WITHOUT_A_ROW[kind].replace(b"{", b'{ "again": true,', 1))
    for work in (lambda run: pipeline.backfill(run, EVERYTHING, again=True), retry):
        report = harness.run("ringg", work, "backfill")
        assert report.error is None
    assert harness.rows("SELECT provider_call_id AS id FROM ops.quarantine") == [{"id": "e"}]
    assert traces(db, ["9876543203", "98765-43203"]) == set()
    assert counts_add_up(harness)


def test_what_the_sync_state_quotes_of_a_person_is_removed(db: Engine, tmp_path: Path) -> None:
    fields = {"919876543203": "x", "mina.rao@example.org": 1, "Mina Rao": {"a": 1}, "other": 1}
    record = ringg_record("a", to_number=PERSON, call_type="Mina Rao", custom_args_values=fields, **fields)
    harness, _ = make_stub_harness(db, record, ringg_record("b", other=2))
    harness.sync("ringg")
    harness.execute("UPDATE warehouse.calls SET customer_name = 'Mina Rao', customer_email = 'mina.rao@example.org'"
                    " WHERE provider_call_id = 'a'")  # fmt: skip
    harness.execute("INSERT INTO ops.alerts (source, kind, message, opened_at) VALUES"
                    " ('ringg', 'x', 'from +91 98765 43203', now()), ('ringg', 'y', 'nobody', now())")  # fmt: skip
    harness.execute("UPDATE ops.runs SET notes = '{mina.rao@example.org}', error = 'Mina Rao'")
    words = ["9876543203", "98765 43203", "Mina", "mina.rao"]
    assert {"ops.schema_drift.field", "ops.alerts.message", "ops.runs.notes"} <= traces(db, words)
    assert erase(harness, PERSON, tmp_path / "erasures.txt")["ringg"].messages >= 4
    assert traces(db, words) == set()
    assert harness.scalar("SELECT message FROM ops.alerts WHERE kind = 'y'") == "nobody"
    assert harness.scalar("SELECT record_count FROM ops.schema_drift WHERE field = 'other'") == 2


def test_calls_of_others_that_mention_the_number_are_named_and_removed_on_request(db: Engine, tmp_path: Path) -> None:
    said = {"in words": "my other number is 98765 43203", "as it is": "+919876543203", "longer": "19876543203111"}
    records = [ringg_record(name, to_number="+919876500000", call_summary=text) for name, text in said.items()]
    harness, _ = make_stub_harness(db, *records, ringg_record("own", to_number=PERSON))
    harness.sync("ringg")
    receipt = erase(harness, PERSON, tmp_path / "erasures.txt")["ringg"]
    assert receipt.calls == 1
    assert harness.stored_ids("ringg") == {"in words", "as it is", "longer"}
    assert receipt.mentioned_by == sorted(call_key("ringg", name) for name in ("in words", "as it is"))
    assert erase(harness, PERSON, tmp_path / "erasures.txt", with_mentions=True)["ringg"].calls == 3
    harness.run("ringg", lambda run: pipeline.backfill(run, EVERYTHING, again=True), "backfill")
    assert harness.stored_ids("ringg") == {"longer"}


def test_a_call_whose_number_comes_later_is_removed_then(db: Engine, tmp_path: Path) -> None:
    harness, shelf = make_stub_harness(db, ringg_record("a", to_number=None, name="Mina Rao"), ringg_record("b"))
    harness.sync("ringg")
    erase(harness, PERSON, tmp_path / "erasures.txt")
    assert harness.stored_ids("ringg") == {"a", "b"}
    shelf.records[0] = ringg_record("a", to_number=PERSON, name="Mina Rao")
    for expected in (3, 2):
        report = harness.run("ringg", lambda run: pipeline.backfill(run, EVERYTHING, again=True), "backfill")
        assert report.counts.unchanged == report.counts.received == 2 or expected == 3
        assert harness.stored_ids("ringg") == {"b"}
        assert traces(db, ["9876543203", "Mina"]) == set()


def test_a_number_of_the_organisation_is_no_person(db: Engine, tmp_path: Path) -> None:
    harness = make_harness(db, crowded())
    for name in ("ringg", "ravan"):
        harness.sync(name)
    with db.connect() as connection:
        ours = person(harness.world.phones[0], {None}, registry.masking_key(connection))
        with pytest.raises(NotAPerson, match=r"is one of the organisation's own numbers"):
            require_person(connection, ours, ())
        with pytest.raises(NotAPerson):
            require_person(connection, person("+14155550199", {None}, b""), ["+14155550199"])


@pytest.mark.parametrize("number", ["", "anonymous", "12345", "+1", "call me", "+91 98765 43210 99999 99999"])
def test_what_is_no_number_is_refused(number: str) -> None:
    with pytest.raises(NotAPerson, match=r"is no telephone number; write it with \+ and its country code"):
        person(number, {None, "IN"}, b"key")


def test_a_number_is_read_as_the_sources_read_it() -> None:
    assert person("098765 43203", {"IN"}, b"k").numbers == (PERSON,)
    assert person("098765 43203", {"IN", None}, b"k").numbers == (PERSON, "098765 43203")
    assert person(" +91 (98765) 43203", {None, "US"}, b"k") == person(PERSON, {None}, b"k")


def test_numbers_are_found_in_any_script_and_grouping() -> None:
    pattern = pattern_of([PERSON])
    for text_ in (
        "9876543203",
        "call +91-98765 43203.",
        "0 9876543203",
        "0091 98765 43203",
        "९८७६५ ४३२०३",
        "(98765)43203",
    ):
        assert pattern.search(readable(text_.encode())), text_
        assert pattern.search(readable(json.dumps(text_).encode())), text_
    for text_ in ("98765432031", "19876543203", "987654320", "9876543x203"):
        assert not pattern.search(readable(text_.encode())), text_
    assert PERSON in numbers_in("ring 9198765 43203 now", None)
    assert PERSON in numbers_in("ring 098765-43203", "IN")


def test_the_command_prints_a_receipt_without_the_number(db: Engine, database_url: str, tmp_path: Path) -> None:
    harness = make_harness(db, crowded())
    harness.sync("ringg")
    given = {"DATABASE_URL": f"{database_url}?sslmode=disable"}
    for words, problem in {
        ("--phone", "Ravi"): "is no telephone number; write it with + and its country code",
        ("--phone", harness.world.phones[0]): "one of the organisation's own numbers",
        (): "Missing option '--phone'",
    }.items():
        said = run_etl("erase", *words, cwd=tmp_path, given=given)
        assert (said.returncode, said.stdout) == (2, ""), words
        assert problem in " ".join(said.stderr.split())
        assert not words or words[1] not in said.stderr
    count = len(calls_of(harness.world, "ringg"))
    for options, verb in ((["--dry-run"], "would be removed"), ([], "removed")):
        said = run_etl("erase", "--phone", PERSON, *options, cwd=tmp_path, given=given)
        assert said.returncode == 0, said.stderr
        assert said.stdout.startswith("Number ending in 03, ")
        assert f"ringg: {count} calls {verb}, with " in said.stdout
        assert "still at ringg (ringg): " in said.stdout
        assert "43203" not in said.stdout + said.stderr
    (line,) = [line for line in (tmp_path / "erasures.txt").read_text().splitlines() if not line.startswith("#")]
    assert "43203" not in line
    said = run_etl("erase", "--phone", PERSON, "--json", cwd=tmp_path, given=given)
    receipt = json.loads(said.stdout)
    assert (receipt["number_ending"], receipt["sources"][0]["calls"]) == ("03", count)
    said = run_etl("erase", "--phone", "+919876599999", cwd=tmp_path, given=given)
    assert (said.returncode, said.stderr, "  nothing is stored\n" in said.stdout) == (0, "", True)
    said = run_etl("erase", "--phone", "98765 99998", cwd=tmp_path, given=given)
    assert "without its country code the number is another one" in said.stderr
    assert len((tmp_path / "erasures.txt").read_text().splitlines()) == 4
