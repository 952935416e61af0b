"""Transcripts with a request of their own: how many are requested at a time, and when it stops."""

from collections.abc import Callable
from itertools import count
from threading import Condition

import httpx
import pytest
from sqlalchemy import Engine

from etl.pipeline import sync_stream
from etl.sandbox.world import World
from etl.sync.transcripts import BATCH, MAX_PARALLEL_TRANSCRIPTS, MAX_REFUSED, QUICK_SECONDS, fetch_transcripts
from etl.sync.window import load_state
from tests.harness import NOW, InterceptingTransport, counts_add_up, differences, make_harness
from tests.stub_provider import make_stub_harness, vaani_record


def of_transcripts(
    at_each: Callable[[], httpx.Response | None],
) -> Callable[[int, httpx.Request], httpx.Response | None]:
    """Handles each request for a transcript, and may answer it."""
    return lambda _, request: at_each() if "/transcript/" in request.url.path else None


@pytest.mark.parametrize(("seconds", "most"), [(QUICK_SECONDS / 10, 1), (2 * QUICK_SECONDS, MAX_PARALLEL_TRANSCRIPTS)])
def test_several_are_requested_at_a_time_where_responses_take_long(db: Engine, seconds: float, most: int) -> None:
    harness = make_harness(db, World(3, calls={"vaani": 2 * BATCH}, now=NOW))
    changed, under_way, at_once = Condition(), [0], list[int]()

    def take() -> None:
        with changed:
            under_way[0] += 1
            at_once.append(under_way[0])
            changed.notify_all()
            if len(at_once) > MAX_PARALLEL_TRANSCRIPTS:  # by now it is known how long responses take
                changed.wait_for(lambda: max(at_once) >= most, timeout=10)
        harness.clock.sleep(seconds)
        with changed:
            under_way[0] -= 1

    harness.transport = InterceptingTransport(harness.transport, of_transcripts(take))
    harness.sync("vaani")
    assert len(at_once) >= BATCH
    assert max(at_once) == most
    assert differences(harness, "vaani") == []


def test_the_next_ones_are_found_without_looking_at_all_that_wait(db: Engine) -> None:
    harness = make_harness(db, World(3, calls={"vaani": 2000}, now=NOW))
    harness.run("vaani", lambda run: sync_stream(run, load_state(run, "")))
    harness.run("vaani", lambda run: fetch_transcripts(run, batches=2))
    harness.tuple_counts()  # waits until the sessions have reported what they read
    assert harness.scalar(READ) < 2000  # once to count them, and then a few


@pytest.mark.parametrize("status", [401, 402, 403])
@pytest.mark.parametrize("refused_from", [0, 5, BATCH + 10])
def test_a_key_that_may_read_no_transcripts_is_reported_once_and_calls_are_read_on(
    db: Engine, caplog: pytest.LogCaptureFixture, status: int, refused_from: int
) -> None:
    harness = make_harness(db, World(3, calls={"vaani": 3 * BATCH}, now=NOW))
    sandbox, numbers, requested = harness.transport, count(), list[int]()

    def refuse() -> httpx.Response | None:
        requested.append(next(numbers))
        return httpx.Response(status, json={"detail": "no"}) if requested[-1] >= refused_from else None

    harness.transport = InterceptingTransport(sandbox, of_transcripts(refuse))
    report = harness.run("vaani")
    assert (report.status, len(report.notes)) == ("succeeded", 1)
    assert "transcripts are refused to this key" in report.notes[0]
    assert [record.getMessage() for record in caplog.records].count("transcripts_refused") == 1
    assert len(requested) < refused_from + MAX_REFUSED + MAX_PARALLEL_TRANSCRIPTS
    assert harness.scalar("SELECT count(*) FROM raw.payloads WHERE kind = 'transcript'") == refused_from
    assert harness.stored_ids("vaani") == {call.call_id for call in harness.world.calls("vaani")}
    harness.clock.sleep(60)
    assert harness.run("vaani", by_hand=False).status == "succeeded"  # by schedule: the source is not paused
    harness.transport = sandbox
    harness.clock.sleep(86401)
    harness.sync("vaani")
    assert differences(harness, "vaani") == []
    assert counts_add_up(harness)


@pytest.mark.parametrize("status", [401, 402, 403, 404, 500])
def test_one_transcript_that_fails_leaves_out_that_transcript_alone(db: Engine, status: int) -> None:
    harness = make_harness(db, World(3, calls={"vaani": BATCH}, now=NOW))
    harness.sync("vaani")
    wanted = harness.scalar("SELECT count(*) FROM bi_pii.calls WHERE has_transcript")
    call_id = harness.scalar("SELECT provider_call_id FROM bi_pii.calls WHERE has_transcript ORDER BY 1 LIMIT 1")
    for table in ("warehouse.transcripts", "ops.transcript_requests"):
        harness.execute(f"DELETE FROM {table}")
    harness.execute("UPDATE warehouse.calls SET has_transcript = false, turn_count = 0, transcript_hash = NULL")
    harness.transport = InterceptingTransport(
        harness.transport,
        lambda _, request: httpx.Response(status) if request.url.path.endswith(f"/transcript/{call_id}") else None,
    )
    assert harness.run("vaani").status == "succeeded"
    assert harness.scalar("SELECT count(*) FROM bi_pii.calls WHERE has_transcript") == wanted - 1
    assert harness.scalar("SELECT paused_until IS NULL FROM ops.sources WHERE source = 'vaani'")


