"""A provider and its recorded pages → which rules of the quality scale it meets.

The same rules measure every provider, yours included, and no test runner is needed. :func:`check` gives a
:class:`Result` for each rule, :func:`scale` the level that they add up to, and :func:`require` raises below a level.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

from etl.db.engine import as_json
from etl.decode import decode, read_record
from etl.model import (
    Call,
    Field,
    InvalidResponse,
    Page,
    PageRequest,
    Provider,
    RecordContext,
    Reject,
    TranscriptNotReady,
)
from etl.paging import positions
from etl.testing.recordings import WINDOW, Recording, make_source, recordings, transform
from etl.transformer import DEFAULTS, DERIVED

VALUES: dict[str, set[object]] = {
    "direction": {"inbound", "outbound", "web", "unknown"},
    "outcome": {
        "completed",
        "transferred",
        "no_answer",
        "busy",
        "failed",
        "canceled",
        "voicemail",
        "in_progress",
        "unknown",
    },
    "answered_by": {"human", "machine", "unknown"},
    "ended_by": {"customer", "agent", "system", "unknown"},
    "duration_basis": {"provider", "timestamps", "estimate", None},
    "is_answered": {True, False},
    "is_live": {True, False, None},
    "is_final": {True, False, None},
}
"""The columns that hold one of a few values."""

ODD_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 10**20, 1.5, "", " ", "\x00", "12,50", "completed", "2026-01-01T00:00:00Z", "9" * 600, [], {},
    [None], ["a", {"b": 1}], {"value": {"a": []}}, [[[]]], "[00:00:01] AGENT: a",
)  # fmt: skip
ERRORS: tuple[Any, ...] = ({}, {"message": "secret"}, {"error": {"message": "secret"}}, {"detail": "secret"})


class Level(IntEnum):
    """How well a provider is proved."""

    BRONZE = 1  # its calls load
    SILVER = 2  # what changes at the provider is noticed, and nothing is stored wrongly
    GOLD = 3  # it is proved by what it sends in practice


class Status(StrEnum):
    """What a rule finds."""

    MET = "yes"
    UNMET = "no"
    NOT_APPLICABLE = "n/a"


class Unmet(AssertionError):
    """A provider breaks a rule; the text says how."""


class NotApplicable(Exception):
    """A rule has nothing to measure; the text says why."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What the rules measure."""

    provider: Provider
    recordings: Sequence[Recording]

    def records(self) -> Iterator[tuple[Recording, bytes]]:
        """Each recorded record, with the page that it is from."""
        for recording in self.recordings:
            for record in recording.page().records:
                yield recording, record


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; ``check`` raises :class:`Unmet` or :class:`NotApplicable`."""

    level: Level
    check: Callable[[Subject], None]
    sentence: str

    @property
    def name(self) -> str:
        """The name of its check."""
        return self.check.__name__.removeprefix("_")


@dataclass(frozen=True, slots=True)
class Result:
    """What one rule found, and why it is not met or does not apply."""

    rule: Rule
    status: Status
    reason: str = ""


def check(provider: Provider, folder: Path) -> list[Result]:
    """Measure a provider by every rule, with the recorded pages of a folder."""
    subject = Subject(provider, recordings(provider, folder))
    return [_result(rule, subject) for rule in RULES]


def scale(results: Sequence[Result]) -> Level | None:
    """The highest level of which no rule, and none of a lower level, is unmet."""
    unmet = [result.rule.level for result in results if result.status is Status.UNMET]
    reached = [level for level in Level if all(level < missed for missed in unmet)]
    return max(reached, default=None)


def require(provider: Provider, folder: Path, level: Level) -> None:
    """Raise :class:`Unmet`, with every reason, where a provider does not reach a level."""
    unmet = [result for result in check(provider, folder) if result.status is Status.UNMET]
    reasons = [f"{result.rule.name}: {result.reason}" for result in unmet if result.rule.level <= level]
    if reasons:
        raise Unmet("\n".join(reasons))


def _result(rule: Rule, subject: Subject) -> Result:
    try:
        rule.check(subject)
    except NotApplicable as reason:
        return Result(rule, Status.NOT_APPLICABLE, str(reason))
    except Exception as error:
        said = str(error) if isinstance(error, Unmet) else f"it raises {type(error).__name__}: {error}"
        return Result(rule, Status.UNMET, said)
    return Result(rule, Status.MET)


def _fail_unless(is_met: object, reason: str) -> None:
    if not is_met:
        raise Unmet(reason)


# -- bronze


def _request(subject: Subject) -> None:
    provider = subject.provider
    wanted = _wanted(provider)
    request = provider.ask(wanted)
    _fail_unless(request.path.startswith("/") and "?" not in request.path, "the path has no / at its start, or a query")
    _fail_unless(not provider.base_url.endswith("/"), "the base URL ends in /")
    _fail_unless(all(isinstance(value, str) for value in request.query.values()), "a value of the query is no text")
    _fail_unless({"7", "50"} <= set(request.query.values()), "the query does not carry the position and the size")
    changes: list[dict[str, Any]] = [{"position": 8}, {"size": 51}]
    changes += [{"partition": "+14155550100"}] if provider.is_partitioned else []
    for change in changes:
        _fail_unless(
            provider.ask(replace(wanted, **change)) != request, f"the request is the same for another {change}"
        )


def _wanted(provider: Provider) -> PageRequest:
    partitions = ("+919876543210",) if provider.is_partitioned else ()
    return PageRequest(make_source(provider, partitions), WINDOW, 7, 50, "".join(partitions))


def _auth(subject: Subject) -> None:
    header, value = subject.provider.credential("k-1")
    _fail_unless(header and "k-1" in value, "the header does not carry the key")
    wanted = _wanted(subject.provider)
    request = subject.provider.ask(wanted)
    sent = f"{request.path} {dict(request.query)}"
    _fail_unless(wanted.source.api_key.reveal() not in sent, "the key is part of the address")


def _documented(subject: Subject) -> None:
    cases = {recording.case for recording in subject.recordings}
    _fail_unless("page" in cases, "page.json is not there: the page that the provider documents")


def _golden_rows(subject: Subject) -> None:
    for recording in subject.recordings:
        is_same = recording.golden.exists() and recording.golden.read_text() == recording.golden_text()
        _fail_unless(is_same, f"{recording.case}.json becomes other rows than {recording.golden.name}")


def _any_value(subject: Subject) -> None:
    for recording, record in subject.records():
        fields = json.loads(record)
        for key in fields:
            for value in ODD_VALUES:
                survive(recording, json.dumps({**fields, key: value}).encode())


def survive(recording: Recording, payload: bytes) -> Call | Reject:
    """What a record becomes; raises :class:`Unmet` where that is neither a reject nor a call whose columns fit."""
    result = transform(recording.provider, recording.source, payload)
    if isinstance(result, Reject):
        _fail_unless(result.reason, "a reject has no reason")
        return result
    _fail_unless(result.columns.keys() == DEFAULTS.keys(), "a call has other columns than the table")
    for name, value in result.columns.items():
        _fail_unless(value in VALUES[name] if name in VALUES else _fits(name, value), f"{name} holds {type(value)}")
    _fail_unless(all(turn.text.strip() for turn in result.turns), "a turn has no text")
    as_json([result.columns[name] for name in ("analysis", "metadata", "extra", "costs")])
    return result


def _fits(name: str, value: Any) -> bool:
    if name == "quality_flags":
        return isinstance(value, list) and value == sorted(set(value))
    if name in ("analysis", "metadata"):
        return value not in ("", [], {})
    if value is None:
        return name != "created_at"
    if name in ("extra", "costs"):
        return isinstance(value, dict) and bool(value)
    if name.endswith("_at"):
        return isinstance(value, datetime) and value.utcoffset() == timedelta(0)
    if name in ("duration_seconds", "talk_seconds", "cost", "latency_ms"):
        return isinstance(value, Decimal) and value.is_finite() and (value >= 0 or not name.endswith("_seconds"))
    return isinstance(value, str) and bool(value.strip())


def _error_envelopes(subject: Subject) -> None:
    for recording in subject.recordings:
        received = json.loads(recording.body)
        emptied = {key: None if isinstance(value, list) else value for key, value in received.items()}
        wanted, total = recording.request, recording.page().total
        before = positions.row(recording.provider.paging, wanted.position, wanted.size)
        is_behind = total is not None and total <= before  # there null is an empty list
        for envelope in ERRORS if is_behind else (*ERRORS, emptied):
            try:
                _read(recording, envelope)
            except InvalidResponse as error:
                _fail_unless("secret" not in str(error), "the error shows what the provider sent")
            else:
                raise Unmet(f"{json.dumps(envelope)[:80]} is read as a page")


def _read(recording: Recording, envelope: Any) -> Page:
    return recording.provider.read(recording.request, decode(json.dumps(envelope).encode()))


# -- silver


def _known_fields(subject: Subject) -> None:
    for recording, record in subject.records():
        call = transform(recording.provider, recording.source, record)
        new = {note.field for note in call.drift if note.kind == "new_field"} if isinstance(call, Call) else set()
        unknown = new - set(recording.asked.get("new_fields", ()))
        _fail_unless(not unknown, f"{recording.case}.json has fields that no column and not `extra` names: {unknown}")


def _drift(subject: Subject) -> None:
    for recording, record in subject.records():
        changed = {**json.loads(record), "brand_new": {"a": [1]}, "brand_empty": ""}
        call = transform(recording.provider, recording.source, json.dumps(changed).encode())
        if isinstance(call, Call):
            extra = call.columns["extra"]
            _fail_unless(extra.get("brand_new") == {"a": [1]}, "a new field is not kept in extra")
            _fail_unless("brand_empty" not in extra, "an empty new field is kept in extra")
            notes = {("brand_new", "new_field", "object"), ("brand_empty", "new_field", "string")}
            _fail_unless(notes <= set(call.drift), "a new field is not reported")


def _same_content(subject: Subject) -> None:
    for recording, record in subject.records():
        respelled = json.dumps(dict(reversed(json.loads(record).items())), indent=2).encode()
        _fail_unless(read_record(respelled)[1] == read_record(record)[1], "the content hash depends on the spelling")
        rows = [transform(recording.provider, recording.source, payload) for payload in (record, respelled)]
        is_same = all(isinstance(row, Reject) for row in rows) or _values(rows[0]) == _values(rows[1])
        _fail_unless(is_same, "another order of keys makes another row")


def _values(row: Call | Reject) -> object:
    return (dict(row.columns), row.turns) if isinstance(row, Call) else row


class _WatchedRow(dict[str, Any]):
    """A row that notes which of its columns are read."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        super().__init__(row)
        self.read = set[str]()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)


