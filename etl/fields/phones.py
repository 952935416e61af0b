"""A telephone number as a provider writes it → E.164, or the flag that says why it stays as sent."""

import re
from functools import lru_cache
from typing import NamedTuple

LONGEST = 256

_NUMBER = re.compile(r"\s*(?:tel:)?[\s(]*\+?(?=[^\d]*\d)[\d\s().\-/\u2010-\u2015\u00a0]+", re.ASCII | re.IGNORECASE)


class Phone(NamedTuple):
    """A number, and a quality flag where it could not be converted to E.164."""

    number: str
    flag: str | None = None


@lru_cache(maxsize=1 << 15)
def phone(text: str, region: str | None) -> Phone:
    """A number in E.164, by default of this region; other texts, such as a SIP address, stay as sent."""
    if not _NUMBER.fullmatch(text):
        return Phone(text)
    import phonenumbers  # loaded only for a number: its tables take long

    if not region and "+" not in text:
        return Phone(text, "number_without_country")
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return Phone(text, "number_unreadable")
    if not phonenumbers.is_possible_number(number):
        return Phone(text, "number_unreadable")
    return Phone(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def digits(text: str) -> str:
    """The digits of a number, which are the same in every notation."""
    return "".join(character for character in text if character in "0123456789")