READ = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'ix_calls_without_transcript'"
TURNS = """
    SELECT speaker, text, spoken_at::time(0)::text AS at, offset_seconds::float
      FROM bi_pii.transcript_turns ORDER BY turn_index
"""
TALK = "AGENT: Hello.\n\n USER: Hi."


@pytest.mark.parametrize(
    "answer",
    [
        {"transcript": "Error retrieving transcript", "error": "blob not found", "status_code": 200},
        {"transcript": TALK, "error": {"code": "BlobNotFound"}},
        {"transcript": "Error retrieving transcript"},
        {"transcript": "Processing", "status_code": 200},
        {"transcript": TALK, "status_code": 202},
        {"transcript": TALK, "status_code": "202"},
        {"transcript": TALK, "status": "processing"},
        {"transcript": "Transcript is not available yet. Please try again later.", "status_code": 200},
        {"transcript": "System: no transcript yet"},
        {"transcript": "null", "status_code": 200},
        {"transcript": '"null"', "status_code": 200},
        {"transcript": '"None"', "status_code": 200},
        {"transcript": "NaN"},
        {"transcript": '{"message": "Processing"}'},
        {"transcript": "\u200b"},
        {"error": "not found"},
        {"status": "pending"},
        {"transcript": TALK, "call_id": "outbound-2", "status_code": 200},
        {"transcript": [{"role": "agent", "content": "Hello.", "call_id": "outbound-2"}]},
    ],
    ids=str,
)
def test_what_is_no_conversation_or_of_another_call_is_not_stored_and_asked_for_again(
    db: Engine, answer: object
) -> None:
    harness, vendor = make_stub_harness(db, vaani_record(chat_history="Processing"))
    vendor.transcript = answer
    harness.run("vaani")
    assert harness.rows(TURNS) == []
    assert harness.scalar("SELECT has_transcript FROM bi_pii.calls") is False
    vendor.transcript = {"transcript": TALK, "status_code": 200, "error": None, "call_id": " OUTBOUND-1"}
    harness.clock.sleep(3600)
    harness.sync("vaani")
    assert [row["text"] for row in harness.rows(TURNS)] == ["Hello.", "Hi."]


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        (("2025-04-30 13:33:14", "2025-04-30 13:34:15"), [("13:33:14", None), ("13:34:15", None)]),
        (("2025-04-30T13:33:14.25Z", "2025-04-30T19:04:15+05:30"), [("13:33:14", None), ("13:34:15", None)]),
        (("13:33:14", "13:34:15"), [("13:33:14", None), ("13:34:15", None)]),
        (("13:33:00", "13:35:00"), [("13:33:00", None), ("13:35:00", None)]),  # seconds of a start at 13:33:00.5
        (("00:00:02", "00:01:02"), [(None, 2), (None, 62)]),
        (("0:02", "1:02"), [(None, 2), (None, 62)]),
        (("00:01:59", "00:02:00"), [(None, 119), (None, None)]),  # the call lasts 119.5 seconds
        (("13:32:59", "13:34:15"), [(None, None), ("13:34:15", None)]),
        (("2026-09-04 15:49:58", "13:35:01"), [(None, None), (None, None)]),
        (("2025-04-30 13:33:14", "12:34"), [("13:33:14", None), (None, None)]),
    ],
)
def test_the_time_before_a_label_is_kept_where_it_lies_within_the_call(
    db: Engine, stamps: tuple[str, str], expected: list[tuple[str | None, float | None]]
) -> None:
    harness, vendor = make_stub_harness(db, vaani_record())
    vendor.transcript = {"transcript": f"[{stamps[0]}] AGENT: Hello.\n\n [{stamps[1]}] USER: Hi.", "status_code": 200}
    harness.sync("vaani")
    rows = harness.rows(TURNS)
    assert [(row["speaker"], row["text"]) for row in rows] == [("agent", "Hello."), ("customer", "Hi.")]
    assert [(row["at"], row["offset_seconds"]) for row in rows] == expected


def test_a_call_over_midnight_has_times_of_two_days(db: Engine) -> None:
    record = vaani_record(
        Start_time="2025-04-29T23:59:50", End_time="2025-04-30T00:00:20", call_dialing_at="2025-04-29T23:59:55"
    )
    harness, vendor = make_stub_harness(db, record)
    vendor.transcript = {"transcript": "[23:59:58] MAYA: Hello.\n[00:00:01] : Hi.", "status_code": 200}
    harness.sync("vaani")
    found = [tuple(row.values()) for row in harness.rows(TURNS)]
    assert found == [("agent", "Hello.", "23:59:58", 3), ("customer", "Hi.", "00:00:01", 6)]
