"""Transcripts in every shape that providers send → turns, and no word is lost."""

import json
import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.decode.invisible import MARKS, is_blank
from etl.fields.speakers import LANGUAGES, SPEAKERS, fold, labelled
from etl.fields.transcript_items import Said, of_message, plain_message
from etl.fields.transcript_text import labelled_turns, plain_lines, render, turns_of

AGENT, CUSTOMER = ("agent", "Hello, how are you?"), ("customer", "Fine: thanks.")


def said(value: Any, agent: str = "") -> list[tuple[str, str]]:
    """Who said what."""
    return [(turn.speaker, turn.text) for turn in turns_of(value, agent)]


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
        "[2026-09-04 15:49:58] AGENT: Hello, how are you?\n\n [2026-09-04T15:50:01.5Z] USER: Fine: thanks.",
        "[2026-09-04 15:49:58 UTC] - AGENT: Hello, how are you?\n(15:50) USER: Fine: thanks.",
        "13:33:14 AGENT: Hello, how are you?\n2026-09-04 13:33:20 USER: Fine: thanks.",
        "AGENT [00:01:02]: Hello, how are you?\nUSER (13:33:20): Fine: thanks.",
        "AGENT <00:01:02>: Hello, how are you?\nUSER {13:33:20}: Fine: thanks.",
        "AGENT - 00:01:02: Hello, how are you?\nUSER 0:04: Fine: thanks.",
        "AGENT: [00:01:02] Hello, how are you?\nUSER:[00:01 - 00:04] Fine: thanks.",
        "[3:49:58 PM] AGENT: Hello, how are you?\n[03:50:02 pm] USER: Fine: thanks.",
        "[00:01 - 00:04] AGENT: Hello, how are you?\n[00:04 --> 00:07.5] USER: Fine: thanks.",
        "0:01 AGENT: Hello, how are you?\n0:04 USER: Fine: thanks.",
        "1. Agent: Hello, how are you?\n2. User: Fine: thanks.",
        "> Virtual Assistant: Hello, how are you?\n> Guest: Fine: thanks.",
        "KI-Assistent: Hello, how are you?\n- Kunde 1: Fine: thanks.",
        "助手：Hello, how are you?\n客户： Fine: thanks.",
        "Assistant\u202f: Hello, how are you?\nClient\xa0: Fine: thanks.",
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
        ("Voice: loud\nSupport: none", [("unknown", "Voice: loud\nSupport: none")]),
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
        ({"role": "Kunde", "text": "Hallo"}, ("customer", "Hallo")),
        ({"speaker": "Maya", "text": "Hello"}, ("agent", "Hello")),
        ({"Maya": "Hello", "id": "7"}, ("agent", "Hello")),
        (7, ("unknown", "7")),
    ],
)
def test_an_odd_item_is_kept(item: Any, turn: tuple[str, str]) -> None:
    assert said([item], "Maya Support") == [turn]


BESIDE: list[dict[str, Any]] = [
    {"message_id": "m-1", "timestamp": "2026-04-21T12:27:23Z"},
    {"id": 5, "time": "12:27", "confidence": 0.98},
    {"type": "bot_message", "language": "hi"},
    {"emotion": "calm", "interrupted": False, "audio_url": None},
    {"created_at": "", "metadata": {"model": "x"}, "words": []},
    {"user_id": "u-1", "agent_id": "a-1"},
]


@pytest.mark.parametrize("beside", BESIDE, ids=str)
def test_a_key_that_is_a_role_gives_speaker_and_text_whatever_stands_beside_it(beside: dict[str, Any]) -> None:
    assert said([{"bot": AGENT[1], **beside}, {**beside, "User": CUSTOMER[1]}]) == [AGENT, CUSTOMER]
    assert said(json.dumps([{**beside, "bot": AGENT[1]}, {"user": "", **BESIDE[0]}])) == [AGENT]


CALL = {"id": "c-1", "type": "function", "function": {"name": "check_slot", "arguments": '{"day": "Monday"}'}}


