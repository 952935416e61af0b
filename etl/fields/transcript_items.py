"""One object of a transcript's list, a message, an event or ``{"bot": "…"}`` → what was said or called in it."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from etl.decode.invisible import MARKS, is_blank
from etl.fields.speakers import labelled, role
from etl.fields.values import is_empty

TEXT_KEYS = ("content", "text", "message", "transcript", "parts")
_ROLE_KEYS = ("role", "speaker", "sender")
_TIME_KEYS = ("timestamp_ms", "timestamp", "created_at")
_SPOKEN_TYPES = frozenset(
    {"transcript", "message", "text", "speech", "utterance", "input_text", "output_text", "input_audio", "audio"}
)
_CALLED = re.compile(r"tool|func", re.IGNORECASE)  # the keys of what an agent did beside what it said
_DONE = re.compile(r"tool|func|event|action", re.IGNORECASE)
# Keys whose values are no words: who, when, in which order, under which number.
_ABOUT = re.compile(
    r"(?i:role|speaker|sender|type|object|index|status|(.*_)?(u?u?id|sid)|.*(time|stamp|date).*|.*_at)|.*[a-z](Id|At)"
)
_encoder = msgspec.json.Encoder(decimal_format="number")


class Said(NamedTuple):
    """One turn, and the times that stand beside it as they are written."""

    speaker: str
    text: str
    times: tuple[Any, ...] = ()


new_tuple = tuple.__new__  # a third of the time of a named tuple's own: there are as many turns as all other values


class _Shape(NamedTuple):
    """What the keys of an object are; the objects of a transcript have few shapes."""

    texts: tuple[str, ...]
    times: tuple[str, ...]
    speakers: tuple[tuple[str, str], ...]  # the keys that are a role, and whose
    words: tuple[str, ...]  # keys whose values may be words that nobody said
    is_message: bool


class _Plain(NamedTuple):
    """Where speaker, text and times are in an object that says nothing else."""

    role: str  # the key of the speaker, "" where the key of the text says who
    text: str
    who: str
    times: tuple[str, ...]
    has_type: bool  # which may say that it is an event


@lru_cache(maxsize=1 << 10)
def _shape(keys: tuple[str, ...], agent: str) -> _Shape:
    texts = tuple(key for key in TEXT_KEYS if key in keys)
    speakers = tuple((key, who) for key in keys if (who := labelled(key, agent)))
    words = tuple(key for key in keys if key not in TEXT_KEYS and not _ABOUT.fullmatch(key))
    is_message = bool(texts) or any(map(_DONE.search, keys))
    return _Shape(texts, tuple(key for key in _TIME_KEYS if key in keys), speakers, words, is_message)


@lru_cache(maxsize=1 << 10)
def _plain(keys: tuple[str, ...], inner: tuple[str, ...], agent: str) -> _Plain | None:
    """Of the keys of an object, and of those of its message where that is an object."""
    shape, own = _shape(tuple(dict.fromkeys((*keys, *inner))), agent), inner or keys
    roles = [key for key in (*keys, *inner) if key in _ROLE_KEYS]
    texts = [key for key in shape.texts if key != "message" or not inner]
    if not {"type", *shape.times}.isdisjoint(inner) or any(key not in own for key in (*roles, *texts)):
        return None
    if len(roles) == len(texts) == 1 and not shape.words:
        return _Plain(roles[0], texts[0], "", shape.times, "type" in keys)
    if not inner and not roles and not texts and len(shape.speakers) == 1:
        key, who = shape.speakers[0]
        return None if any(map(_CALLED.search, shape.words)) else _Plain("", key, who, shape.times, "type" in keys)
    return None


def plain_message(item: dict[str, Any], agent: str) -> Said | None:
    """The only turn of an object in one of the usual shapes, as :func:`of_message` finds it; else nothing.

    ``{"role": …, "content": …}``, ``{"sender": …, "text": …}``, ``{"bot": …}``, or the first as the message of an
    object, with times beside it: a third of the time.
    """
    message = item.get("message")
    inner = message if message and type(message) is dict else None
    plain = _plain(tuple(item), tuple(inner) if inner else (), agent)
    if plain is None:
        return None
    role_key, text_key, who, time_keys, has_type = plain
    words = item if inner is None else inner
    text, word = words[text_key], words[role_key] if role_key else ""
    if type(text) is not str or type(word) is not str or not text or (has_type and _is_event(item)):
        return None
    if role_key and (who := role(word, agent)) not in ("agent", "customer"):
        return None
    if not text[0].isalnum() and is_blank(text):
        return None
    times: tuple[Any, ...] = ()
    for key in time_keys:
        if (value := item[key]) is not None:
            times = (*times, value)
    return new_tuple(Said, (who, text if text.isascii() else text.strip(MARKS), times))


def turn(speaker: str, text: str, times: tuple[Any, ...] = ()) -> list[Said]:
    """A turn, unless its text is blank; invisible characters at its ends are no part of it."""
    return [] if is_blank(text) else [new_tuple(Said, (speaker, text if text.isascii() else text.strip(MARKS), times))]


def of_message(item: Mapping[str, Any], agent: str) -> list[Said]:
    """The turns of one object. A key that is a role gives speaker and text, whatever stands beside it.

    What was called, and a message without a text, are turns of the system.
    """
    inner = item.get("message")
    message = {**item, "message": None, **inner} if isinstance(inner, dict) else item
    shape = _shape(tuple(message), agent)
    times = tuple([message[key] for key in shape.times if message[key] is not None]) if shape.times else ()
    who, (text, parts) = _speaker(message, agent), _content(message, shape.texts)
    words = {key: value for key in shape.words if _is_words(value := message[key])} if shape.words else {}
    called = "\n".join(map(compact, [*parts, *({key: words[key]} for key in words if _CALLED.search(key))]))
    if not who and (spoken := _of_role_keys(message, shape, times)):
        rest = [] if any(each.text == text for each in spoken) else turn(spoken[-1].speaker, text, times)
        return [*spoken, *rest, *turn("system", called, times)]
    is_event = _is_event(message)
    if is_event or who == "system" or (not text and shape.is_message):
        is_whole = words or (is_event and not text)
        return turn("system", compact(item) if is_whole else text or called, times)
    if shape.is_message:
        return turn(who or "unknown", text, times) + (turn("system", called, times) if called else [])
    is_nothing = not words and (who or shape.speakers)  # {"bot": "", "message_id": 5}
    return [] if is_nothing else _of_unknown_object(item, who, times)


def _of_role_keys(message: Mapping[str, Any], shape: _Shape, times: tuple[Any, ...]) -> list[Said]:
    return [each for key, who in shape.speakers for each in turn(who, "\n".join(_texts(message[key])), times)]


def _is_event(message: Mapping[str, Any]) -> bool:
    kind = message.get("type")
    return isinstance(kind, str) and kind != "" and kind.lower() not in _SPOKEN_TYPES


def _is_words(value: Any) -> bool:
    return isinstance(value, str | list | dict) and not is_empty(value)


def _of_unknown_object(item: Mapping[str, Any], who: str, times: tuple[Any, ...]) -> list[Said]:
    """An object with one unknown speaker, or of no known shape: one turn."""
    values = [value for value in item.values() if not is_empty(value)]
    is_text = len(item) == 1 and values and isinstance(values[0], str)
    return turn(who or "unknown", values[0] if is_text else compact(item), times) if values else []


def _speaker(item: Mapping[str, Any], agent: str) -> str:
    for key in _ROLE_KEYS:
        word = item.get(key)
        if isinstance(word, str) and (who := role(word, agent)):
            return who
    return ""


def _content(item: Mapping[str, Any], keys: Sequence[str] = TEXT_KEYS) -> tuple[str, list[Any]]:
    """The text of a message, and the parts of it that nobody said: calls of tools and their results."""
    for key in keys:
        value = item.get(key)
        if isinstance(value, str) and not is_blank(value):
            return value, []
        parts = value if isinstance(value, list) else [value] if value else []
        called = [part for part in parts if isinstance(part, dict) and part and not _is_said(part)]
        text = "\n".join(_texts([part for part in parts if not isinstance(part, dict) or _is_said(part)]))
        if called or not is_blank(text):
            return "" if is_blank(text) else text, called
    return "", []


def _is_said(part: Mapping[str, Any]) -> bool:
    return not _is_event(part) and any(key in part for key in TEXT_KEYS)


def _texts(value: Any) -> list[str]:
    """The text of a message, or the texts of its parts."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for part in value for text in _texts(part)]
    if isinstance(value, dict):
        return [text] if (text := _content(value)[0]) else [compact(value)] if value else []
    return [] if value is None else [compact(value)]


def compact(value: Any) -> str:
    """A value as JSON."""
    return _encoder.encode(value).decode()
