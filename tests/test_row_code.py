"""A row that is read by code made from the column table is the row that the fields' own readers give."""

import json
import traceback
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import hypothesis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl import fields
from etl.extractors import providers
from etl.loader.batch import ReceivedRecord, read_received
from etl.model import Call, Field, Provider, RecordContext, Reject, Source
from etl.testing.recordings import make_source, recordings
from etl.transformer import DERIVED, transform_record

FIXTURES = Path(__file__).parent / "fixtures"
PROVIDERS = dict(providers())
AT_ONCE = 500  # records a test: the workers share them evenly

Items = list[tuple[str, str]]  # the keys of a record, and its values as JSON texts

ODD = [
    "null", "true", "false", "0", "-0", "1", "-1", "7.50", "-2.5", "1e3", "1e400", "1e30", "1e18",
    "999999999999999999.5",
    "123456789012345678901234567890", "NaN", "-Infinity", "[]", "{}", "[null]", '[""]', '{"a": 1}', '{"a": {"b": []}}',
    '""', '" "', '"\\u200b"', '"a\\u0000b"', '"\\ud800"', '"null"', '"NaN"', '"None"', '"undefined"', '"N/A"', '"x"',
    '"Maya"', '"नमस्ते"', '"\\ufeffMaya"', '"Zo\\u200be"', '"0"', '"1.50"', '"-3"', '"12,50"', '"1e5"', '"true"',
    '"1e99"',
    '"2026-01-02T03:04:05Z"', '"2026-01-02 03:04:05"', '"2026-01-02T03:04:05.123456789+05:30"',
    '"2026-13-01T00:00:00Z"',
    '"0001-01-01T00:00:00"', '"2101-01-01T00:00:00Z"', '"1999-12-31T23:59:59Z"',
    '"2026-W05-1T10:00:00Z"', '"20260102T030405Z"', '"2026-01-02"',
    '"2026-01-02T24:00:00Z"', '"2026-02-30T00:00:00Z"', '"1999-12-31T23:59:59-01:00"', "1767323050", '"1767323050"',
    '"+91 98765-43210"', '"919876543210"', '"09876543210"', '"+1 650"', '"anonymous"', '"sip:+14155550100@x"', '"+0"',
    '"completed"', '"COMPLETED "', '"in-progress"', '"ringing"', '"voicemail"', '"failed"', '"inbound"', '"Outgoing"',
    '"teleported"', '"machine"', '"user_hangup"', '"timeout"', '"User disconnected"', '"ended_by_customer"',
    '{"sentiment": "positive", "summary": ""}', '[{"name": "Call Summary", "value": "Fine."}, 5]',
    '{"x": {"user_sentiment": {"value": 0.5}}}', '"agent: Hi.\\nuser: Yes."', '[{"role": "agent", "content": "Hi."}]',
    '[{"bot": "Hi.", "timestamp": "2026-01-02T03:04:09Z"}, {"user": ""}, 7]',
    '{"id": "a-1", "agent_name": "Maya", "x": 2}',
    '{"model_credits": 1.5, "other": "odd", "none": null}', '["+918035000001"]', '["+918035000001", "5"]',
]  # fmt: skip


def records_of(provider: Provider) -> list[Items]:
    """The records of the recorded pages."""
    found = []
    for recording in recordings(provider, FIXTURES / f"{provider.name}.calls"):
        for record in recording.page().records:
            try:
                values = json.loads(record)
            except ValueError:  # a damaged one
                continue
            found.append([(key, json.dumps(value)) for key, value in values.items()])
    return found


@st.composite
def mutated(draw: st.DrawFn, known: list[Items]) -> bytes:
    """A recorded record, of which a few values are odd or another field's, and keys are gone, new, or there twice."""
    items = list(draw(st.sampled_from(known)))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(items) - 1)) if items else 0
        key = items[place][0] if items else "id"
        others = [value for _, value in items] or ODD
        odd = draw(st.sampled_from(ODD) | st.sampled_from(others))
        match draw(st.sampled_from(["odd", "odd", "odd", "gone", "new", "twice", "marked"])):
            case "odd":
                items[place : place + 1] = [(key, odd)]
            case "gone":
                del items[place : place + 1]
            case "new":
                items.append((draw(st.sampled_from(["brand_new", "name", "summary", "status", "a.b", ""])), odd))
            case "twice":
                items.append((key, odd))
            case "marked":
                items[place : place + 1] = [(f"\u200b{key}", odd)]
    return ("{" + ", ".join(f"{json.dumps(key)}: {value}" for key, value in items) + "}").encode()