@pytest.mark.parametrize(
    "item",
    [
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "assistant", "tool_calls": [CALL]},
        {"bot": None, "tool_calls": [CALL], "message_id": "m-1"},
        {"role": "assistant", "content": "", "function_call": CALL["function"]},
        {"role": "assistant", "content": [{"type": "tool_use", "name": "check_slot", "input": {"day": "Monday"}}]},
        {"role": "user", "content": [{"type": "tool_result", "content": "check_slot: Monday"}]},
        {"role": "function", "name": "check_slot", "content": "Monday is free"},
        {"role": "tool_call_result", "name": "check_slot", "content": "Monday"},
        {"role": "model", "parts": [{"functionCall": {"name": "check_slot", "args": {"day": "Monday"}}}]},
        {"type": "function_call_output", "call_id": "c-1", "output": "check_slot: Monday"},
        {"event": "check_slot", "to": "Monday"},
    ],
    ids=str,
)
def test_what_was_called_is_a_turn_of_the_system_that_loses_no_word(item: dict[str, Any]) -> None:
    [(speaker, text)] = said([item])
    assert speaker == "system"
    assert "check_slot" in text
    assert "Monday" in text


@pytest.mark.parametrize(
    "item",
    [
        {"role": "assistant", "content": AGENT[1], "tool_calls": [CALL]},
        {"bot": AGENT[1], "tool_calls": [CALL]},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": AGENT[1]}, {"type": "tool_use", "name": "check_slot"}],
        },
        {"role": "model", "parts": [{"text": AGENT[1]}, {"functionCall": {"name": "check_slot"}}]},
    ],
    ids=str,
)
def test_what_is_said_beside_a_call_is_a_turn_of_its_own(item: dict[str, Any]) -> None:
    spoken, (speaker, text) = said([item])
    assert (spoken, speaker) == (AGENT, "system")
    assert "check_slot" in text


@pytest.mark.parametrize(("agent", "customer"), LANGUAGES.values(), ids=LANGUAGES)
def test_a_label_is_known_in_the_languages_of_the_resellers(agent: str, customer: str) -> None:
    for first in agent.split():
        for second in customer.split():
            assert said(f"{first.title()}: {AGENT[1]}\n{second.upper()} : {CUSTOMER[1]}") == [AGENT, CUSTOMER]


@pytest.mark.parametrize(
    "mark", ["\u200f", "\ufeff", "\u200b", "\u2068", "\u2069", "\u202a", "\u061c", "\u2060", "\xad"]
)
def test_an_invisible_character_hides_no_label(mark: str) -> None:
    customer = f"{mark} [{mark}00:01{mark}]{mark} **US{mark}ER{mark}** ({mark}00:02{mark}){mark}:{mark}"
    assert said(f"{mark}AGENT: {AGENT[1]}\n{customer} {CUSTOMER[1]}{mark}") == [AGENT, CUSTOMER]
    message = {"role": "user", f"mess{mark}age": {f"{mark}content": [{f"te{mark}xt": CUSTOMER[1]}]}}
    assert said(json.dumps([{f"{mark}bot": AGENT[1]}, message], ensure_ascii=mark > "\u2000")) == [AGENT, CUSTOMER]
    assert said(
        [{f"{mark}bot": AGENT[1]}, {"role": f"user{mark}", "content": f"{mark}{CUSTOMER[1]}"}, {"bot": mark}]
    ) == [
        AGENT,
        CUSTOMER,
    ]


@pytest.mark.parametrize(
    ("text", "agent", "turns"),
    [
        ("Support Agent: Hello, how are you?\n: Fine: thanks.", "Support Agent", [AGENT, CUSTOMER]),
        ("Maya: Hello, how are you?\nUser: Fine: thanks.", "Maya Rao", [AGENT, CUSTOMER]),
        ("MAYA RAO: Hello, how are you?\n : Fine: thanks.", "Maya  Rao", [AGENT, CUSTOMER]),
        ("[00:01] माया: Hello, how are you?\n[00:03] : Fine: thanks.", "माया राव", [AGENT, CUSTOMER]),
        ("**Renewals (v2)**: Hello, how are you?\n: Fine: thanks.", "Renewals (v2)", [AGENT, CUSTOMER]),
        ("Customer Care: Hello, how are you?\nCustomer: Fine: thanks.", "Customer Care", [AGENT, CUSTOMER]),
        ("User: Fine: thanks.\nUser Support: Hello, how are you?", "User Support", [CUSTOMER, AGENT]),
        ("Maya: Hello, how are you?\n: click\nUser: Fine: thanks.", "Maya", [AGENT, ("unknown", "click"), CUSTOMER]),
        ("Agent: Hello, how are you?\n: click", "Maya", [AGENT, ("unknown", "click")]),
        ("Agent: Hello, how are you?\nMayan: click", "Maya", [("agent", "Hello, how are you?\nMayan: click")]),
        ("10:30 is free", "10 Minute Agent", [("unknown", "10:30 is free")]),
    ],
)
def test_the_agents_own_name_is_a_label(text: str, agent: str, turns: list[tuple[str, str]]) -> None:
    assert said(text, agent) == turns


