"""A transcript in any shape that providers send → what was said, in order, without losing a word."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from etl.decode import parse
from etl.decode.invisible import MARKS, is_blank, trimmed
from etl.fields.speakers import SPEAKERS, fold, is_name, labelled, role
from etl.fields.transcript_items import TEXT_KEYS, Said, compact, new_tuple, of_message, plain_message, turn
from etl.fields.values import is_unset
from etl.model import InvalidResponse, Turn

# The start of a line: an optional [time], then AGENT: or **Agent:** or [AGENT]: or Agent 1 [time]: or only a colon.
_SPACE = rf"[ \t\xa0\u202f{MARKS}\u200c\u200d]*+"
_TIME = (
    r"(?:\d{1,4}[-./]\d{1,2}[-./]\d{1,4}[T, ]{1,2})?\d{1,3}:\d\d(?::\d\d)?(?:[.,]\d{1,9})?"
    r"(?: ?[AaPp][Mm])?(?: ?(?:Z|UTC|[+-]\d\d(?::?\d\d)?))?"
)
_END = rf"(?:{_SPACE}(?:-+>?|[–—→]|to){_SPACE}{_TIME})?"  # of what was said, of which only the start is kept
_LABEL = re.compile(
    rf"\n{_SPACE}(?:[\[(<{{]{_SPACE}(?P<time>{_TIME}){_END}{_SPACE}[\])>}}]{_SPACE}-?"
    rf"|(?P<bare>(?:\d{{4}}-\d\d-\d\d[T ])?\d\d?:\d\d(?::\d\d)?){_END}(?= ))?"
    rf"(?P<name>[^\n:：]{{0,80}}?)(?:[\[(<{{]{_SPACE}(?P<after>{_TIME}){_END}{_SPACE}[\])>}}]{_SPACE}"
    rf"|[-–—|,@ ] ?(?P<last>\d\d?:\d\d(?::\d\d)?){_SPACE}(?=[:：](?:\s|\Z)))?"
    rf"[:：](?:\*\*|__)?(?:{_SPACE}\[(?P<said>{_TIME}){_END}\])?"
)
_AFTER_EMPTY = re.compile(r"\s|\*|$")
_LIST_KEYS = ("transcript", "transcripts", "messages", "turns", "chat_history")
SHORT = 200  # characters


def turns_of(value: Any, agent: str = "") -> list[Said]:
    """What was said by a list of messages, a text with labels, or JSON in a text; empty turns are dropped.

    ``agent`` is the agent's name, with which a text may label its turns. A text in no known shape is one turn of an
    unknown speaker.
    """
    if isinstance(value, str):
        return _of_text(value, agent)
    if isinstance(value, dict):
        value = next((value[key] for key in _LIST_KEYS if isinstance(value.get(key), list | str)), [value])
        return turns_of(value, agent)
    turns: list[Said] = []
    for item in value if isinstance(value, list) else [value]:
        if type(item) is dict and (said := plain_message(item, agent)):
            turns.append(said)
        else:
            turns += of_message(item, agent) if isinstance(item, dict) else _of_item(item, agent)
    return turns


def is_spoken(value: Mapping[str, Any]) -> bool:
    """Whether an object is a message or contains a transcript."""
    return any(key in value for key in (*_LIST_KEYS, *TEXT_KEYS)) or all(role(key) for key in value)


def is_conversation(turns: Sequence[Said | Turn]) -> bool:
    """Whether somebody speaks: a short text without a label says why there is no transcript."""
    if any(turn.speaker in ("agent", "customer") for turn in turns):
        return True
    return len(turns) > 1 or sum(len(turn.text) for turn in turns) >= SHORT


def _of_text(text: str, agent: str) -> list[Said]:
    if is_unset(text):
        return []
    bare = text.strip()
    if bare[:1] + bare[-1:] in ("[]", "{}", '""'):  # most that begin so begin with a time
        try:
            found = parse(text.encode(errors="replace"))
        except InvalidResponse:
            found = None
        if _is_transcript(found):
            return turns_of(found, agent)
    return _labelled(text, agent)


def _is_transcript(value: Any) -> bool:
    if isinstance(value, list):
        return all(item is None or isinstance(item, dict | str) for item in value)
    return isinstance(value, dict | str)


def _labelled(text: str, agent: str) -> list[Said]:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return plain_lines(text, agent) or labelled_turns(text, agent)


def plain_lines(text: str, agent: str) -> list[Said]:
    """The same as :func:`labelled_turns` in a third of the time, where each line is ``Label: words``; else nothing."""
    turns = list[Said]()
    for line in text.split("\n"):
        label, colon, said = line.partition(": ")
        who = _plain_label(label, agent) if colon and "[" not in said else ""  # which may be a time
        if who and (said := said.strip()).isascii():
            if said:
                turns.append(new_tuple(Said, (who, said, ())))
        elif who:
            turns += turn(who, trimmed(said))
        elif line:
            return []
    return turns


@lru_cache(maxsize=1 << 12)
def _plain_label(label: str, agent: str) -> str:
    """The speaker of a label with which nothing else stands at the start of its line, "" for none."""
    found = _LABEL.fullmatch(f"\n{label}:")
    return labelled(label, agent) if found and found["name"] == label and label[:1] not in "[(" else ""


def labelled_turns(text: str, agent: str) -> list[Said]:
    """The turns of a text in which labels stand at starts of lines, with times, or alone, or of several lines."""
    text = "\n" + text
    labels = [(label, who) for label in _LABEL.finditer(text) if (who := _speaker_of(label, agent))]
    own = fold(agent)
    # Beside the agent's own name an empty label is the customer's, unless the customer has another one.
    has_own_name = any(is_name(name := fold(label["name"]), own) and name not in SPEAKERS for label, _ in labels)
    caller = "customer" if has_own_name and not any(who == "customer" for _, who in labels) else "unknown"
    turns, speaker, times, start = list[Said](), "unknown", tuple[str, ...](), 0
    for label, who in labels:
        turns += turn(speaker, trimmed(text[start : label.start()]), times)
        time = next(filter(None, label.group("time", "bare", "after", "last", "said")), None)
        speaker, times, start = caller if who == "nobody" else who, (time,) if time else (), label.end()
    return turns + turn(speaker, trimmed(text[start:]), times)


def _speaker_of(label: re.Match[str], agent: str) -> str:
    """Whom a possible label names: "" where it is none, ``nobody`` for an empty one."""
    name, after = label["name"], label.string[label.end("name") + 1 : label.end("name") + 2]
    if name[-1:].isdigit() and after.isdigit():  # Agent 10:30
        return ""
    if is_blank(name):
        return "nobody" if not label["bare"] and _AFTER_EMPTY.match(after) else ""
    return labelled(name, agent)


def _of_item(item: Any, agent: str) -> list[Said]:
    """The turns of a list item that is no object."""
    if isinstance(item, str):
        return _of_text(item, agent)
    if isinstance(item, list):
        return turns_of(item, agent)
    return [] if item is None else [Said("unknown", compact(item))]


def render(turns: Sequence[Said | Turn]) -> str:
    """Turns as a text with labels, which :func:`turns_of` can read."""
    names = {"agent": "AGENT", "customer": "USER", "system": "SYSTEM", "unknown": ""}
    return "\n\n".join(f"{names[turn.speaker]}: {turn.text}" for turn in turns)