def _column_order(subject: Subject) -> None:
    provider = subject.provider
    derived = {name: field for name, field in DERIVED.items() if name not in provider.columns}
    columns = {name: _watched(name, field) for name, field in {**provider.columns, **derived}.items()}
    for recording, record in subject.records():
        transform(replace(provider, columns=columns), recording.source, record)


def _watched(name: str, field: Field) -> Field:
    """The same field, which fails where it reads a column that it does not need."""

    def read(context: RecordContext) -> Any:
        row = context.row
        watched = context.row = _WatchedRow(row)
        value = field.read(context)
        context.row, undeclared = row, watched.read - {"created_at", *field.needs}
        _fail_unless(not undeclared, f"{name} reads {', '.join(sorted(undeclared))}, which its `needs` do not name")
        return value

    return replace(field, read=read, inline=None)


def _both_orders(subject: Subject) -> None:
    paging, wanted = subject.provider.paging, _wanted(subject.provider)
    forwards, backwards = [positions.first(paging)], [positions.last(paging, 250, 50)]
    for _ in range(4):
        forwards.append(positions.after(paging, forwards[-1], 50))
        backwards.append(positions.before(paging, backwards[-1], 50))
    requests = [subject.provider.ask(replace(wanted, position=position)) for position in forwards]
    _fail_unless(len({(r.path, *r.query.items()) for r in requests}) == 5, "two pages of a list have one request")
    _fail_unless(forwards == backwards[::-1], "a list has other pages from its end than from its beginning")
    for recording, record in subject.records():
        row = transform(recording.provider, recording.source, record)
        is_sortable = isinstance(row, Reject) or _fits("created_at", row.columns["created_at"])
        _fail_unless(is_sortable, "a row has no time to be sorted by")


