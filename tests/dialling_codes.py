"""phonenumbers' metadata → the table of country codes in ``etl/fields/dialling_codes.py``."""

import re._parser as sre  # type: ignore[import-not-found]
import textwrap
from typing import Any

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

DIGITS = frozenset("0123456789")
NO_REGION = "001"
BASE_36 = "0123456789abcdefghijklmnopqrstuvwxyz"
MODULE = '''"""The country codes of telephone numbers. `make regenerate` writes this table from phonenumbers' metadata.

Each entry is a country code, the lengths of its national numbers (a digit of base 36 for each), and the first digits of
those that may begin with a prefix, which is no part of the number: phonenumbers has to look at these.
"""

CODES = """
{table}
"""
'''


def metadata_of(code: int) -> PhoneMetadata:
    """The metadata by which phonenumbers reads the numbers of a country code."""
    region = COUNTRY_CODE_TO_REGION_CODE[code][0]
    is_region = region != NO_REGION
    found = PhoneMetadata.metadata_for_region(region) if is_region else PhoneMetadata.metadata_for_nongeo_region(code)
    assert found is not None
    return found


def first_digits(pattern: Any) -> frozenset[str]:
    """At least the digits with which a match can start; all of them where it may be empty or is not understood."""
    for operation, argument in pattern:
        match str(operation):
            case "LITERAL":
                return frozenset(chr(argument)) & DIGITS
            case "IN":
                return frozenset(digit for digit in DIGITS if any(_is_in(digit, each) for each in argument))
            case "SUBPATTERN":
                return first_digits(argument[-1])
            case "BRANCH":
                return frozenset().union(*(first_digits(each) for each in argument[1]))
            case "MAX_REPEAT" if argument[0] > 0:
                return first_digits(argument[2])
            case _:
                return DIGITS
    return DIGITS


def _is_in(digit: str, part: Any) -> bool:
    match str(part[0]):
        case "LITERAL":
            return bool(ord(digit) == part[1])
        case "RANGE":
            return bool(part[1][0] <= ord(digit) <= part[1][1])
        case _:
            return True


def written() -> str:
    """The module as it is by today's phonenumbers."""
    entries = []
    for code in sorted(COUNTRY_CODE_TO_REGION_CODE):
        metadata = metadata_of(code)
        assert metadata.general_desc is not None
        lengths = "".join(BASE_36[length] for length in metadata.general_desc.possible_length)
        prefix = metadata.national_prefix_for_parsing
        first = {"0"} | (first_digits(sre.parse(prefix)) if prefix else frozenset())  # a zero is its own affair
        if first < DIGITS:
            entries.append(f"{code}:{lengths}:{''.join(sorted(first))}")
    return MODULE.format(table=textwrap.fill(" ".join(entries), 120, break_on_hyphens=False))
