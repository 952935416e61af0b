"""Transcripts in every shape that providers send → turns, and no word is lost."""

import json
import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.fields.transcript_text import SPEAKERS, render, turns_of
from etl.model import Turn

AGENT, CUSTOMER = ("agent", "Hello, how are you?"), ("customer", "Fine: thanks.")


def said(value: Any) -> list[tuple[str, str]]:
    """Who said what."""
    return [(turn.speaker, turn.text) for turn in turns_of(value)]


@pytest.mark.parametrize(
    "value",
    [
        "AGENT: Hello, how are you?\n\n USER: Fine: thanks.",
        "AI: Hello, how are you?\nCustomer: Fine: thanks.",
        "bot: Hello, how are you?\r\nhuman: Fine: thanks.\r\n",
        "**Agent:** Hello, how are you?\n**User**: Fine: thanks.",
        "[AGENT]: Hello, how are you?\n[CALLER]: Fine: thanks.",
        "Agent 1: Hello, how are you?\nClient 2: Fine: thanks.",
        "AGENT : Hello, how are you?\n\tuser :Fine: thanks.",
        "[00:00:01] AGENT: Hello, how are you?\n[00:00:04] USER: Fine: thanks.",
        "Assistant:\nHello, how are you?\n\nUser:\nFine: thanks.",
        [{"bot": AGENT[1]}, {"user": CUSTOMER[1]}],
        [{"bot": AGENT[1], "user": CUSTOMER[1]}],
        [{"role": "assistant", "content": AGENT[1]}, {"role": "user", "content": CUSTOMER[1]}],
        [{"speaker": "AI", "text": AGENT[1]}, {"speaker": "Caller", "text": CUSTOMER[1]}],
        [{"message": {"role": "agent", "content": AGENT[1]}}, {"message": {"role": "user", "content": CUSTOMER[1]}}],
        [{"role": "agent", "message": AGENT[1]}, {"role": "user", "message": CUSTOMER[1]}],
        [{"sender": "bot", "type": "transcript", "text": AGENT[1]}, {"sender": "human", "text": CUSTOMER[1]}],
        [{"role": "agent", "content": [{"type": "text", "text": AGENT[1]}]}, {"role": "user", "content": CUSTOMER[1]}],
        ["Agent: Hello, how are you?", "User: Fine: thanks."],
        {"transcript": "Agent: Hello, how are you?\nUser: Fine: thanks."},
        {"messages": [{"bot": AGENT[1]}, {"user": CUSTOMER[1]}]},
        [None, {"bot": AGENT[1]}, {}, {"bot": ""}, {"user": CUSTOMER[1]}, {"role": "user", "content": "  "}],
    ],
    ids=str,
)
def test_every_shape_gives_the_same_turns(value: Any) -> None:
    assert said(value) == [AGENT, CUSTOMER]
    if not isinstance(value, str):
        assert said(json.dumps(value)) == [AGENT, CUSTOMER]


@pytest.mark.parametrize(
    ("text", "turns"),
    [
        ("", []),
        (" \n ", []),
        ("[]", []),
        ("no labels at all", [("unknown", "no labels at all")]),
        ("Ring ring\nAgent: Hi", [("unknown", "Ring ring"), ("agent", "Hi")]),
        ("Agent: one\n\ntwo\n three", [("agent", "one\n\ntwo\n three")]),
        ("Agent: hi\nJohn: hello", [("agent", "hi\nJohn: hello")]),
        ("Agent: the user: said no", [("agent", "the user: said no")]),
        ("Agent: hi\n: who?\nUser: me", [("agent", "hi"), ("unknown", "who?"), ("customer", "me")]),
        ("Agent: at\n:30 past", [("agent", "at\n:30 past")]),
        ("User: shall we say\nAgent 10:30 is free", [("customer", "shall we say\nAgent 10:30 is free")]),
        ("Agent:\nUser:\nAgent: hi", [("agent", "hi")]),
        ("Agents: many", [("unknown", "Agents: many")]),
        ("SYSTEM: call placed\nTool: 42", [("system", "call placed"), ("system", "42")]),
        ("[00:00:01] nobody\nAgent: hi", [("unknown", "[00:00:01] nobody"), ("agent", "hi")]),
        ('[{"bot": "cut in the mid', [("unknown", '[{"bot": "cut in the mid')]),
        ("[1, 2]", [("unknown", "[1, 2]")]),
        ("{braces} are text", [("unknown", "{braces} are text")]),
    ],
)
def test_labels_count_at_the_start_of_a_line_only(text: str, turns: list[tuple[str, str]]) -> None:
    assert said(text) == turns