@pytest.mark.parametrize(
    "text", ["null", '"null"', "None", '"None"', "NaN", " null ", "\ufeffnull", '""', "N/A", "\u200b"]
)
def test_a_word_for_no_value_is_no_transcript(text: str) -> None:
    assert said(text) == said(json.dumps(text)) == []


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
        head, _, body = re.sub(r"^\[00:00:\d\d\] ", "", part).partition(":")
        body = body if labelled(head) or not fold(head) else part
        for word in re.findall(r"\w+", body):
            assert word in remaining  # in the order of the source


@given(st.lists(st.tuples(st.sampled_from(["agent", "customer", "system", "unknown"]), st.text()), max_size=6))
def test_no_text_of_a_list_is_changed(spoken: list[tuple[str, str]]) -> None:
    items = [{"role": speaker, "content": text} for speaker, text in spoken]
    assert said(items) == [(speaker, text.strip(MARKS)) for speaker, text in spoken if not is_blank(text)]


plain = st.from_regex(r"[A-Za-z0-9,.?! ]{0,20}[a-z]", fullmatch=True).map(str.strip)


turn = st.tuples(st.sampled_from(["agent", "customer", "system", "unknown"]), plain).map(lambda said: Said(*said))


@given(st.lists(turn, max_size=6))
def test_what_is_rendered_is_read_again(turns: list[Said]) -> None:
    assert turns_of(render(turns)) == turns


LABELS = ["Agent", "user", "AI 1", "**Bot**", "[Agent]", "(User)", "Kunde", "Maya", "Maya Rao", "nobody else", "", "12"]
STARTS = ["", " ", "\t", "\ufeff", "[00:01] ", "(12:30) - ", "13:33:14 ", "[1", "**", "- "]
ENDINGS = [" [00:01]: ", ": [00:01] ", " (13:33:14): ", ": ", ":", "： ", ":  ", ":** ", " : ", ":\xa0", ""]
WORDS = [
    "",
    " ",
    "Hi.",
    " Hi. ",
    "Fine: thanks.",
    "\ufeffHi\u200b",
    "[00:01] Hi",
    "\u200c",
    "ok\r",
    "ok\rUser: no",
    "नमस्ते",
    "** x",
    "30 pm",
]
written = st.builds("".join, st.tuples(*map(st.sampled_from, (STARTS, LABELS, ENDINGS, WORDS))))


@given(
    st.lists(written | st.sampled_from(WORDS), max_size=5).map("\n".join), st.sampled_from(["", "Maya Rao", "T", "[1"])
)
def test_lines_with_plain_labels_are_read_as_by_the_whole_grammar(text: str, agent: str) -> None:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    assert plain_lines(text, agent) in ([], labelled_turns(text, agent))


KEYS = [
    "role",
    "speaker",
    "sender",
    "content",
    "text",
    "message",
    "transcript",
    "parts",
    "type",
    "timestamp",
    "created_at",
]
KEYS += ["timestamp_ms", "id", "bot", "user", "tool", "Maya", "tool_calls", "status", "mood", "event", ""]
SAID = (
    st.none()
    | st.integers(0, 9)
    | st.sampled_from([*WORDS, *LABELS, "model", "tool", "transcript", "function_call", "Text"])
)
messages = st.dictionaries(st.sampled_from(KEYS), SAID | st.lists(SAID, max_size=2), max_size=4)


@given(messages, messages | st.none(), st.sampled_from(["", "Maya Rao"]))
def test_a_plain_message_is_read_as_by_the_whole_grammar(
    item: dict[str, Any], inner: dict[str, Any] | None, agent: str
) -> None:
    whole = item if inner is None else {**item, "message": inner}
    assert plain_message(whole, agent) is None or [plain_message(whole, agent)] == of_message(whole, agent)


def test_the_usual_shapes_are_plain() -> None:
    assert plain_lines("Agent: Hi.\n\nUser: \nKunde: नमस्ते\u200b", "") == [
        Said("agent", "Hi."),
        Said("customer", "नमस्ते"),
    ]
    for item in (
        {"role": "agent", "content": "Hi."},
        {"text": "Hi.", "type": "transcript", "sender": "bot", "timestamp": None},
        {"bot": "Hi.", "message_id": "m-1"},
        {"id": "1", "message": {"role": "agent", "content": "Hi."}, "timestamp_ms": None},
        {"id": "1", "role": "agent", "message": "Hi."},
    ):
        assert plain_message(item, "") == Said("agent", "Hi.")