# -- gold


def _seen_shapes(subject: Subject) -> None:
    cases = {recording.case for recording in subject.recordings} - {"page"}
    _fail_unless(cases, "no page but the documented one is recorded")


def _foreign_page(subject: Subject) -> None:
    for recording in subject.recordings:
        wanted = recording.request
        try:
            recording.provider.read(replace(wanted, position=wanted.position + 1), decode(recording.body))
        except InvalidResponse:
            return
    raise Unmet("the page of another position is taken")


def _list_length(subject: Subject) -> None:
    pages = [recording.page() for recording in subject.recordings]
    is_said = any(page.total is not None or page.is_last is not None for page in pages)
    _fail_unless(is_said, "no page says the total, or whether it is the last")


def _detail_request(subject: Subject) -> None:
    transcript = subject.provider.transcript
    if transcript is None:
        raise NotApplicable("the transcript is part of the record")
    path = transcript.ask("../x?y#z").path
    rows = [row for recording in subject.recordings for row in recording.rows() if isinstance(row, Call)]
    context = RecordContext(subject.recordings[0].source, {}, rows[0].provider_call_id, dict(rows[0].columns))
    _fail_unless("../x" not in path and not {"?", "#"} & set(path), "an id leaves its segment of the path")
    for envelope in ERRORS:
        try:
            transcript.read(context, decode(json.dumps(envelope).encode()))
        except (InvalidResponse, TranscriptNotReady):
            continue
        raise Unmet(f"{envelope} is read as a transcript")