@pytest.mark.parametrize(
    ("item", "turn"),
    [
        ({"type": "tool_call", "sender": "bot", "text": "check_slot"}, ("system", "check_slot")),
        (
            {"type": "tool_call", "name": "f", "n": Decimal("1.5")},
            ("system", '{"type":"tool_call","name":"f","n":1.5}'),
        ),
        ({"role": "tool", "content": {"ok": True}}, ("system", '{"ok":true}')),
        ({"role": "narrator", "content": "Meanwhile"}, ("unknown", "Meanwhile")),
        ({"role": None, "content": "Hm"}, ("unknown", "Hm")),
        ({"Dr. No": "You expected me to talk?"}, ("unknown", "You expected me to talk?")),
        ({"role": "user", "content": "", "text": "late words"}, ("customer", "late words")),
        ({"a": {"b": 1}, "c": "d"}, ("unknown", '{"a":{"b":1},"c":"d"}')),
        (7, ("unknown", "7")),
    ],
)
def test_an_odd_item_is_kept(item: Any, turn: tuple[str, str]) -> None:
    assert said([item]) == [turn]


def test_the_clock_of_a_label_is_an_offset() -> None:
    turns = turns_of("[01:02:03] AGENT: a\n[00:00:04.5] USER: b\n[1:07] AGENT: c\nUSER: d")
    assert [turn.offset_seconds for turn in turns] == [Decimal(3723), Decimal("4.5"), Decimal(67), None]


words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
lines = st.lists(
    st.one_of(
        words,
        st.builds("{}: {}".format, st.sampled_from([*SPEAKERS, "", "**AI**", "[user]", "Agent 2", "John"]), words),
        st.builds("[00:00:{:02d}] {}: {}".format, st.integers(0, 59), st.sampled_from(list(SPEAKERS)), words),
    ),
    max_size=8,
)


@given(lines)
def test_no_word_of_a_text_is_lost(parts: list[str]) -> None:
    text = "\n".join(parts)
    spoken = " ".join(turn.text for turn in turns_of(text))
    remaining = iter(re.findall(r"\w+", spoken))
    for part in parts:
        label = re.match(r"(\[00:00:\d\d\] )?(\*\*AI\*\*|\[user\]|Agent 2|\w*):(?= )", part)
        is_label = label and (label[2] in ("", "**AI**", "[user]", "Agent 2") or label[2].lower() in SPEAKERS)
        body = part[label.end() :] if label and is_label else part
        for word in re.findall(r"\w+", body):
            assert word in remaining  # in the order of the source


@given(st.lists(st.tuples(st.sampled_from(["agent", "customer", "system", "unknown"]), st.text()), max_size=6))
def test_no_text_of_a_list_is_changed(spoken: list[tuple[str, str]]) -> None:
    items = [{"role": speaker, "content": text} for speaker, text in spoken]
    assert said(items) == [(speaker, text) for speaker, text in spoken if text.strip()]


plain = st.from_regex(r"[A-Za-z0-9,.?! ]{0,20}[a-z]", fullmatch=True).map(str.strip)


turn = st.tuples(st.sampled_from(["agent", "customer", "system", "unknown"]), plain).map(lambda said: Turn(*said))


@given(st.lists(turn, max_size=6))
def test_what_is_rendered_is_read_again(turns: list[Turn]) -> None:
    assert turns_of(render(turns)) == turns
