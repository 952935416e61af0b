"""A field of a record → a column: what is read, and what becomes null with a flag."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl import fields
from etl.extractors import providers
from etl.fields import times
from etl.fields.phones import phone
from etl.fields.vocabulary import DIRECTIONS, FLAGS, OUTCOMES, normalize
from etl.model import Drift, Field, RecordContext
from etl.testing.recordings import make_source


def read(make: Callable[[str], Field], value: Any, **settings: Any) -> tuple[Any, list[str]]:
    """What a field reads from a value, and the flags it sets."""
    reading = RecordContext(make_source(providers()["ringg"], **settings), {"x": value})
    found = make("x").read(reading)
    assert set(reading.flags) <= FLAGS.keys()
    return found, reading.flags


FIRST, LAST = datetime(2000, 1, 2), datetime(2100, 12, 30)  # noqa: DTZ001 - the strategy puts the zone to them
NOON = datetime(2026, 4, 21, 12, 27, 23, tzinfo=UTC)
MICRO = NOON.replace(microsecond=335803)


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-04-21T12:27:23Z", NOON),
        ("2026-04-21T12:27:23", NOON),
        ("2026-04-21 12:27:23", NOON),
        ("2026-04-21t12:27:23z", NOON),
        (" 2026-04-21 12:27:23 ", NOON),
        ("2026-04-21T12:27:23.335803", MICRO),
        ("2026-04-21T12:27:23.335803+00:00", MICRO),
        ("2026-04-21T12:27:23.335803999Z", MICRO),
        ("2026-04-21T12:27:23.3Z", NOON.replace(microsecond=300000)),
        ("2026-04-21T12:27:23,335803Z", MICRO),
        ("2026-04-21T17:57:23+05:30", NOON),
        ("2026-04-21T17:57:23+0530", NOON),
        ("2026-04-21T14:27:23+02", NOON),
        ("2026-04-21T04:27:23-08:00", NOON),
        ("2026-04-21 04:27:23 -08:00", NOON),
        ("2026-04-21T12:27", NOON.replace(second=0)),
        ("2026-04-21T12:27:23.000000Z", NOON),
        ("\ufeff2026-04-21 12:27:23", NOON),
        ("\u20682026-04-21T12:27:23Z\u2069", NOON),
        ("2026-04-21T12:27:23\u200b+00:00", NOON),
    ],
)
def test_every_spelling_of_a_time_is_read(written: str, moment: datetime) -> None:
    assert read(fields.utc, written) == (moment, [])


@pytest.mark.parametrize(
    "written",
    [
        "2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z", "2026-04-21T24:00:00Z", "2026-04-21T12:27:60Z",
        "20260421", "20260421T122723Z", "2026-W17-2", "2026-04-21", "12:27", "yesterday", "1776774443",
        "2026-04-21T12:27:23 UTC", "2026-04-21T12:27:23.1234567890Z", "2026-04-21T12:27:23+25:00",
        "２０２６-04-21T12:27:23Z",
    ],
)  # fmt: skip
def test_an_invalid_time_is_null_and_flagged(written: str) -> None:
    assert read(fields.utc, written) == (None, ["time_unreadable"])


@pytest.mark.parametrize("written", ["1999-12-31T23:59:59Z", "0001-01-01T00:00:00+05:30", "2101-01-01 00:00:00"])
def test_an_implausible_time_is_null_and_flagged(written: str) -> None:
    assert read(fields.utc, written)[0] is None
    assert read(fields.utc, written)[1] in (["time_implausible"], ["time_unreadable"])


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-07-01 12:00:00", datetime(2026, 7, 1, 10, tzinfo=UTC)),
        ("2026-01-01 12:00:00", datetime(2026, 1, 1, 11, tzinfo=UTC)),
        ("2026-10-25 02:30:00", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),  # shown twice: the first
        ("2026-03-29 02:30:00", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),  # skipped by the clock
        ("2026-07-01T12:00:00Z", datetime(2026, 7, 1, 12, tzinfo=UTC)),
    ],
)
def test_a_naive_time_is_of_the_zone_of_the_source(written: str, moment: datetime) -> None:
    assert read(fields.utc, written, timezone=ZoneInfo("Europe/Berlin")) == (moment, [])


@given(st.datetimes(FIRST, LAST, timezones=st.timezones()))
def test_a_printed_time_is_read_back(moment: datetime) -> None:
    offset = moment.utcoffset() or timedelta(0)
    if offset % timedelta(minutes=1):
        return
    assert times.instant(moment.isoformat(), ZoneInfo("UTC")) == moment.astimezone(UTC)


WRITTEN = [
    "2025-05-01T11:50:05Z",
    "2025-05-01 09:20:30.350623+00:00",
    "2025-05-01T07:41:51,3852",
    "2025-05-01T07:41:51",
]
WRITTEN += ["2024-12-31T24:00:00Z", "2025-05-01T07:41:51+05:30", "9999-12-31T23:59:59.999999999+00:00"]


@st.composite
def nearly_times(draw: st.DrawFn) -> str:
    """A time as providers write it, some of whose characters are others, more or none."""
    text = draw(st.sampled_from(WRITTEN))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(text)))
        text = (
            text[:place]
            + draw(st.sampled_from(["", *"0123456789-:.,TZ +Wtz٣\u200b"]))
            + text[place + draw(st.integers(0, 1)) :]
        )
    return text


@settings(max_examples=1000)
@given(nearly_times(), st.sampled_from(["UTC", "Asia/Kolkata"]))
def test_a_usual_time_is_read_as_by_all_notations(text: str, zone: str) -> None:
    assert times.instant(text, ZoneInfo(zone)) == times.of_notation(text, ZoneInfo(zone))


@given(st.text(max_size=40))
def test_no_text_makes_a_time_fail(text: str) -> None:
    moment = times.instant(text, ZoneInfo("Asia/Kolkata"))
    assert moment is None or moment.utcoffset() == timedelta(0)


@pytest.mark.parametrize("number", [1776774443, 1776774443000, 1776774443000000, Decimal("1776774443.0")])
def test_the_unit_of_an_epoch_follows_from_its_size(number: Decimal) -> None:
    assert times.epoch(number) == datetime(2026, 4, 21, 12, 27, 23, tzinfo=UTC)


@pytest.mark.parametrize("number", [-1, 10**17, Decimal("1e30")])
def test_an_epoch_out_of_range_is_none(number: Decimal) -> None:
    assert times.epoch(number) is None


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        ("12.50", "12.50"),
        (Decimal("12.5"), "12.5"),
        ("\ufeff12.50\u200b", "12.50"),
        ("\u206812.50\u2069", "12.50"),
        ("0.08000000", "0.08000000"),
        (0, "0"),
        ("0", "0"),
        (" 7 ", "7"),
        ("1e2", "1E+2"),
        ("+3", "3"),
        (".5", "0.5"),
        ("12345678901234.123456789", "12345678901234.123456789"),
    ],
)
def test_money_is_exact(value: Any, amount: str) -> None:
    found, flags = read(fields.money, value)
    assert (str(found), flags) == (amount, [])


@pytest.mark.parametrize("value", ["12,50", "₹12", "1,000.00", "12.50 USD", "NaN", "Infinity", "1e400", "0x10", "१२"])
def test_money_that_is_no_plain_number_is_null_and_flagged(value: str) -> None:
    assert read(fields.money, value) == (None, ["cost_unreadable"])


def test_costs_of_a_provider_without_credits_read_none() -> None:
    reading = RecordContext(make_source(providers()["ringg"]), {"x": 2, "": {"model": 1}})
    assert fields.costs("x").read(reading) == {"x": [Decimal(2), reading.source.cost_unit]}
    assert not reading.flags


def test_a_duration_is_never_negative() -> None:
    assert read(fields.seconds, "-0.5") == (None, ["duration_negative"])
    assert read(fields.seconds, "0") == (Decimal(0), [])
    assert read(fields.seconds, Decimal("30.5")) == (Decimal("30.5"), [])
    assert read(fields.seconds, 10**40) == (None, ["number_unreadable"])


@pytest.mark.parametrize(
    "make", [fields.text, fields.utc, fields.money, fields.seconds, fields.phone_number, fields.json]
)
@pytest.mark.parametrize("empty", [None, "", "  \n", "\ufeff \u200b", [], {}])
def test_an_empty_value_is_null_without_a_flag(make: Callable[[str], Field], empty: Any) -> None:
    assert read(make, empty) == (None, [])


@pytest.mark.parametrize("make", [fields.text, fields.utc, fields.money, fields.seconds, fields.phone_number])
@pytest.mark.parametrize("value", [True, ["a"], {"a": 1}])
def test_an_unexpected_type_is_null_kept_and_flagged(make: Callable[[str], Field], value: Any) -> None:
    reading = RecordContext(make_source(providers()["ringg"]), {"x": value})
    assert make("x").read(reading) is None
    assert reading.flags == ["type_unexpected"]
    assert reading.extra_paths == ["x"]
    assert reading.drift == [Drift("x", "type", fields.json_type(value))]


def test_json_is_an_object_or_a_list_as_it_is() -> None:
    assert read(fields.json, {"a": [1]}) == ({"a": [1]}, [])
    assert read(fields.json, [0]) == ([0], [])
    assert read(fields.json, "text") == (None, ["type_unexpected"])


def test_a_text_is_exact() -> None:
    assert read(fields.text, "  two  spaces \n") == ("  two  spaces \n", [])
    assert read(fields.text, "\ufeff\u200fשלום\u200e, מוחמד\u200f") == ("שלום\u200e, מוחמד", [])
    assert read(fields.text, 7)[0] == "7"
    assert read(fields.text, Decimal("7.5"))[0] == "7.5"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (7, "7"),
        (Decimal(1), "1"),
        ("007", "007"),
        ("A-1 ", "A-1 "),
        ("550E8400-E29B-41D4-A716-446655440000", "550e8400-e29b-41d4-a716-446655440000"),
        ("{550E8400-E29B-41D4-A716-446655440000}", "{550E8400-E29B-41D4-A716-446655440000}"),
        ("x" * 512, "x" * 512),
        (10**25, "1" + "0" * 25),
        ("\ufeffA-1\u200b", "A-1"),
        ("\u2068550E8400-E29B-41D4-A716-446655440000\u2069", "550e8400-e29b-41d4-a716-446655440000"),
    ],
)
def test_an_id_is_text_as_sent(sent: Any, kept: str) -> None:
    assert read(fields.identity, sent)[0] == kept


@pytest.mark.parametrize(
    "sent",
    [None, "", "  ", True, [], ["a"], {"a": 1}, "x" * 513, "é" * 257, "a\ufffd", "null", "None", "NaN", "\u200b"],
)
def test_an_unusable_id_is_none(sent: Any) -> None:
    assert read(fields.identity, sent)[0] is None


@pytest.mark.parametrize(
    ("sent", "region", "number", "flags"),
    [
        ("+91 98765-43210", None, "+919876543210", []),
        ("+919876543210", None, "+919876543210", []),
        ("tel:+919876543210", None, "+919876543210", []),
        ("+1 (415) 555-0100", None, "+14155550100", []),
        ("(+91) 98765 43210", None, "+919876543210", []),
        (919876543210, None, "919876543210", ["number_without_country"]),
        ("098765 43210", None, "098765 43210", ["number_without_country"]),
        ("098765 43210", "IN", "+919876543210", []),
        ("0151 12345678", "DE", "+4915112345678", []),
        ("\u202a+91 98765 43210\u202c", None, "+919876543210", []),
        ("\ufeff+9198765\u200b43210\u2069", None, "+919876543210", []),
        ("+91\xa098765\u201143210", None, "+919876543210", []),
        ("+91 98765 43210 ext. 12", None, "+919876543210", []),
        ("+919876543210,12", None, "+919876543210", []),
        ("+1 415-555-0100x1234", None, "+14155550100", []),
        ("+1 (415) 555-0100 #12", None, "+14155550100", []),
        ("098765 43210 extension 5", "IN", "+919876543210", []),
        ("tel:+91-98765-43210;ext=12", None, "+919876543210", []),
        ("+1 415 555 0100 доб. 12", None, "+14155550100", []),
        ("whatsapp:+919876543210", None, "+919876543210", []),
        ("tel:%2B919876543210", None, "+919876543210", []),
        ("++91_98765|43210", None, "+919876543210", []),
        ("[+91] 98765 43210", None, "+919876543210", []),
        ("919876543210.0", "IN", "+919876543210", []),
        ("sip:+919876543210@pbx.example:5060;transport=udp", None, "+919876543210", []),
        ('"Asha Rao" <sips:+919876543210@pbx.example>;tag=1', None, "+919876543210", []),
        ("+919876543210@s.whatsapp.net", None, "+919876543210", []),
        ("Mobile: +91 98765 43210 (home)", None, "+919876543210", []),
        ("+９１９８７６５４３２１０", None, "+919876543210", []),
        ("＋９１　９８７６５－４３２１０", None, "+919876543210", []),
        ("+९१ ९८७६५ ४३२१०", None, "+919876543210", []),
        ("٠٩٨٧٦٥٤٣٢١٠", "IN", "+919876543210", []),
        ("00919876543210", None, "+919876543210", []),
        ("९८७६५ ४३२१०", None, "९८७६५ ४३२१०", ["number_without_country"]),
        ("sip:1001@pbx.example", None, "sip:1001@pbx.example", ["number_without_country"]),
        ("+91 98765 43210, +91 98765 43211", None, "+91 98765 43210, +91 98765 43211", ["number_unreadable"]),
        *(
            (word, "IN", word, ["number_unreadable"])
            for word in ("anonymous", "Unknown", "restricted", "private", "web")
        ),
        (" \u200eanonymous\u200f", None, "anonymous", ["number_unreadable"]),
        ("sip:desk@example.com", None, "sip:desk@example.com", ["number_unreadable"]),
        ("<string>", None, "<string>", ["number_unreadable"]),
        ("None", None, None, ["number_unreadable"]),
        ("NaN", "IN", None, ["number_unreadable"]),
        ("+1", None, "+1", ["number_unreadable"]),
        ("+999999999999999999999", None, "+999999999999999999999", ["number_unreadable"]),
        ("9" * 300, None, None, ["number_unreadable"]),
    ],
)
def test_a_phone_number_becomes_e164(sent: Any, region: str | None, number: str | None, flags: list[str]) -> None:
    assert read(fields.phone_number, sent, region=region) == (number, flags)


@given(st.text(max_size=30), st.sampled_from([None, "IN", "US"]))
def test_no_text_makes_a_number_fail_and_e164_stays(text: str, region: str | None) -> None:
    found = phone(text, region).number
    assert phone(found, region).number == found


@pytest.mark.parametrize("written", ["null", "None", "NaN", "undefined"])
def test_a_word_for_no_value_is_null(written: str) -> None:
    for make in (fields.text, fields.name, fields.json):
        assert read(make, written) == (None, [])
    assert read(lambda path: fields.one_of(path, DIRECTIONS), written) == ("unknown", [])


@pytest.mark.parametrize("name", ["Null", "Nan", "NA", "none taken", "Nancy"])
def test_a_name_that_looks_like_a_word_for_no_value_is_kept(name: str) -> None:
    assert read(fields.name, name) == (name, [])


@pytest.mark.parametrize(
    "name", ["\ufeffMaya Rao", "Maya\u200b Rao\u200f", "\u2068Maya\u2069 Rao", "\u202aMaya Rao\u202c", "Ma\xadya Rao"]
)
def test_one_name_has_one_spelling(name: str) -> None:
    assert read(fields.name, name) == ("Maya Rao", [])


def test_a_joiner_is_part_of_a_word() -> None:
    assert read(fields.name, "മോഹന്\u200d") == ("മോഹന്\u200d", [])


@pytest.mark.parametrize(
    "word", ["no_answer", "No Answer", "NO-ANSWER", "noanswer", " no  answer ", "\u200fno\u200banswer"]
)
def test_spelling_makes_no_difference_to_a_word(word: str) -> None:
    assert OUTCOMES[normalize(word)] == "no_answer"


def test_an_unknown_word_is_unknown_kept_and_reported_truncated() -> None:
    reading = RecordContext(make_source(providers()["ringg"]), {"x": "sideways" * 20})
    assert fields.one_of("x", DIRECTIONS).read(reading) == "unknown"
    assert reading.extra_paths == ["x"]
    assert reading.drift == [Drift("x", "unknown_word", ("sideways" * 20)[:80])]
    assert read(lambda path: fields.one_of(path, DIRECTIONS), None) == ("unknown", [])
