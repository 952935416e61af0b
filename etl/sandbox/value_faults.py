"""What goes wrong with the values of single records, as effects: the V rows of the catalogue."""

import json
from collections.abc import Callable, Sequence

from etl.sandbox.effect import Effect, FaultFiring
from etl.sandbox.http_faults import enveloped
from etl.sandbox.http_messages import RecordBytes, dumped
from etl.sandbox.simulated_call import SimulatedCall

# Which key of each provider's record plays which part.
KEYS = {
    "ringg": {"id": "id", "cost": "call_cost", "duration": "call_duration", "time": "created_at", "name": "name",
              "status": "status", "phone": "to_number", "transcript": "transcript", "object": "agent"},
    "ravan": {"id": "id", "cost": "cost_total", "duration": "duration_sec", "time": "created_at", "name": "caller_name",
              "status": "status", "phone": "callee_number", "transcript": "transcripts", "object": "metadata"},
    "autocalls": {"id": "id", "cost": "total_cost", "duration": "duration", "time": "created_at",
                  "name": "assistant_name", "status": "status", "phone": "client_phone_number",
                  "transcript": "transcript", "object": "variables"},
    "vaani": {"id": "call_id", "cost": "call_cost", "duration": "duration_ms", "time": "Start_time",
              "name": "agent_name", "status": "call_status", "phone": "to_number", "transcript": "chat_history",
              "object": "call_metadata"},
}  # fmt: skip
MARK = "\u2063spoilt\u2063"
TURN_LABELS = {"ringg": "user: ", "ravan": "User: ", "autocalls": "Customer: ", "vaani": "USER: "}
TEXTS = {
    "html": "<img src=x onerror=alert(1)><script>alert('x')</script>",
    "template": "{{7*7}}${7*7}<%= 7*7 %>",
    "sql": "Robert'); DROP TABLE calls;--",
    "formula": "=HYPERLINK(\"http://evil.example\",\"click\")",
    "at": "@SUM(1+1)*cmd|' /C calc'!A0",
    "ansi": "\x1b[2J\x1b[31mred\x1b]0;owned\x07",
    "log": "fine\r\nERROR forged line",
}  # fmt: skip
TIMES = {
    "no-such-day": '"2026-02-30T10:00:00Z"', "midnight-24": '"2026-04-21T24:00:00Z"',
    "leap-second": '"2016-12-31T23:59:60Z"', "year-1": '"0001-01-01T00:00:00+05:30"',
    "epoch-s": "1776774443", "epoch-ms": "1776774443000", "epoch-us": "1776774443000000",
    "compact": '"20260421"', "week": '"2026-W17-2"', "nine-digits": '"2026-04-21T12:27:23.123456789Z"',
    "suffix": '"2026-04-21 12:27:23 UTC"', "empty": '""', "null": "null",
}  # fmt: skip


def literal(part: str, text: str) -> Effect:
    """Puts that JSON text, whatever it is, where the part of the record was."""
    return spoilt(lambda hit, call, record: _with_literal(record, KEYS[hit.provider][part], text))


def valued(part: str, value: object) -> Effect:
    """Puts a value where the part of the record was."""
    return spoilt(lambda hit, call, record: record | {KEYS[hit.provider][part]: value})


def spoilt(change: Callable[[FaultFiring, SimulatedCall, RecordBytes], object]) -> Effect:
    """Changes one record in `in` (10 unless told): the same ones every time."""

    def record(hit: FaultFiring, call: SimulatedCall, body: bytes) -> bytes:
        if call.shape("spoilt", hit.number("in", 10)) != 0:
            return body
        changed = change(hit, call, json.loads(body))
        return changed if isinstance(changed, bytes) else dumped(changed)

    return Effect(record=record)


def mixed(fault_id: str, variants: Sequence[Effect]) -> Effect:
    """All variants that spoil records, shared out among the calls: each call keeps to its own."""
    records = [each.record for each in variants if each.record]
    return Effect(record=lambda hit, call, body: records[call.shape(fault_id, len(records))](hit, call, body))


def _with_literal(record: RecordBytes, key: str, text: str) -> bytes:
    return dumped(record | {key: MARK}).replace(dumped(MARK), text.encode("utf-8", "surrogatepass"))


def _without(part: str) -> Effect:
    return spoilt(lambda hit, call, record: {k: v for k, v in record.items() if k != KEYS[hit.provider][part]})


def _renamed(convert: Callable[[str], object]) -> Effect:
    def change(hit: FaultFiring, call: SimulatedCall, record: RecordBytes) -> RecordBytes:
        key = KEYS[hit.provider]["id"]
        return record | {key: convert(str(record[key]))}

    return spoilt(change)


def _worded(convert: Callable[[str], str]) -> Effect:
    def change(hit: FaultFiring, call: SimulatedCall, record: RecordBytes) -> RecordBytes:
        key = KEYS[hit.provider]["status"]
        return record | {key: convert(str(record[key]))}

    return spoilt(change)


