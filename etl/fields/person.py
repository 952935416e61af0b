"""Whose record is it? Numbers as tokens, in rows and in any text."""

import re
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from etl.fields.phones import phone
from etl.fields.tokens import customer_id

SIDES = ("customer_number", "from_number", "to_number", "agent_number")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_DIGITS = re.compile(r"(?<![0-9])\+?[0-9](?:[\s().\-/_]{0,2}[0-9]){6,16}(?![0-9])")
_EVERY_DIGIT = {code: str(int(chr(code))) for code in range(128, 0x1FBFA) if chr(code).isdecimal()}


@dataclass(frozen=True, slots=True)
class Removals:
    """Whose calls are not stored, and from when on: the tokens of erased people, and what is kept how long."""

    key: bytes = b""
    erased: Set[UUID] = frozenset()
    calls_since: datetime | None = None
    transcripts_since: datetime | None = None

    def __bool__(self) -> bool:
        """Whether any call has to be looked at."""
        return bool(self.erased or self.calls_since or self.transcripts_since)

    def reason(self, row: Mapping[str, Any]) -> str | None:
        """Why a call is not stored; ``None`` where it is."""
        if self.erased and (row["customer_id"] in self.erased or not self.erased.isdisjoint(self._sides(row))):
            return "erased"
        return "expired" if self.calls_since and row["created_at"] < self.calls_since else None

    def mention(self, payload: bytes, region: str | None) -> bool:
        """Whether bytes that could not become a row have the number of an erased person in them."""
        return bool(self.erased) and any(
            customer_id(number, self.key) in self.erased for number in numbers_in(readable(payload), region)
        )

    def _sides(self, row: Mapping[str, Any]) -> set[UUID]:
        return {customer_id(number, self.key) for name in SIDES if (number := row[name])}


REMOVE_NOTHING = Removals()


def since(kept: timedelta | None, now: datetime) -> datetime | None:
    """From when on something is kept that is kept so long; ``None`` where it is kept forever."""
    return now - kept if kept else None


def readable(payload: bytes) -> str:
    """Bytes as text in which a number's digits stand in ASCII, whatever script or escapes they are written in."""
    text = payload.decode("utf-8", "replace")
    if "\\u" in text:
        text = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
    return text if text.isascii() else text.translate(_EVERY_DIGIT)


def numbers_in(text: str, region: str | None) -> set[str]:
    """The telephone numbers in a text, each as sent and in E.164."""
    found = {match.group() for match in _DIGITS.finditer(text)}
    return found | {phone(form, region).number for number in found for form in (number, f"+{number.lstrip('+')}")}


def pattern_of(numbers: Collection[str]) -> re.Pattern[str]:
    """What finds some numbers in a text, with or without the code of their country, however they are grouped."""
    import phonenumbers  # loaded only here: its tables take long

    forms = set[str]()
    for number in numbers:
        try:
            parsed = phonenumbers.parse(number)
            national, code = phonenumbers.national_significant_number(parsed), parsed.country_code
            forms.add(rf"(?:(?:\+|00)?{code}[\s().\-/_]*|0)?{_grouped(national)}")
        except phonenumbers.NumberParseException:
            forms.add(_grouped("".join(filter(str.isdigit, number))))
    return re.compile(rf"(?<![0-9])(?:{'|'.join(sorted(forms))})(?![0-9])")


def _grouped(digits: str) -> str:
    return r"[\s().\-/_]{0,3}".join(digits)
