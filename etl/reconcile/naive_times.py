"""Stored payloads → whether a provider's times without an offset are of the configured zone, or of which. No requests.

Evidence is what the provider itself sent, read under each zone in question, never what is stored: a turn's absolute
time lies within its call, nothing had happened after its response came, and a change not before the response without
it.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from etl.db.statements import Statements, fetch_all
from etl.decode import decode, read_record
from etl.extractors import providers
from etl.loader import raw
from etl.loader.raw import PayloadVersion
from etl.model import Call, InvalidResponse, Provider, RecordContext, Source, TranscriptNotReady
from etl.transformer import read_identity, transform_record

SQL = Statements("calls")
ZONES = (  # of several that fit, the first of those nearest to the configured one is named
    "UTC", "Asia/Kolkata", "Europe/London", "Europe/Berlin", "America/New_York", "America/Los_Angeles", "Asia/Dubai",
    "Asia/Singapore", "Australia/Sydney", "Pacific/Pago_Pago", "Pacific/Honolulu", "America/Anchorage",
    "America/Denver", "America/Phoenix", "America/Chicago", "America/Mexico_City", "America/Bogota", "America/Halifax",
    "America/La_Paz", "America/St_Johns", "America/Sao_Paulo", "America/Noronha", "Atlantic/Cape_Verde",
    "Africa/Lagos", "Europe/Athens", "Africa/Johannesburg", "Europe/Istanbul", "Asia/Tehran", "Asia/Kabul",
    "Asia/Karachi", "Asia/Kathmandu", "Asia/Dhaka", "Asia/Yangon", "Asia/Bangkok", "Asia/Tokyo", "Australia/Adelaide",
    "Australia/Darwin", "Australia/Brisbane", "Pacific/Noumea", "Pacific/Auckland", "Pacific/Tongatapu",
    "Pacific/Kiritimati",
)  # fmt: skip
FAR = ("Pacific/Kiritimati", "Pacific/Pago_Pago")  # what fits even these says nothing
FEW = 3  # calls that contradict a zone by mistake
SHARE = 0.9  # of the calls that say anything must fit
TOLERANCE = timedelta(minutes=15)  # of clocks, and of lists that show a change late
VERSIONS = 5  # of a call, the newest
TIMES = ("created_at", "started_at", "answered_at", "ended_at", "updated_at")
OUTSIDE = "turn_time_outside_call"


class NaiveTimes(NamedTuple):
    """Whether some times have no offset, and what speaks against the configured zone."""

    has_any: bool
    warning: str | None = None


class _Version(NamedTuple):
    received_at: datetime
    record: Mapping[str, Any] | None  # none: the answer to a request for the transcript
    payload: bytes


def measured(connection: Connection, source: Source) -> NaiveTimes:
    """Hold the configured zone against some calls of each of the last twelve months."""
    provider, values = providers()[source.provider], {"source": source.name}
    keys = [row.call_key for row in fetch_all(connection, SQL.sample_of_a_year, values)]
    calls = [_read(versions) for versions in raw.versions(connection, keys).values()]
    naive = [versions for versions in calls if _is_naive(provider, source, versions)]
    if not naive:
        return NaiveTimes(has_any=False)
    by_zone = {name: [_fits(provider, _in(source, name), each) for each in naive] for name in FAR}
    fits = [_fits(provider, source, each) for each in naive]
    silent = [all(answers) for answers in zip(fits, *by_zone.values(), strict=True)]
    decisive = [each for each, is_silent in zip(naive, silent, strict=True) if not is_silent]
    if sum(not fit for fit in fits) < FEW:
        return NaiveTimes(has_any=True)
    found = _best(provider, source, decisive)
    return NaiveTimes(has_any=True, warning=found and _said(source, found))


def _best(provider: Provider, source: Source, calls: Sequence[Sequence[_Version]]) -> str | None:
    """The zone that fits nearly all calls, unless the configured one fits about as many."""
    counts = {name: sum(_fits(provider, _in(source, name), each) for each in calls) for name in ZONES}
    most, own = max(counts.values()), sum(_fits(provider, source, each) for each in calls)
    if own >= SHARE * most or most - own < FEW or most < SHARE * len(calls):
        return None
    at = calls[0][-1].received_at
    return min(
        (name for name in ZONES if counts[name] == most),
        key=lambda name: abs(_offset(ZoneInfo(name), at) - _offset(source.timezone, at)),
    )


def _in(source: Source, zone: str) -> Source:
    return replace(source, timezone=ZoneInfo(zone))


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta(0)


def _read(versions: Sequence[PayloadVersion]) -> list[_Version]:
    found = []
    for version in versions[-VERSIONS:]:
        with suppress(InvalidResponse):
            record = read_record(version.payload)[0] if version.kind == "call" else None
            found.append(_Version(version.received_at, record, version.payload))
    return found


def _is_naive(provider: Provider, source: Source, versions: Sequence[_Version]) -> bool:
    """Whether a call's time depends on the zone."""
    records = [version.record for version in versions if version.record is not None]
    times = {read_identity(provider, _in(source, zone), records[-1]).row["created_at"] for zone in FAR if records}
    return len(times) > 1


def _fits(provider: Provider, source: Source, versions: Sequence[_Version]) -> bool:
    """Whether all that is known of a call can be true in the source's zone."""
    call: Call | None = None
    before: tuple[Call, datetime] | None = None
    for version in versions:
        if version.record is None:
            if call and not _holds_transcript(provider, source, call, version.payload):
                return False
            continue
        found = transform_record(provider, read_identity(provider, source, version.record))
        if not isinstance(found, Call):
            continue
        call, row = found, found.columns
        is_late = any(row[name] and row[name] > version.received_at + TOLERANCE for name in TIMES)
        if OUTSIDE in row["quality_flags"] or is_late or (before and _is_early(row, *before)):
            return False
        before = call, version.received_at
    return True


def _is_early(row: Mapping[str, Any], before: Call, received_at: datetime) -> bool:
    """Whether a change is older than a response without it."""
    changed = [row[name] for name in ("ended_at", "updated_at") if row[name] != before.columns[name]]
    return any(at and at < received_at - TOLERANCE for at in changed)


def _holds_transcript(provider: Provider, source: Source, call: Call, payload: bytes) -> bool:
    context = RecordContext(source, {}, call.provider_call_id, {**call.columns})
    with suppress(InvalidResponse, TranscriptNotReady):
        if provider.transcript:
            provider.transcript.read(context, decode(payload))
    return OUTSIDE not in context.flags


def _said(source: Source, zone: str) -> str:
    return (
        f"the provider writes times without an offset in {zone}, not in {source.timezone.key}: set "
        f'timezone = "{zone}" for this source in etl.toml, then run `etl replay {source.name}`'
    )