BRONZE, SILVER, GOLD = Level
RULES = (
    Rule(BRONZE, _request, "A request is a path and texts, and changes with position, size and partition"),
    Rule(BRONZE, _auth, "The key travels in a header, never in the address"),
    Rule(BRONZE, _documented, "The page that the provider documents is recorded"),
    Rule(BRONZE, _golden_rows, "Each recorded page becomes its golden rows"),
    Rule(BRONZE, _any_value, "Any value in any field gives a valid row, or a reject with its reason"),
    Rule(BRONZE, _error_envelopes, "An error body is an error, never an empty page"),
    Rule(SILVER, _known_fields, "Each field of a recorded page is read or listed in `extra`"),
    Rule(SILVER, _drift, "A new field is kept and reported"),
    Rule(SILVER, _same_content, "The order of keys and the spelling of JSON change neither row nor hash"),
    Rule(SILVER, _column_order, "A column reads only the columns that it `needs`, and they are read before it"),
    Rule(SILVER, _both_orders, "A list is paged from either end by the same requests, and sorted by time"),
    Rule(GOLD, _seen_shapes, "Shapes met in practice are recorded beside the documented page"),
    Rule(GOLD, _foreign_page, "A page of another position than was asked for is refused"),
    Rule(GOLD, _list_length, "A page says how long the list is, or that it is the last"),
    Rule(GOLD, _detail_request, "A transcript's own request is safe for any id, and its errors are no transcript"),
)
