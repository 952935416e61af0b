"""A stored and a received row → one row: null never overwrites a value, and an ended call stays ended."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from etl.loader.merge import STATUS, compare, merge
from etl.model import Call
from etl.transformer import DEFAULTS

NOW = datetime(2026, 5, 1, tzinfo=UTC)
WORDS = {"completed": (False, True), "failed": (False, True), "ringing": (True, False), "odd": (None, None)}
OUTCOMES = {"completed": "completed", "failed": "failed", "ringing": "in_progress", "odd": "unknown"}
EMPTY: tuple[Any, ...] = (None, {}, [])


@st.composite
def columns(draw: st.DrawFn) -> dict[str, Any]:
    """The columns that a record may carry; any may be left out."""
    word = draw(st.sampled_from(sorted(WORDS)))
    is_live, is_final = WORDS[word]
    return {
        **DEFAULTS,
        "created_at": NOW,
        "provider_status": word,
        "outcome": OUTCOMES[word],
        "is_live": is_live,
        "is_final": is_final,
        "is_answered": word == "completed",
        "summary": draw(st.none() | st.sampled_from(["short", "long"])),
        "cost": draw(st.none() | st.sampled_from([Decimal("1"), Decimal("2.50")])),
        "analysis": draw(st.sampled_from([None, {}, {"score": 1}, {"score": 2}])),
        "answered_by": draw(st.sampled_from(["unknown", "human", "machine"])),
        "updated_at": draw(st.none() | st.sampled_from([NOW, NOW + timedelta(hours=1)])),
        "quality_flags": draw(st.sampled_from([[], ["text_repaired"]])),
    }


def stored(first: dict[str, Any], seq: int = 1) -> dict[str, Any]:
    return {**first, "latest_request_seq": seq}


def call(said: dict[str, Any]) -> Call:
    return Call("c", said)


@given(columns(), columns(), st.integers(0, 3))
def test_nothing_empty_replaces_a_value(first: dict[str, Any], second: dict[str, Any], seq: int) -> None:
    row = merge(stored(first), call(second), seq)
    for column in DEFAULTS.keys() - {*STATUS, "quality_flags"}:
        if first[column] not in (*EMPTY, "unknown"):
            assert row[column] not in (*EMPTY, "unknown"), column


@given(columns(), columns(), st.integers(0, 3))
def test_every_value_comes_from_one_of_the_two(first: dict[str, Any], second: dict[str, Any], seq: int) -> None:
    row = merge(stored(first), call(second), seq)
    assert all(row[column] in (first[column], second[column]) for column in DEFAULTS)


@given(columns(), columns())
def test_an_older_answer_only_fills_what_is_empty(first: dict[str, Any], second: dict[str, Any]) -> None:
    row = merge(stored(first, seq=5), call(second), 4)
    for column in DEFAULTS.keys() - set(STATUS):  # an end stays, whichever response carried it
        if first[column] not in (*EMPTY, "unknown"):
            assert row[column] == first[column], column
    assert row["latest_request_seq"] == 5


@given(columns(), columns())
def test_a_newer_answer_brings_its_values(first: dict[str, Any], second: dict[str, Any]) -> None:
    row = merge(stored({**first, "updated_at": None}), call(second), 2)
    for column in DEFAULTS.keys() - set(STATUS):
        if second[column] not in (*EMPTY, "unknown"):
            assert row[column] == second[column], column


@given(columns(), columns(), st.integers(0, 3))
def test_a_call_that_ended_never_goes_on(first: dict[str, Any], second: dict[str, Any], seq: int) -> None:
    row = merge(stored(first), call(second), seq)
    if first["is_live"] is False:
        assert row["is_live"] is False
        assert row["outcome"] in ("completed", "failed")
    if first["is_final"]:
        assert row["is_final"]


@given(columns(), columns())
def test_the_status_moves_as_one(first: dict[str, Any], second: dict[str, Any]) -> None:
    row = merge(stored(first), call(second), 2)
    groups = [tuple(each[column] for column in STATUS if column != "is_final") for each in (first, second, row)]
    assert groups[2] in groups[:2]


@given(columns(), columns())
def test_the_slower_of_two_answers_changes_nothing_in_the_end(older: dict[str, Any], newer: dict[str, Any]) -> None:
    older, newer = older | {"updated_at": None}, newer | {"updated_at": None}
    in_order, overtaken = merge(stored(older, 1), call(newer), 2), merge(stored(newer, 2), call(older), 1)
    for column in DEFAULTS.keys() - {"is_final"}:
        assert in_order[column] == overtaken[column] or {str(in_order[column]), str(overtaken[column])} == {
            "None",
            "{}",
        }


@given(st.lists(columns(), min_size=1, max_size=6))
def test_what_is_over_stays_over_whatever_follows(several: list[dict[str, Any]]) -> None:
    row, was_over = stored(several[0], 0), False
    for seq, said in enumerate(several[1:], start=1):
        was_over = was_over or row["is_live"] is False
        row = merge(row, call(said), seq)
        assert not was_over or row["is_live"] is False


@given(columns(), columns(), st.integers(1, 3))
def test_merging_is_idempotent(first: dict[str, Any], second: dict[str, Any], seq: int) -> None:
    once = merge(stored(first), call(second), seq)
    assert merge(once, call(second), seq) == once
    assert compare(once, merge(once, call(second), seq))[1] == []


def test_an_answer_with_an_older_time_of_change_is_an_older_answer() -> None:
    said = {**DEFAULTS, "created_at": NOW, "is_answered": True, "updated_at": NOW, "summary": "new"}
    stale = {**said, "updated_at": NOW - timedelta(hours=1), "summary": "old"}
    assert merge(stored(said), call(stale), 9)["summary"] == "new"


def test_an_answer_without_the_pick_up_does_not_take_the_answer_back() -> None:
    picked = {**DEFAULTS, "created_at": NOW, "outcome": "completed", "is_live": False, "is_answered": True}
    picked["answered_at"] = NOW
    emptier = {**picked, "outcome": "no_answer", "is_answered": False, "answered_at": None}
    row = merge(stored(picked), call(emptier), 2)
    assert (row["outcome"], row["is_answered"], row["answered_at"]) == ("completed", True, NOW)


def test_a_link_that_was_signed_anew_is_no_change() -> None:
    before = {"recording_url": "https://r.example/1.mp3?sig=a", "cost": Decimal("1.0")}
    after = {"recording_url": "https://r.example/1.mp3?sig=b", "cost": Decimal("1.00")}
    assert compare(before, after)[1] == []
    assert compare(before, {**after, "cost": Decimal("2")})[1] == [("cost", "1.0", "2")]
