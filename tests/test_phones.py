"""A number with its country code is read by a small table as phonenumbers reads it."""

import os
import random
from pathlib import Path

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

from etl.fields.phones import Phone, is_e164, phone
from tests import dialling_codes

MODULE = Path(__file__).parent.parent / "etl" / "fields" / "dialling_codes.py"
CODES = sorted(COUNTRY_CODE_TO_REGION_CODE)


def by_library(text: str) -> str | None:
    """E.164 as phonenumbers writes it, if the number is possible."""
    try:
        parsed = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        return None
    is_possible = phonenumbers.is_possible_number(parsed)
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) if is_possible else None


def test_the_table_is_that_of_the_library() -> None:
    if os.environ.get("ETL_REGENERATE"):
        MODULE.write_text(dialling_codes.written())
        pytest.skip("written anew")
    assert MODULE.read_text() == dialling_codes.written()


@pytest.mark.parametrize("code", CODES)
def test_random_numbers_of_each_country_are_read_alike(code: int) -> None:
    draw, known = random.Random(code), 0
    for _ in range(60):
        text = f"+{code}{draw.randrange(10 ** draw.randrange(3, 13))}"
        if is_e164(text):
            known += 1
            assert by_library(text) == text
        assert phone(text, None) == (Phone(by_library(text) or text, None if by_library(text) else "number_unreadable"))
    example = phonenumbers.example_number_for_type(COUNTRY_CODE_TO_REGION_CODE[code][0], 1)
    if example is not None:
        text = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
        assert phone(text, None) == Phone(text)


@given(st.from_regex(r"\+?[0-9]{0,18}", fullmatch=True), st.sampled_from([None, "IN", "US"]))
def test_what_the_table_knows_is_possible(text: str, region: str | None) -> None:
    assert not is_e164(text) or by_library(text) == text == phone(text, region).number


@pytest.mark.parametrize("text", ["+919876543210", "+14155550100", "+4915112345678", "+390612345678", "+2348031234567"])
def test_the_table_knows_the_numbers_of_every_day(text: str) -> None:
    assert is_e164(text) is (text[3] != "0")


@pytest.mark.parametrize("text", ["", "+", "919876543210", "+91 9876543210", "+९१९८७६५४३२१०", "+910", "+0", "+19"])
def test_what_the_table_does_not_know_is_left_to_the_library(text: str) -> None:
    assert not is_e164(text)
