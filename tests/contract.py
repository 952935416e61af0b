"""A provider file and its folder of recorded pages → what every provider has to hold, the four and any fifth."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from etl.db.engine import as_json
from etl.decode import decode, read_record
from etl.model import Call, Page, PageRequest, Provider, Reject, Source, Window
from etl.runtime.secret import Secret
from etl.transformer import DEFAULTS, read_identity, transform, transform_record

FIXTURES = Path(__file__).parent / "fixtures"
WINDOW = Window(datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 12, 9, 30, 0, 1, tzinfo=UTC))
WORDS: Mapping[str, set[object]] = {
    "direction": {"inbound", "outbound", "web", "unknown"},
    "outcome": {"completed", "no_answer", "busy", "failed", "canceled", "voicemail", "in_progress", "unknown"},
    "answered_by": {"human", "machine", "unknown"},
    "ended_by": {"customer", "agent", "system", "unknown"},
    "duration_basis": {"provider", "timestamps", "estimate", None},
    "is_answered": {True, False},
    "is_live": {True, False, None},
    "is_final": {True, False, None},
}


@dataclass(frozen=True)
class Recording:
    """One recorded page: whose it is, how it was asked for, and the golden rows beside it."""

    provider: Provider
    folder: Path
    case: str

    @property
    def body(self) -> bytes:
        return (self.folder / f"{self.case}.json").read_bytes()

    @property
    def golden(self) -> Path:
        return self.folder / f"{self.case}.golden.json"

    @property
    def source(self) -> Source:
        return source(self.provider, tuple(self._asked().get("phones", ())))

    @property
    def ask(self) -> PageRequest:
        asked = self._asked()[self.case]
        return PageRequest(self.source, WINDOW, asked["position"], asked["size"], asked.get("phone", ""))

    def _asked(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "asked.json").read_bytes()))

    def page(self) -> Page:
        return self.provider.read(self.ask, decode(self.body))


def source(provider: Provider, phones: tuple[str, ...] = (), **settings: Any) -> Source:
    """An account of a provider as it is configured when nothing but a key is."""
    key = Secret("the key of the account")
    return Source(provider.name, provider.name, provider.base_url, key, provider.cost_unit, phones, **settings)


def recordings(provider: Provider, root: Path) -> Iterator[Recording]:
    """The recorded pages of a provider."""
    folder = root / f"{provider.name}.calls"
    for path in sorted(folder.glob("*.json")):
        if path.name != "asked.json" and not path.name.endswith(".golden.json"):
            yield Recording(provider, folder, path.stem)


def holds_golden_rows(recording: Recording) -> None:
    """The recorded page becomes the golden rows; ``ETL_REGENERATE=1`` writes them anew, to be reviewed as a diff."""
    page = recording.page()
    shown = {
        "total": page.total,
        "size": page.size,
        "is_last": page.is_last,
        "calls": [_shown(transform(recording.provider, recording.source, record)) for record in page.records],
    }
    text = json.dumps(shown, indent=1, ensure_ascii=False, default=str) + "\n"
    if os.environ.get("ETL_REGENERATE"):
        recording.golden.write_text(text)
    assert text == recording.golden.read_text()


def _shown(result: Call | Reject) -> dict[str, Any]:
    if isinstance(result, Reject):
        return {"reject": result.reason}
    columns = {name: value for name, value in result.columns.items() if value not in (None, [])}
    turns = [{name: value for name, value in turn._asdict().items() if value is not None} for turn in result.turns]
    drift = [" ".join(each) for each in result.drift]
    return {"provider_call_id": result.provider_call_id, **columns} | {"turns": turns, "drift": drift}


def asks_for_what_is_wanted(provider: Provider) -> None:
    """A request is a path below the base URL, and texts; it names the position and the size, and changes with both."""
    account = source(provider, ("+919876543210",))
    ask = PageRequest(account, WINDOW, 7, 50, "+919876543210")
    request = provider.ask(ask)
    assert request.path.startswith("/")
    assert "?" not in request.path
    assert all(isinstance(value, str) for value in request.query.values())
    assert {"7", "50"} <= set(request.query.values())
    assert provider.ask(PageRequest(account, WINDOW, 8, 50, "+919876543210")) != request
    assert not provider.base_url.endswith("/")
    header, value = provider.credential("k-1")
    assert header
    assert "k-1" in value


def names_every_field(recording: Recording) -> None:
    """Every field of a recorded page is read by a column or named as one for ``extra``; anything else is drift."""
    for record in recording.page().records:
        call = transform(recording.provider, recording.source, record)
        if isinstance(call, Call):
            known = {"hold_seconds", "sentiment_score"}  # new in the recorded pages on purpose
            assert {drift.field for drift in call.drift if drift.kind == "new_field"} <= known


def keeps_what_is_new(recording: Recording) -> None:
    """A field that nobody knows is in ``extra`` and is drift; one that is empty is drift alone."""
    for record in recording.page().records:
        values = {**json.loads(record), "brand_new": {"a": [1]}, "brand_empty": ""}
        call = transform(recording.provider, recording.source, json.dumps(values).encode())
        if isinstance(call, Call):
            assert call.columns["extra"]["brand_new"] == {"a": [1]}
            assert "brand_empty" not in call.columns["extra"]
            assert ("brand_new", "new_field", "object") in call.drift
            assert ("brand_empty", "new_field", "string") in call.drift


def is_indifferent_to_the_order_of_keys(recording: Recording) -> None:
    """The same content in another order of keys and another spelling is the same row and the same digest."""
    for record in recording.page().records:
        turned = json.dumps(dict(reversed(json.loads(record).items())), indent=2).encode()
        assert read_record(turned)[1] == read_record(record)[1]
        one, other = (transform(recording.provider, recording.source, each) for each in (record, turned))
        if isinstance(one, Call) and isinstance(other, Call):
            assert {**one.columns} == {**other.columns}
            assert one.turns == other.turns


def survives(recording: Recording, values: Mapping[str, Any], payload: bytes) -> Call | Reject:
    """Whatever a record holds, it becomes a call whose columns have their types, or a reject that says why."""
    result = transform_record(recording.provider, read_identity(recording.provider, recording.source, values), payload)
    if isinstance(result, Reject):
        assert result.reason
        return result
    assert result.columns.keys() == DEFAULTS.keys()
    for name, value in result.columns.items():
        assert value in WORDS[name] if name in WORDS else _fits(name, value), name
    assert all(turn.text.strip() for turn in result.turns)
    as_json([result.columns[name] for name in ("analysis", "metadata", "extra", "costs")])
    return result


def _fits(name: str, value: Any) -> bool:
    if name == "quality_flags":
        return isinstance(value, list) and value == sorted(set(value))
    if name in ("analysis", "metadata"):
        return value not in ("", [], {})
    if name in ("extra", "costs"):
        return value is None or (isinstance(value, dict) and bool(value))
    if name == "created_at":
        return _is_utc(value)
    if name.endswith("_at"):
        return value is None or _is_utc(value)
    if name in ("duration_seconds", "talk_seconds"):
        return value is None or (isinstance(value, Decimal) and value >= 0)
    if name in ("cost", "latency_ms"):
        return value is None or (isinstance(value, Decimal) and value.is_finite())
    return value is None or (isinstance(value, str) and bool(value.strip()))


def _is_utc(value: object) -> bool:
    return isinstance(value, datetime) and value.utcoffset() == timedelta(0)
