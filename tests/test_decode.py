"""Bytes → envelopes, records and content hashes, whatever the bytes are."""

import contextlib
import json
import tracemalloc
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.decode import decode, parse, read_record
from etl.decode.invisible import MARKS
from etl.decode.tolerant import MAX_DEPTH, RepairedRecord
from etl.model import InvalidResponse, TooManyValues

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.lists(st.dictionaries(st.text(), json_values, max_size=5), max_size=6), st.sampled_from([None, 1]), st.booleans()
)
def test_each_record_keeps_its_exact_bytes(records: list[dict[str, Any]], indent: int | None, ascii_only: bool) -> None:
    printed = [json.dumps(record, indent=indent, ensure_ascii=ascii_only) for record in records]
    body = ('{"total": 3,\n "data" : [ ' + " ,\n".join(printed) + ' ], "next": null}').encode()
    answer = decode(body)
    assert [each.decode() for each in answer.records("data")] == printed
    assert answer.get("total") == 3
    assert answer.get("next") is None
    assert "next" in answer
    assert "data" in answer
    assert "rest" not in answer
    assert answer.payload == body


DAMAGED = [
    b'{"a": NaN}',
    b'{"a": -Infinity}',
    b'{"a": "\\ud800"}',
    b'{"a": "\\x"}',
    b'{"a": "\xff"}',
    b'{"a": 1e99999999999999999999}',
    b'{"a": ' + b"9" * 5000 + b"}",
    b'{"a": "tab\there"}',
    b'{"a": ' + b"[" * 3000 + b"]" * 3000 + b"}",
    b'{"a": "]},{"}',
    b'"a \\" quote"',
    b"null",
]


@pytest.mark.parametrize("damaged", DAMAGED)
def test_a_damaged_record_is_only_itself_damaged(damaged: bytes) -> None:
    body = b'{"data": [{"id": 1}, ' + damaged + b' , {"id": 3}], "total": 3}'
    answer = decode(body)
    assert answer.records("data") == [b'{"id": 1}', damaged, b'{"id": 3}']
    assert answer.get("total") == 3


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b" \n ", "empty"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\n<html>", "web page"),
        (b"[1, 2]", "a list"),
        (b'"text"', "not a JSON object"),
        (b"id,name\n1,2\n", "not a JSON object"),
        (b'{"data": [{"id": 1}, {"id": 2', "ends too early"),
        (b'{"data": [{"id": 1}', "ends too early"),
        (b'{"data": [{"id": "1', "ends too early"),
        (b'{"data"', "ends too early"),
        (b'{"data": []} {"data": []}', "continues after its end"),
        (b'{"data": [1,]}', "not JSON"),
        (b"{data: []}", "not JSON"),
        (b'{"data":[{"id":1}],"data":[]}', "duplicate key"),
        (b'{"data": [{"id": 1}], "data": []}', "duplicate key"),
    ],
)
def test_a_body_that_is_no_object_is_reported(body: bytes, reason: str) -> None:
    with pytest.raises(InvalidResponse, match=reason):
        decode(body).records("data")


@given(st.integers(0, 40), st.booleans())
def test_a_truncated_page_is_invalid(cut: int, is_damaged: bool) -> None:
    body = b'{"data": [{"a": "x\\"y"}, {"b": ' + (b"NaN" if is_damaged else b"1.5") + b'}], "total": 2}'
    with pytest.raises(InvalidResponse):
        decode(body[:cut]).records("data")


def test_a_missing_list_is_invalid() -> None:
    for body in (b"{}", b'{"data": null}', b'{"data": {}}', b'{"data": "[]"}'):
        with pytest.raises(InvalidResponse, match="no list 'data'"):
            decode(body).records("data")


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_other_unicode_encodings_are_read(coding: str) -> None:
    answer = decode('{"data": [{"name": "आशा 🙂"}]}'.encode(coding))
    assert answer.records("data") == ['{"name": "आशा 🙂"}'.encode()]


def test_numbers_are_exact() -> None:
    record, _ = read_record(b'{"a": 0.1, "b": 5.10, "c": 12345678901234567890.123456789, "d": 7, "e": 1e3, "f": -0.0}')
    assert record == {
        "a": Decimal("0.1"),
        "b": Decimal("5.1"),
        "c": Decimal("12345678901234567890.123456789"),
        "d": 7,
        "e": 1000,
        "f": 0,
    }
    assert isinstance(record["d"], int)


