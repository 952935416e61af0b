"""A transcript, in any of the shapes that providers send → its turns, in order, without losing a word."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from etl.decode import parse
from etl.stream import Malformed, Turn

_encoder = msgspec.json.Encoder(decimal_format="number")

SPEAKERS = {
    **dict.fromkeys(("agent", "assistant", "ai", "bot"), "agent"),
    **dict.fromkeys(("user", "customer", "human", "caller", "client"), "customer"),
    **dict.fromkeys(("system", "tool"), "system"),
}
_ROLES = {**SPEAKERS, "function": "system", "developer": "system", "model": "agent"}

# [hh:mm:ss], then AGENT: or **Agent:** or [AGENT]: or Agent 1: or nothing but a colon.
_LABEL = re.compile(
    r"[ \t]*+(?:\[(?P<clock>(?:\d{1,3}:)?\d{1,2}:\d{2}(?:\.\d{1,6})?)\][ \t]*+)?"
    r"(?:\*\*|__)?[ \t]*+\[?[ \t]*+"
    rf"(?P<name>{'|'.join(SPEAKERS)}|(?=:(?:\s|\*|$)))"
    r"(?:[ \t_#]*+\d{1,3}(?!\d*[ \t]*:\d))?[ \t]*+\]?(?:\*\*|__)?[ \t]*+:(?:\*\*|__)?(?P<text>.*)",
    re.IGNORECASE | re.DOTALL | re.ASCII,
)
_LINE_END = re.compile(r"\r\n|\r|\n")
_ROLE_NOISE = re.compile(r"[^a-z]+")

_ROLE_KEYS = ("role", "speaker", "sender")
_TEXT_KEYS = ("content", "text", "message", "transcript")
_LIST_KEYS = ("transcript", "transcripts", "messages", "turns", "chat_history")
_SPOKEN_TYPES = frozenset({"transcript", "message", "text", "speech", "utterance"})

Moment = Callable[[Mapping[str, Any]], datetime | None]


def turns_of(value: Any, moment: Moment = lambda item: None) -> list[Turn]:
    """The turns of a transcript: a list of messages, a text with labels, or JSON in a text; no turn is empty.

    ``moment`` says when an item of a list was spoken. A text that no shape fits is one turn of an unknown speaker.
    """
    if isinstance(value, str):
        return _of_text(value, moment)
    if isinstance(value, dict):
        value = next((value[key] for key in _LIST_KEYS if isinstance(value.get(key), list | str)), [value])
        return turns_of(value, moment)
    items = value if isinstance(value, list) else [value]
    return [turn for item in items for turn in _of_item(item, moment)]


def is_spoken(value: Mapping[str, Any]) -> bool:
    """Whether an object is a message, or holds a transcript; any other is no transcript at all."""
    return any(key in value for key in (*_LIST_KEYS, *_TEXT_KEYS)) or all(_role(key) for key in value)


def _of_text(text: str, moment: Moment) -> list[Turn]:
    if text.lstrip()[:1] in ("[", "{"):
        try:
            found = parse(text.encode(errors="replace"))
        except Malformed:
            found = None
        if _is_transcript(found):
            return turns_of(found, moment)
    return list(_labelled(text))


def _is_transcript(value: Any) -> bool:
    if isinstance(value, list):
        return all(item is None or isinstance(item, dict | str) for item in value)
    return isinstance(value, dict)


def _labelled(text: str) -> Iterator[Turn]:
    speaker, offset, lines = "unknown", None, list[str]()
    for line in _LINE_END.split(text):
        label = _LABEL.fullmatch(line)
        if label is None:
            lines.append(line)
            continue
        yield from _turn(speaker, "\n".join(lines).strip(), None, offset)
        speaker, offset = SPEAKERS.get(label["name"].lower(), "unknown"), _offset(label["clock"])
        lines = [label["text"]]
    yield from _turn(speaker, "\n".join(lines).strip(), None, offset)


def _offset(clock: str | None) -> Decimal | None:
    if clock is None:
        return None
    *hours, minutes, seconds = clock.split(":")
    return Decimal(seconds) + 60 * int(minutes) + 3600 * int(hours[0] if hours else 0)


def _turn(speaker: str, text: str, at: datetime | None = None, offset: Decimal | None = None) -> Iterator[Turn]:
    if text and not text.isspace():
        yield Turn(speaker, text, at, offset)


def _of_item(item: Any, moment: Moment) -> Iterator[Turn]:
    if isinstance(item, str):
        yield from _of_text(item, moment)
    elif isinstance(item, list):
        yield from turns_of(item, moment)
    elif isinstance(item, dict):
        yield from _of_object(item, moment)
    elif item is not None:
        yield Turn("unknown", _compact(item))


def _of_object(item: Mapping[str, Any], moment: Moment) -> Iterator[Turn]:
    """The turns of one object: a message, an event, or ``{"bot": "…"}``."""
    message = item.get("message")
    said = {**item, "message": None, **message} if isinstance(message, dict) else item
    at = moment(item)
    text, kind = _first_text(said), said.get("type")
    if isinstance(kind, str) and kind and kind.lower() not in _SPOKEN_TYPES:
        yield from _turn("system", text or _compact(item), at)
    elif any(key in said for key in _TEXT_KEYS):
        yield from _turn(_speaker(said), text, at)
    elif item and all(_role(key) for key in item):
        for name, text in item.items():
            yield from _turn(_role(name), _text(text), at)
    else:
        yield from _of_odd_object(item, at)


def _of_odd_object(item: Mapping[str, Any], at: datetime | None) -> Iterator[Turn]:
    """One key that is no known speaker, or an object of no known shape: kept, as words of nobody known."""
    values = [value for value in item.values() if value not in (None, "", [], {})]
    if len(item) == 1 and values and isinstance(values[0], str):
        yield from _turn("unknown", values[0], at)
    elif values:
        yield from _turn(_speaker(item), _compact(item), at)


def _speaker(item: Mapping[str, Any]) -> str:
    return next((found for key in _ROLE_KEYS if (found := _role(item.get(key)))), "unknown")


def _role(word: Any) -> str:
    """The speaker that a word names, empty for none."""
    return _ROLES.get(_ROLE_NOISE.sub("", word.lower()), "") if isinstance(word, str) else ""


def _first_text(item: Mapping[str, Any]) -> str:
    texts = (_text(item[key]) for key in _TEXT_KEYS if key in item)
    return next((text for text in texts if text and not text.isspace()), "")


def _text(value: Any) -> str:
    """The words of a message: a text, or parts of one."""
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
    """Turns as a text with labels, which :func:`turns_of` reads again."""
    names = {"agent": "AGENT", "customer": "USER", "system": "SYSTEM", "unknown": ""}
    return "\n\n".join(f"{names[turn.speaker]}: {turn.text}" for turn in turns)
