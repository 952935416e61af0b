"""A path of a record → the field that reads an exact number from it: a duration, an amount, the parts of a cost."""

import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

from etl.decode.invisible import visible
from etl.fields.values import as_text, flag_wrong_type, getter, is_empty
from etl.model import Field, Inline, RecordContext

MAX_CALL_SECONDS = 10**7  # four months: no end time is derived from a longer duration
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_PLAIN_NUMBER = (  # neither negative nor from 10^18 on
    "v if type(v) is {Decimal} and v.adjusted() < 18 and not v.is_signed()"
    " else {Decimal}(v) if type(v) is int and 0 <= v < 10**18 else None if v is None else {read}"
)
_LARGEST, _SMALLEST = Decimal(10) ** 18, -(Decimal(10) ** 18)


def decimal_of(value: Any) -> Decimal | None:
    """A number, or a text of one in ASCII digits, exact; ``None`` for anything else and from 10^18 on."""
    if type(value) is Decimal and value.adjusted() < 18:  # as nearly all are
        return value
    if isinstance(value, str):
        value = visible(value).strip()
        if len(value) > 64 or not _NUMBER.fullmatch(value):
            return None
    elif type(value) not in (Decimal, int):  # bool is a subclass of int
        return None
    number = Decimal(value)
    return number if _SMALLEST < number < _LARGEST else None


def number(path: str, unreadable: str = "number_unreadable", negative: str | None = None) -> Field:
    """A number or a numeric text, exact. A negative one is null where ``negative`` names the flag for it."""
    get = getter(path)

    def read(context: RecordContext) -> Decimal | None:
        value = get(context.record)
        found = decimal_of(value)
        if found is not None and not (negative and found < 0):
            return found
        if is_empty(value):
            return None
        if found is None and as_text(value) is None:
            flag_wrong_type(context, path, value)
        else:
            context.flag_and_keep(path, unreadable if found is None else str(negative))
        return None

    return Field((path,), read, inline=Inline(_PLAIN_NUMBER, path, {"Decimal": Decimal}))


def seconds(path: str) -> Field:
    """A duration in seconds, never negative."""
    return number(path, negative="duration_negative")


def money(path: str) -> Field:
    """An amount, exact from its text; thousands separators and currency signs are not interpreted."""
    plain = number(path, "cost_unreadable")
    read_number = plain.read

    def read(context: RecordContext) -> Decimal | None:
        found: Decimal | None = read_number(context)
        if found is not None and found < 0:
            context.flags.append("cost_negative")
        return found

    return replace(plain, read=read)


def costs(*paths: str, credits: str = "") -> Field:  # noqa: A002 - the provider's name for the unit
    """The parts of a cost by the provider's names, each ``[amount, unit]``; those below ``credits`` in its credits."""
    amounts = [(path, money(path).read) for path in paths]

    def read(context: RecordContext) -> dict[str, Any] | None:
        unit = context.source.cost_unit
        found = {path: [amount, unit] for path, amount_of in amounts if (amount := amount_of(context)) is not None}
        return (found | _credits(context, credits) if credits else found) or None

    return Field((*paths, credits) if credits else paths, read)


def _credits(context: RecordContext, path: str) -> dict[str, Any]:
    parts = context.record.get(path)
    if is_empty(parts):
        return {}
    if not isinstance(parts, dict):
        flag_wrong_type(context, path, parts)
        return {}
    found: dict[str, Any] = {}
    for name, part in parts.items():
        amount = decimal_of(part)
        if amount is not None:
            found[name] = [amount, f"{context.source.provider}_credits"]
        elif not is_empty(part):
            context.flag_and_keep(f"{path}.{name}", "cost_unreadable")
    return found
