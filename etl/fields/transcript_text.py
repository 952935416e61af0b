"""A transcript in any shape that providers send → its turns in order, without losing a word."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from etl.decode import parse
from etl.model import InvalidResponse, Turn

_encoder = msgspec.json.Encoder(decimal_format="number")

SPEAKERS = {
    **dict.fromkeys(("agent", "assistant", "ai", "bot"), "agent"),
    **dict.fromkeys(("user", "customer", "human", "caller", "client"), "customer"),
    **dict.fromkeys(("system", "tool"), "system"),
}
_ROLES = {**SPEAKERS, "function": "system", "developer": "system", "model": "agent"}

# The start of a line: an optional [hh:mm:ss], then AGENT: or **Agent:** or [AGENT]: or Agent 1: or only a colon.
_LABEL = re.compile(
    r"\n[ \t]*+(?:\[(?P<clock>(?:\d{1,3}:)?\d{1,2}:\d{2}(?:\.\d{1,6})?)\][ \t]*+)?"
    r"(?:\*\*|__)?[ \t]*+\[?[ \t]*+"
    rf"(?P<name>{'|'.join(SPEAKERS)}|(?=:(?:\s|\*|$)))"
    r"(?:[ \t_#]*+\d{1,3}(?!\d*[ \t]*:\d))?[ \t]*+\]?(?:\*\*|__)?[ \t]*+:(?:\*\*|__)?",
    re.IGNORECASE | re.ASCII,
)
_ROLE_NOISE = re.compile(r"[^a-z]+")

_ROLE_KEYS = ("role", "speaker", "sender")
_TEXT_KEYS = ("content", "text", "message", "transcript")
_TEXT_KEYS_SET = frozenset(_TEXT_KEYS)
_LIST_KEYS = ("transcript", "transcripts", "messages", "turns", "chat_history")
_SPOKEN_TYPES = frozenset({"transcript", "message", "text", "speech", "utterance"})

Moment = Callable[[Mapping[str, Any]], tuple[datetime | None, Decimal | None]]


def turns_of(value: Any, moment: Moment = lambda item: (None, None)) -> list[Turn]:
    """The turns of a transcript: a list of messages, a text with labels, or JSON in a text; empty turns are dropped.

    ``moment`` gives the time of a list item and its seconds from the start. A text in no known shape is one turn of an
    unknown speaker.
    """
    if isinstance(value, str):
        return _of_text(value, moment)
    if isinstance(value, dict):
        value = next((value[key] for key in _LIST_KEYS if isinstance(value.get(key), list | str)), [value])
        return turns_of(value, moment)
    turns: list[Turn] = []
    for item in value if isinstance(value, list) else [value]:
        turns += _of_object(item, moment) if isinstance(item, dict) else _of_item(item, moment)
    return turns


def is_spoken(value: Mapping[str, Any]) -> bool:
    """Whether an object is a message or contains a transcript."""
    return any(key in value for key in (*_LIST_KEYS, *_TEXT_KEYS)) or all(_role(key) for key in value)


def _of_text(text: str, moment: Moment) -> list[Turn]:
    if text.lstrip()[:1] in ("[", "{"):
        try:
            found = parse(text.encode(errors="replace"))
        except InvalidResponse:
            found = None
        if _is_transcript(found):
            return turns_of(found, moment)
    return _labelled(text)


def _is_transcript(value: Any) -> bool:
    if isinstance(value, list):
        return all(item is None or isinstance(item, dict | str) for item in value)
    return isinstance(value, dict)


def _labelled(text: str) -> list[Turn]:
    turns, speaker, offset, start = list[Turn](), "unknown", None, 0
    text = "\n" + text.replace("\r\n", "\n").replace("\r", "\n")
    for label in _LABEL.finditer(text):
        turns += _turn(speaker, text[start : label.start()].strip(), None, offset)
        clock, name = label.group("clock", "name")
        speaker, offset, start = SPEAKERS.get(name.lower(), "unknown"), _offset(clock), label.end()
    return turns + _turn(speaker, text[start:].strip(), None, offset)


def _offset(clock: str | None) -> Decimal | None:
    if clock is None:
        return None
    *hours, minutes, seconds = clock.split(":")
    return Decimal(seconds) + 60 * int(minutes) + 3600 * int(hours[0] if hours else 0)


def _turn(speaker: str, text: str, at: datetime | None, offset: Decimal | None) -> list[Turn]:
    return [Turn(speaker, text, at, offset)] if text and not text.isspace() else []


def _of_item(item: Any, moment: Moment) -> list[Turn]:
    """The turns of a list item that is no object."""
    if isinstance(item, str):
        return _of_text(item, moment)
    if isinstance(item, list):
        return turns_of(item, moment)
    return [] if item is None else [Turn("unknown", _compact(item))]


def _of_object(item: Mapping[str, Any], moment: Moment) -> list[Turn]:
    """The turns of one object: a message, an event, or ``{"bot": "…"}``."""
    inner = item.get("message")
    message = {**item, "message": None, **inner} if isinstance(inner, dict) else item
    (at, offset), kind = moment(item), message.get("type")
    if isinstance(kind, str) and kind and kind.lower() not in _SPOKEN_TYPES:
        return _turn("system", _first_text(message) or _compact(item), at, offset)
    if not _TEXT_KEYS_SET.isdisjoint(message):
        return _turn(_speaker(message), _first_text(message), at, offset)
    if item and all(map(_role, item)):
        return [turn for name, text in item.items() for turn in _turn(_role(name), _text(text), at, offset)]
    return _of_unknown_object(item, at, offset)


def _of_unknown_object(item: Mapping[str, Any], at: datetime | None, offset: Decimal | None) -> list[Turn]:
    """An object with one unknown speaker, or of no known shape: one turn of an unknown speaker."""
    values = [value for value in item.values() if value not in (None, "", [], {})]
    if len(item) == 1 and values and isinstance(values[0], str):
        return _turn("unknown", values[0], at, offset)
    return _turn(_speaker(item), _compact(item), at, offset) if values else []


def _speaker(item: Mapping[str, Any]) -> str:
    for key in _ROLE_KEYS:
        word = item.get(key)
        if isinstance(word, str) and (found := _role(word)):
            return found
    return "unknown"


@lru_cache(maxsize=1 << 10)
def _role(word: str) -> str:
    """The speaker that a word names, "" for none."""
    return _ROLES.get(_ROLE_NOISE.sub("", word.lower()), "")


def _first_text(item: Mapping[str, Any]) -> str:
    for key in _TEXT_KEYS:
        text = item.get(key)
        if text is not None and type(text) is not str:
            text = _text(text)
        if text and not text.isspace():
            return text
    return ""


def _text(value: Any) -> str:
    """The text of a message, or of its parts."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, list):
        return "\n".join(text for part in value if (text := _text(part)))
    if isinstance(value, dict):
        return _first_text(value) or (_compact(value) if value else "")
    return _compact(value)


def _compact(value: Any) -> str:
    return _encoder.encode(value).decode()


def render(turns: Sequence[Turn]) -> str:
    """Turns as a text with labels, which :func:`turns_of` can read."""
    names = {"agent": "AGENT", "customer": "USER", "system": "SYSTEM", "unknown": ""}
    return "\n\n".join(f"{names[turn.speaker]}: {turn.text}" for turn in turns)
