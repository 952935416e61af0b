"""A telephone number as a provider writes it → E.164, or the flag that says why it stays as sent."""

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from etl.decode.invisible import visible
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


def _with_ascii_digits(text: str) -> str:
    """A text with the digits and signs of any script in ASCII: full-width, Devanagari, Arabic."""
    if text.isascii():
        return text
    plain = unicodedata.normalize("NFKC", text)
    return "".join(str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in plain)


def digits(text: str) -> str:
    """The digits of a number, which are the same in every notation."""
    return "".join(character for character in text if character in "0123456789")