def by_readers(provider: Provider) -> Provider:
    """The same provider, each of whose columns is read by its own reader."""
    columns = {**provider.columns, **{name: field for name, field in DERIVED.items() if name not in provider.columns}}
    return replace(provider, columns={name: replace(field, inline=None) for name, field in columns.items()})


def outcome(provider: Provider, source: Source, payload: bytes) -> tuple[ReceivedRecord, Call | Reject | None]:
    record = read_received(provider, source, payload, 1)
    return record._replace(context=None), transform_record(provider, record.context) if record.context else None


SOURCES = {
    name: [
        make_source(provider, ("+918035000001",), timezone=ZoneInfo(zone), region=region)
        for zone, region in (("UTC", None), ("Asia/Kolkata", "IN"), ("America/New_York", "US"))
    ]
    for name, provider in PROVIDERS.items()
}
KNOWN = {name: records_of(provider) for name, provider in PROVIDERS.items()}
BY_READERS = {name: by_readers(provider) for name, provider in PROVIDERS.items()}


def compare(name: str, source: Source, payload: bytes) -> None:
    made, read = (outcome(provider, source, payload) for provider in (PROVIDERS[name], BY_READERS[name]))
    assert made == read
    if isinstance(made[1], Call) and isinstance(read[1], Call):  # Decimal(1) and 1, True and 1 are equal
        assert [*map(type, made[1].columns.values())] == [*map(type, read[1].columns.values())]


def draw_and_compare(name: str, seed: int, count: int) -> None:
    @hypothesis.seed(seed)
    @settings(max_examples=count)
    @given(st.sampled_from(SOURCES[name]), mutated(KNOWN[name]))
    def each(source: Source, payload: bytes) -> None:
        compare(name, source, payload)

    each()


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_row_by_code_is_the_row_by_readers(name: str) -> None:
    draw_and_compare(name, 1, AT_ONCE)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1000, 1050))
@pytest.mark.parametrize("name", PROVIDERS)
def test_a_hundred_thousand_rows_by_code_are_the_rows_by_readers(name: str, seed: int) -> None:
    draw_and_compare(name, seed, AT_ONCE)


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("value", ODD)
def test_each_odd_value_of_each_field_is_read_alike(name: str, value: str) -> None:
    whole = max(KNOWN[name], key=len)
    for place, (key, _) in enumerate(whole):
        items = [*whole[:place], (key, value), *whole[place + 1 :]]
        payload = ("{" + ", ".join(f"{json.dumps(key)}: {value}" for key, value in items) + "}").encode()
        compare(name, SOURCES[name][0], payload)


def test_any_constant_and_any_key_can_stand_in_the_code() -> None:
    columns = {"summary": fields.text("it's {new}.{a"), "metadata": fields.constant({"{": "}'"}, where="summary")}
    echo = replace(PROVIDERS["ringg"], columns=columns)
    payload = json.dumps({"id": "a", "created_at": "2026-01-02T03:04:05Z", "it's {new}": {"{a": "A long summary."}})
    made, read = (outcome(provider, SOURCES["ringg"][0], payload.encode())[1] for provider in (echo, by_readers(echo)))
    assert isinstance(made, Call)
    assert made == read
    assert (made.columns["summary"], made.columns["metadata"]) == ("A long summary.", {"{": "}'"})


def test_a_traceback_shows_the_line_of_the_code() -> None:
    def fail(context: RecordContext) -> None:
        raise ZeroDivisionError

    broken = replace(PROVIDERS["ringg"], columns={"summary": Field((), fail)})
    with pytest.raises(ZeroDivisionError) as error:
        outcome(broken, SOURCES["ringg"][0], b'{"id": "a", "created_at": "2026-01-02T03:04:05Z"}')
    lines = [frame.line for frame in traceback.extract_tb(error.tb)]
    assert "row['summary'] = read_summary(context)" in lines