def _long_text(hit: FaultFiring, call: SimulatedCall, record: RecordBytes) -> RecordBytes:
    text = TURN_LABELS[hit.provider] + "word " * (hit.number("size", 1_000_000) // 5)
    value: object = [{"role": "user", "content": text}] if hit.provider == "vaani" else text
    return record | {KEYS[hit.provider]["transcript"]: value}


def _many_turns(hit: FaultFiring, call: SimulatedCall, record: RecordBytes) -> RecordBytes:
    turns = [{"role": "user", "content": f"turn {n}"} for n in range(hit.number("size", 1_000_000) // 40)]
    return record | {KEYS[hit.provider]["transcript"]: turns}


def _deep(hit: FaultFiring, call: SimulatedCall, record: RecordBytes) -> bytes:
    depth = hit.number("depth", 1_000)
    return _with_literal(record, "nested", "[" * depth + "]" * depth)


def _doubled(hit: FaultFiring, call: SimulatedCall, record: RecordBytes) -> bytes:
    key = KEYS[hit.provider]["id"]
    return dumped(record)[:-1] + b"," + dumped({key: f"{record[key]}-again"})[1:]


def _odd_key(hit: FaultFiring, call: SimulatedCall, record: RecordBytes) -> bytes:
    return dumped(record)[:-1] + b',"odd\\u0000key":1}'


def _as_object(body: RecordBytes) -> RecordBytes:
    return {name: {"0": value} if name in ("calls", "data") else value for name, value in body.items()}


def _echoed(hit: FaultFiring, call: SimulatedCall, record: RecordBytes) -> RecordBytes:
    key = hit.source.key
    return record | {KEYS[hit.provider]["name"]: f"debug {key}", "request_headers": {"authorization": f"Bearer {key}"}}


VALUE_EFFECTS: dict[str, dict[str, Effect]] = {
    "V01": {"null": valued("id", None), "missing": _without("id"), "empty": valued("id", ""),
            "blank": valued("id", "  ")},
    "V02": {"int": _renamed(lambda text: sum(text.encode()) + 10**9),
            "float": _renamed(lambda text: sum(text.encode()) + 10**9 + 0.0),
            "zeros": _renamed(lambda text: f"00{text}"), "upper": _renamed(str.upper),
            "long": _renamed(lambda text: text + "x" * 10_000)},
    "V03": {"nan": literal("cost", "NaN"), "infinity": literal("cost", "Infinity"),
            "minus": literal("cost", "-Infinity")},
    "V04": {"1e400": literal("cost", "1e400"), "1e12nines": literal("cost", "1e999999999999"),
            "1e20nines": literal("cost", "1e99999999999999999999"), "digits": literal("duration", "9" * 5_000)},
    "V05": {"negative": valued("duration", -5), "absurd": valued("duration", 10**12),
            "negative-cost": valued("cost", -1.5), "comma": valued("cost", "12,50"), "rupee": valued("cost", "₹12"),
            "empty": valued("cost", "")},
    "V06": {"nul": literal("name", '"nul \\u0000 inside"'), "nul-key": spoilt(_odd_key),
            "surrogate": literal("name", '"lone \\ud83d surrogate"'), "c1": valued("name", "c1 \x85\x9b controls"),
            "bidi": valued("name", "bidi \u202eevil\u202c"), "emoji": valued("name", "emoji 🧑‍🚀"),
            "escape": literal("name", '"bad \\x escape"')},
    "V07": {"text": spoilt(_long_text), "turns": spoilt(_many_turns)},
    "V08": {"nested": spoilt(_deep)},
    "V09": {"doubled": spoilt(_doubled)},
    "V10": {name: literal("time", text) for name, text in TIMES.items()},
    "V11": {"naive": valued("time", "2026-03-29 02:30:00"), "incomplete": valued("time", "2026-03-08T02:30:00"),
            "offset": valued("time", "2026-03-29T08:00:00+05:30")},
    "V12": {"9999": valued("time", "9999-12-31T23:59:59Z"), "9999-offset": valued("time", "9999-12-31T23:59:59-05:30")},
    "V13": {"unknown": valued("status", "teleported"), "upper": _worded(str.upper),
            "spaced": _worded(lambda text: f" {text.replace('_', ' ').replace('-', ' ')} ")},
    "V14": {"new": spoilt(lambda hit, call, record: record | {"ai_confidence": 0.5, "routing": {"hop": [1, 2]}})},
    "V15": {"name": _without("name"), "cost": _without("cost"), "duration": _without("duration"),
            "status": _without("status")},
    "V16": {"object-text": valued("object", "as text"), "object-list": valued("object", [1, "two", None]),
            "cost-object": valued("cost", {"amount": 1}), "status-number": valued("status", 7),
            "transcript-number": valued("transcript", 12), "transcript-object": valued("transcript", {"a": ["b"]}),
            "time-list": valued("time", ["2026-04-21"])},
    "V17": {"null": spoilt(lambda hit, call, record: b"null"), "number": spoilt(lambda hit, call, record: b"5"),
            "text": spoilt(lambda hit, call, record: b'"a call"'), "list": spoilt(lambda hit, call, record: b"[[]]"),
            "envelope": enveloped(_as_object)},
    "V18": {"spaces": valued("phone", "+91 98765 43210"), "no-plus": valued("phone", "919876543210"),
            "tel": valued("phone", "tel:+919876543210"), "sip": valued("phone", "sip:+919876543210@pbx.example"),
            "anonymous": valued("phone", "anonymous"), "empty": valued("phone", "")},
    "V19": {name: valued("name", text) for name, text in TEXTS.items()},
    "V20": {"key": spoilt(_echoed)},
}  # fmt: skip
