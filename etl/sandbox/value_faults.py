"""Faults of the values in single records, as effects: the V rows of the catalogue."""

import json
from collections.abc import Callable, Mapping, Sequence

from etl.sandbox.effect import Effect, FaultFiring
from etl.sandbox.http_faults import with_envelope, with_list
from etl.sandbox.http_messages import JsonObject, to_json
from etl.sandbox.simulated_call import SimulatedCall

# The key of each provider's record for a part of it, in the order of PARTS.
PARTS = ("id", "cost", "duration", "time", "name", "status", "phone", "transcript", "object")
RECORD_KEYS = {
    "ringg": "id call_cost call_duration created_at name status to_number transcript agent",
    "ravan": "id cost_total duration_sec created_at caller_name status callee_number transcripts metadata",
    "autocalls": "id total_cost duration created_at assistant_name status client_phone_number transcript variables",
    "vaani": "call_id call_cost duration_ms Start_time agent_name call_status to_number chat_history call_metadata",
}
KEYS = {provider: dict(zip(PARTS, keys.split(), strict=True)) for provider, keys in RECORD_KEYS.items()}
MARK = "\u2063replaced\u2063"
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


def with_value(part: str, value: object) -> Effect:
    """Records with this value for a part."""
    return corrupted(lambda firing, call, record: record | {KEYS[firing.vendor.name][part]: value})


def values(part: str, variants: Mapping[str, object]) -> dict[str, Effect]:
    """One variant for each of these values."""
    return {name: with_value(part, value) for name, value in variants.items()}


def literals(part: str, variants: Mapping[str, str]) -> dict[str, Effect]:
    """One variant for each of these texts, which are written as they are, valid JSON or not."""

    def with_literal(text: str) -> Effect:
        return corrupted(lambda firing, call, record: _splice(record, KEYS[firing.vendor.name][part], text))

    return {name: with_literal(text) for name, text in variants.items()}


def instead(text: bytes) -> Effect:
    """This text in place of records."""
    return corrupted(lambda firing, call, record: text)


def corrupted(change: Callable[[FaultFiring, SimulatedCall, JsonObject], object]) -> Effect:
    """One record in `in` (10 by default) changed: always the same ones."""

    def record(firing: FaultFiring, call: SimulatedCall, body: bytes) -> bytes:
        if call.shape("spoilt", firing.number("in", 10)) != 0:
            return body
        changed = change(firing, call, json.loads(body))
        return changed if isinstance(changed, bytes) else to_json(changed)

    return Effect(record=record)


def mixed(fault_id: str, variants: Sequence[Effect]) -> Effect:
    """All variants that change records, one for each call, always the same one."""
    records = [variant.record for variant in variants if variant.record]
    return Effect(record=lambda firing, call, body: records[call.shape(fault_id, len(records))](firing, call, body))


def _splice(record: JsonObject, key: str, text: str) -> bytes:
    return to_json(record | {key: MARK}).replace(to_json(MARK), text.encode("utf-8", "surrogatepass"))


def _without_field(part: str) -> Effect:
    return corrupted(lambda firing, call, record: {k: record[k] for k in record if k != KEYS[firing.vendor.name][part]})


def converted(part: str, convert: Callable[[str], object]) -> Effect:
    """Records whose part is converted, from its text."""

    def change(firing: FaultFiring, call: SimulatedCall, record: JsonObject) -> JsonObject:
        key = KEYS[firing.vendor.name][part]
        return record | {key: convert(str(record[key]))}

    return corrupted(change)