@pytest.mark.parametrize(
    "number",
    ["NaN", "Infinity", "-Infinity", "1e400", "1e100", "1e-31", "-5E+31", "1e999999999999999999999", "9" * 5000],
)
def test_an_invalid_number_is_null_and_flagged(number: str) -> None:
    record, _ = read_record(b'{"a": ' + number.encode() + b', "b": [1.5, ' + number.encode() + b"]}")
    assert record == {"a": None, "b": [Decimal("1.5"), None]}
    assert isinstance(record, RepairedRecord)
    assert set(record.flags) == {"number_unreadable"}


@pytest.mark.parametrize("damaged", [b"\\u0000", b"\\ud800", b"\\udfff\\ud800", b"\xff\xfe"])
def test_what_postgresql_cannot_hold_is_replaced_in_texts_and_keys(damaged: bytes) -> None:
    record, _ = read_record(b'{"k' + damaged + b'": ["x' + damaged + b'y", {"n": "' + damaged + b'"}]}')
    text = json.dumps(record, ensure_ascii=False)
    assert "\\u0000" not in text
    assert text.encode()
    assert "\ufffd" in text
    assert isinstance(record, RepairedRecord)
    assert "text_repaired" in record.flags


def test_a_pair_of_surrogates_is_a_character() -> None:
    record, _ = read_record(b'{"a": "\\ud83d\\ude42", "b": NaN}')
    assert record["a"] == "🙂"


def test_an_escaped_backslash_before_u0000_is_text() -> None:
    record, _ = read_record(b'{"a": "\\\\u0000"}')
    assert record["a"] == "\\u0000"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"[1]", "not an object"),
        (b"null", "not an object"),
        (b'"x"', "not an object"),
        (b"{", "not JSON"),
        (b'{"a": 1, "a": 2}', "duplicate key"),
        (b'{"a" : 1, "b\\":": 2, "a" : 3}', "duplicate key"),
        (b'{"x": {"a": 1, "\\u0061": 1}}', "duplicate key"),
        (b'{"a": "\\u0022:", "b": 1, "b": 1}', "duplicate key"),
        (b'{"a": NaN, "a": NaN}', "duplicate key"),
        (b'{"a": ' + b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1) + b"}", "deeper"),
        (b'{"a": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}", "deeper"),
    ],
)
def test_an_invalid_record_says_why(payload: bytes, reason: str) -> None:
    with pytest.raises(InvalidResponse, match=reason):
        read_record(payload)


def test_depth_up_to_the_bound_and_many_flat_parts_are_read() -> None:
    read_record(b'{"a": ' + b"[" * (MAX_DEPTH - 2) + b"]" * (MAX_DEPTH - 2) + b"}")
    record, _ = read_record(json.dumps({"a": [[i] for i in range(500)]}).encode())
    assert len(record["a"]) == 500


def digest(value: Any) -> bytes:
    """The content hash of a value as Python's json writes it."""
    return read_record(json.dumps(value).encode())[1]


@given(st.dictionaries(st.text(), json_values, max_size=6), st.randoms(use_true_random=False))
def test_the_digest_is_of_the_content_and_not_of_its_spelling(record: dict[str, Any], random: Any) -> None:
    items = list(record.items())
    random.shuffle(items)
    spelled = json.dumps(dict(items), indent=2, ensure_ascii=False).encode(errors="surrogatepass")
    assert read_record(spelled)[1] == digest(record)
    assert digest({**record, "more": 1}) != digest({**record, "more": 2})


