"""Ringg's call history → pages and columns. Its page: Get Call History, https://docs.ringg.ai."""

from datetime import datetime, timedelta

from etl import fields
from etl.extractors._envelope import check_position, count, page
from etl.fields.turns import turns
from etl.fields.vocabulary import DIRECTIONS, OUTCOMES, lookup
from etl.model import DateFilter, Field, HttpRequest, Page, PageRequest, Paging, Provider, RecordContext, ResponseBody

SECOND = timedelta(seconds=1)


def ask(a: PageRequest) -> HttpRequest:
    """Both dates and the limit are always sent: the published API has stale defaults for the dates, and 10 rows."""
    # Shown instants may be cut to the second, so what is asked reaches over the window on both sides.
    start, end = a.window.start.replace(microsecond=0), (a.window.end + 2 * SECOND - timedelta(microseconds=1))
    dates = {"start_date": start.isoformat(), "end_date": end.replace(microsecond=0).isoformat()}
    return HttpRequest("/calling/history", {**dates, "limit": str(a.size), "offset": str(a.position)})


def read(a: PageRequest, body: ResponseBody) -> Page:
    """``total`` may be the word "many"; ``limit`` is the size in force, which the server may clamp.

    The documented example says 123 of everything beside one call: where ``count`` is wrong, ``offset`` proves nothing.
    """
    found = page(body, "calls", body.get("total"), body.get("limit"))
    if count(body.get("count")) in (None, len(found.records)):
        check_position(body.get("offset"), a.position)
    return found


def _is_voicemail(reading: RecordContext) -> bool:
    said = fields.is_true(reading.record.get("voicemail_detected"))
    return said or lookup(OUTCOMES, reading.record.get("sub_status")) == "voicemail"


def _outcome(reading: RecordContext) -> str:
    """Voicemail, then the sub-status, then the status: a sub-status nobody knows decides nothing."""
    status, detail = fields.status_outcome(reading, "status"), fields.word_at(reading, "sub_status", OUTCOMES)
    if _is_voicemail(reading):
        return "voicemail"
    is_stale = detail == "in_progress" and reading.row["is_live"] is False
    return detail if detail not in (None, "unknown") and not is_stale else status or "unknown"


def _from_number(reading: RecordContext) -> str | None:
    """``inbound_from`` of a call that came in; of one that went out the only element of ``from_numbers``, if one."""
    record, direction = reading.record, reading.row["direction"]
    caller, several = record.get("inbound_from"), record.get("from_numbers")
    ours = several[0] if isinstance(several, list) and len(several) == 1 else None
    said = {"inbound": caller, "outbound": ours, "unknown": caller or ours}.get(direction)
    reading.extra_paths += [path for path in ("inbound_from", "from_numbers") if record.get(path) not in (said, [said])]
    return fields.number_of(reading, "inbound_from" if said is caller else "from_numbers", said)


def _ended_at(reading: RecordContext) -> datetime | None:
    """There is no end time: the last attempt and the duration give an estimate of one, once the call is over."""
    started_at, duration = reading.row["started_at"], reading.row["duration_seconds"]
    if started_at is None or duration is None or reading.row["is_live"] or duration > fields.LONGEST_CALL:
        return None
    ended_at: datetime = started_at + timedelta(microseconds=int(duration * 1_000_000))
    return ended_at


def _duration_basis(reading: RecordContext) -> str | None:
    if reading.row["duration_seconds"] is None:
        return None
    return "provider" if reading.row["ended_at"] is None else "estimate"


def _is_charged(reading: RecordContext) -> bool:
    """Cost and transcript still come while the credits are not processed; most records do not say."""
    return not fields.is_false(reading.record.get("credits_processed"))


COLUMNS = {
    "provider_status": fields.text("status"),
    "is_live": fields.live("status"),
    "direction": fields.one_of("call_type", DIRECTIONS),
    "outcome": Field(("status", "sub_status", "voicemail_detected"), _outcome),
    "is_final": fields.all_of(fields.is_over, _is_charged),
    "agent_id": fields.text("agent.id"),
    "agent_name": fields.text("agent.agent_name"),
    "from_number": Field(("inbound_from", "from_numbers"), _from_number),
    "to_number": fields.phone_number("to_number"),
    "customer_name": fields.text("name"),
    "started_at": fields.utc("call_attempt_time"),
    "duration_seconds": fields.seconds("call_duration"),
    "ended_at": Field((), _ended_at),
    "duration_basis": Field((), _duration_basis),
    "cost": fields.money("call_cost"),
    "answered_by": Field((), lambda reading: "machine" if _is_voicemail(reading) else "unknown"),
    "recording_url": fields.text("audio_recording"),
}


def credential(key: str) -> tuple[str, str]:
    """The header that carries the key."""
    return "X-API-KEY", key


PROVIDER = Provider(
    name="ringg",
    title="Ringg",
    base_url="https://prod-api.ringg.ai/ca/api/v0",
    credential=credential,
    cost_unit="credits",
    page_size=100,
    paging=Paging.ROWS,
    date_filter=DateFilter.INSTANTS,
    ask=ask,
    read=read,
    call_id=fields.identity("id"),
    created_at=fields.utc("created_at"),
    columns=COLUMNS,
    turns=turns("transcript"),
    extra=frozenset({"agent.agent_version_id", "agent.orchestration_mode", "credits_processed", "currency"}),
)