def _long_text(firing: FaultFiring, call: SimulatedCall, record: JsonObject) -> JsonObject:
    text = TURN_LABELS[firing.vendor.name] + "word " * (firing.number("size", 1_000_000) // 5)
    value: object = [{"role": "user", "content": text}] if firing.vendor.name == "vaani" else text
    return record | {KEYS[firing.vendor.name]["transcript"]: value}


def _many_turns(firing: FaultFiring, call: SimulatedCall, record: JsonObject) -> JsonObject:
    turns = [{"role": "user", "content": f"turn {n}"} for n in range(firing.number("size", 1_000_000) // 40)]
    return record | {KEYS[firing.vendor.name]["transcript"]: turns}


def _nested(firing: FaultFiring, call: SimulatedCall, record: JsonObject) -> bytes:
    depth = firing.number("depth", 1_000)
    return _splice(record, "nested", "[" * depth + "]" * depth)


def _with_id_twice(firing: FaultFiring, call: SimulatedCall, record: JsonObject) -> bytes:
    key = KEYS[firing.vendor.name]["id"]
    return to_json(record)[:-1] + b"," + to_json({key: f"{record[key]}-again"})[1:]


def _with_api_key(firing: FaultFiring, call: SimulatedCall, record: JsonObject) -> JsonObject:
    name, key = KEYS[firing.vendor.name]["name"], firing.vendor.key
    return record | {name: f"debug {key}", "request_headers": {"authorization": f"Bearer {key}"}}


VALUE_EFFECTS: dict[str, dict[str, Effect]] = {
    "V01": values("id", {"null": None, "empty": "", "blank": "  "}) | {"missing": _without_field("id")},
    "V02": {"int": converted("id", lambda text: sum(text.encode()) + 10**9),
            "float": converted("id", lambda text: sum(text.encode()) + 10**9 + 0.0),
            "zeros": converted("id", lambda text: f"00{text}"), "upper": converted("id", str.upper),
            "long": converted("id", lambda text: text + "x" * 10_000)},
    "V03": literals("cost", {"nan": "NaN", "infinity": "Infinity", "minus": "-Infinity"}),
    "V04": literals("cost", {"1e400": "1e400", "1e12nines": "1e999999999999", "1e20nines": "1e99999999999999999999"})
           | literals("duration", {"digits": "9" * 5_000}),
    "V05": values("duration", {"negative": -5, "absurd": 10**12})
           | values("cost", {"negative-cost": -1.5, "comma": "12,50", "rupee": "₹12", "empty": ""}),
    "V06": literals("name", {"nul": '"nul \\u0000 inside"'})
           | {"nul-key": corrupted(lambda firing, call, record: to_json(record)[:-1] + b',"odd\\u0000key":1}')}
           | literals("name", {"surrogate": '"lone \\ud83d surrogate"'})
           | values("name", {"c1": "c1 \x85\x9b controls", "bidi": "bidi \u202eevil\u202c", "emoji": "emoji 🧑‍🚀",
                          "marks": "\ufeff\u200bmarks\u2069"})
           | literals("name", {"escape": '"bad \\x escape"'}),
    "V07": {"text": corrupted(_long_text), "turns": corrupted(_many_turns)},
    "V08": {"nested": corrupted(_nested)},
    "V09": {"doubled": corrupted(_with_id_twice)},
    "V10": literals("time", TIMES),
    "V11": values("time", {"naive": "2026-03-29 02:30:00", "incomplete": "2026-03-08T02:30:00",
                           "offset": "2026-03-29T08:00:00+05:30"}),
    "V12": values("time", {"9999": "9999-12-31T23:59:59Z", "9999-offset": "9999-12-31T23:59:59-05:30"}),
    "V13": {"unknown": with_value("status", "teleported"), "upper": converted("status", str.upper),
            "spaced": converted("status", lambda text: f" {text.replace('_', ' ').replace('-', ' ')} ")},
    "V14": {"new": corrupted(lambda firing, call, record: record | {"ai_confidence": 0.5, "routing": {"hop": [1, 2]}})},
    "V15": {part: _without_field(part) for part in ("name", "cost", "duration", "status")},
    "V16": values("object", {"object-text": "as text", "object-list": [1, "two", None]})
           | {"cost-object": with_value("cost", {"amount": 1}), "status-number": with_value("status", 7)}
           | values("transcript", {"transcript-number": 12, "transcript-object": {"a": ["b"]}})
           | {"time-list": with_value("time", ["2026-04-21"])},
    "V17": {"null": instead(b"null"), "number": instead(b"5"), "text": instead(b'"a call"'), "list": instead(b"[[]]"),
            "envelope": with_envelope(lambda body: with_list(body, {"0": body.get("calls", body.get("data"))}))},
    "V18": values("phone", {"spaces": "+91 98765 43210", "no-plus": "919876543210", "tel": "tel:+919876543210",
                            "whatsapp": "whatsapp:+919876543210", "extension": "+91 98765 43210 ext. 12",
                            "marks": "\u202a+919876543210\u202c", "devanagari": "+९१९८७६५४३२१०",
                            "sip": "sip:+919876543210@pbx.example", "anonymous": "anonymous", "empty": ""}),
    "V19": values("name", TEXTS),
    "V20": {"key": corrupted(_with_api_key)},
}  # fmt: skip