def test_equal_numbers_have_one_digest_and_others_another() -> None:
    spellings = {read_record(b'{"a": ' + each + b"}")[1] for each in (b"12.5", b"12.50", b"1.25e1", b"125E-1")}
    assert len(spellings) == 1
    assert read_record(b'{"a": 4.0}')[1] == read_record(b'{"a": 4}')[1]
    others = {read_record(b'{"a": ' + each + b"}")[1] for each in (b"12.5", b"12.51", b'"12.5"', b"-12.5", b"null")}
    assert len(others) == 5


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("https://x/a.mp3?X-Amz-Signature=1&X-Amz-Date=2", "https://x/a.mp3?X-Amz-Signature=3&X-Amz-Date=4", True),
        ("https://x/a?sig=1&se=2", "https://x/a?sig=2&se=3", True),
        ("https://x/a?Expires=1&Signature=2&Key-Pair-Id=3", "https://x/a", True),
        ("https://x/a?token=1", "https://x/b?token=1", False),
        ("https://x/a?sp=1", "https://x/a?sp=2", False),
        ("https://x/a?file=1&token=7", "https://x/a?file=2&token=7", False),
        ("https://x/a?call=1&token=7", "https://x/a?call=1&token=8", True),
        ("is it x?token=1", "is it x?token=2", False),
    ],
)
def test_a_fresh_signature_of_a_link_is_the_same_content(one: str, other: str, is_same: bool) -> None:
    assert (digest({"u": one}) == digest({"u": other})) is is_same
    assert (digest({"u": [f"see {one} now"]}) == digest({"u": [f"see {other} now"]})) is is_same


SMALL = b'{"a":1},'


@pytest.mark.parametrize(
    ("large", "reason"),
    [
        (SMALL * 500_000 + b"1", "more than 100,000 values"),
        (b"1e30," * 2_000_000 + b"1", "more than 100,000 values"),
        ((b"[" * 50 + b"]" * 50 + b",") * 3_000 + b"1", "more than 100,000 values"),
        (b'{"k":[]},' * 50_000 + b"[]", "more than 100,000 values"),
        (b'"' + b"a, [" * (5 << 20) + b'"', "larger than 16 MB"),
        (SMALL * 2_200_000 + b"1", "larger than 16 MB"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(len(value)),
)
def test_a_record_that_takes_too_much_memory_is_rejected_unparsed_and_leaves_the_others(
    large: bytes, reason: str
) -> None:
    record = b'{"id": 2, "x": [' + large + b"]}"
    tracemalloc.start()
    records = decode(b'{"data": [{"id": 1},' + record + b', {"id": 3}], "total": 3}').records("data")
    assert (records[0], records[1] == record, records[2]) == (b'{"id": 1}', True, b'{"id": 3}')
    for read in (read_record, parse):
        with pytest.raises(InvalidResponse, match=reason):
            read(records[1])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * len(record) + (4 << 20)


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": [' + b"1," * 1_500_000 + b"1]}",
        b'{"data": [' + SMALL * 1_100_000 + b"1]}",
        b'{"data": [' + SMALL * 150_000 + b"1]}",
        b'{"data": [' + (b"[" + SMALL * 10_000 + b"1],") * 60 + b"1]}",
        b"{" + b",".join(b'"%d":1' % number for number in range(1_100_000)) + b"}",
    ],
    ids=range(5),
)
def test_a_page_that_takes_too_much_memory_asks_for_a_smaller_one(body: bytes) -> None:
    with pytest.raises(TooManyValues):
        decode(body).records("data")


def test_a_page_of_much_text_is_read() -> None:
    records = [json.dumps({"id": number, "text": "so, well, [yes], " * 60_000}).encode() for number in range(10)]
    body = b'{"data": [' + b",".join(records) + b"]}"
    assert [read_record(record)[0]["id"] for record in decode(body).records("data")] == list(range(10))


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_but_invalid_response(data: bytes) -> None:
    for read in (decode, read_record, parse):
        with contextlib.suppress(InvalidResponse):
            read(data)


def test_no_invisible_character_is_printable() -> None:
    assert not any(map(str.isprintable, MARKS + "\u200c\u200d"))


@pytest.mark.parametrize("mark", MARKS + "\u200c\u200d")
def test_no_invisible_character_is_part_of_a_key(mark: str) -> None:
    escaped = f"\\u{ord(mark):04x}"
    for written in (mark, escaped, escaped.upper().replace("U", "u", 1)):
        record, _ = read_record(f'{{"नाम": [{{"i{written}d": "a{written}b"}}]}}'.encode())
        assert record == {"नाम": [{"id": f"a{mark}b"}]}
