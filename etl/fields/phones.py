"""A telephone number as a provider writes it → E.164, or the flag that says why it stays as sent."""

import re
import unicodedata
from functools import cache, lru_cache
from typing import NamedTuple

from etl.decode.invisible import visible
from etl.fields.dialling_codes import CODES
from etl.runtime.redaction import bare_links

LONGEST = 256

# Words before a plus, or an address's scheme; the number; then an extension, an address's rest, or words.
_NUMBER = re.compile(
    r"(?:[^\d+]*\+*(?=\+)|(?:(?:tel|sips?|whatsapp|callto|sms|phone):/{0,2})*[\s(\"'<]*)"
    r"(?P<number>\+?[\s(]*\d[\d\s().\-/_|\]\u2010-\u2015]*)"
    r"(?:(?:[,;#*~]+|[^\W\d_]{1,12})[\s.:=,#]*\d{1,7}[\s#]*|[@;?].*|[^\d+]*)",
    re.IGNORECASE | re.DOTALL,
)
_FLOAT = re.compile(r"(?P<number>\+?\d{7,})\.0+")  # a number that a program took for one with a fraction
_ABROAD = re.compile(r"00(?=[1-9])")  # how a call abroad is dialled in most countries


class Phone(NamedTuple):
    """A number, and a quality flag where it could not be converted to E.164."""

    number: str
    flag: str | None = None


@lru_cache(maxsize=1 << 15)
def phone(text: str, region: str | None) -> Phone:
    """A number in E.164, by default of this region; any other text, such as "anonymous", with a flag: as sent, but for
    what opens a link."""
    if is_e164(text):
        return Phone(text)
    text = bare_links(visible(text).strip())
    plain = _with_ascii_digits(text).replace("%2B", "+")
    found = _FLOAT.fullmatch(plain) or _NUMBER.fullmatch(plain)
    if not found:
        return Phone(text, "number_unreadable")
    import phonenumbers  # loaded only for a number: its tables take long

    number = re.sub("[_|]", " ", found["number"]).strip()
    if not region:
        number = _ABROAD.sub("+", number, count=1) if _ABROAD.match(number) else number
        if "+" not in number:
            return Phone(text, "number_without_country")
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return Phone(text, "number_unreadable")
    if not phonenumbers.is_possible_number(parsed):
        return Phone(text, "number_unreadable")
    return Phone(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))


def is_e164(text: str) -> bool:
    """Whether a text is a possible number in E.164; false as well where only phonenumbers can say so.

    The table takes a twentieth of the library's time, and the library takes 20 ms to be loaded.
    """
    if text[:1] != "+" or not (text.isascii() and text[1:].isdigit()):
        return False
    for end in (2, 3, 4):
        if known := _codes().get(text[1:end]):
            return len(text) - end in known[0] and text[end] not in known[1]
    return False


@cache
def _codes() -> dict[str, tuple[frozenset[int], str]]:
    """By country code: the lengths of its national numbers, and the first digits of those that may have a prefix."""
    entries = (entry.split(":") for entry in CODES.split())
    return {code: (frozenset(int(length, 36) for length in lengths), first) for code, lengths, first in entries}


def _with_ascii_digits(text: str) -> str:
    """A text with the digits and signs of any script in ASCII: full-width, Devanagari, Arabic."""
    if text.isascii():
        return text
    plain = unicodedata.normalize("NFKC", text)
    return "".join(str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in plain)


def digits(text: str) -> str:
    """The digits of a number, which are the same in every notation."""
    return "".join(character for character in text if character in "0123456789")
