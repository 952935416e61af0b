"""Ringg's call history → pages and columns. Documented as "Get Call History" at https://docs.ringg.ai."""

from datetime import datetime, timedelta

from etl import fields
from etl.extractors._envelope import check_position, count, page
from etl.fields.turns import turns
from etl.fields.vocabulary import DIRECTIONS, OUTCOMES, lookup
from etl.model import DateFilter, Field, HttpRequest, Page, PageRequest, Paging, Provider, RecordContext, ResponseBody

SECOND = timedelta(seconds=1)


def ask(request: PageRequest) -> HttpRequest:
    """Dates and limit are always sent: their defaults are stale dates and 10 rows."""
    # Ringg may cut times to the second: both ends reach beyond the window.
    start, end = request.window.start, request.window.end + 2 * SECOND - timedelta(microseconds=1)
    first, last = (moment.replace(microsecond=0).isoformat() for moment in (start, end))
    position = {"limit": str(request.size), "offset": str(request.position)}
    return HttpRequest("/calling/history", {"start_date": first, "end_date": last, **position})


def read(request: PageRequest, body: ResponseBody) -> Page:
    """``total`` may be "many"; ``offset`` counts only where ``count`` is right: in the documentation both are 123."""
    found = page(body, "calls", body.get("total"), body.get("limit"), before=request.position)
    if count(body.get("count")) in (None, len(found.records)):
        check_position(body.get("offset"), request.position)
    return found


def _is_voicemail(context: RecordContext) -> bool:
    detected = fields.is_true(context.record.get("voicemail_detected"))
    return detected or lookup(OUTCOMES, context.record.get("sub_status")) == "voicemail"


def _outcome(context: RecordContext) -> str:
    """Voicemail, else a transfer, else a known sub-status, else the status."""
    status, detail = fields.status_outcome(context, "status"), fields.word_at(context, "sub_status", OUTCOMES)
    if _is_voicemail(context):
        return "voicemail"
    if "transferred" in (status, detail):
        return "transferred"
    is_stale = detail == "in_progress" and context.row["is_live"] is False
    return detail if detail not in (None, "unknown") and not is_stale else status or "unknown"


def _from_number(context: RecordContext) -> str | None:
    """``inbound_from`` of an inbound call; of an outbound one the only element of ``from_numbers``."""
    record, direction = context.record, context.row["direction"]
    caller, several = record.get("inbound_from"), record.get("from_numbers")
    ours = several[0] if isinstance(several, list) and len(several) == 1 else None
    either = ours if fields.is_unset(caller) else caller
    number = {"inbound": caller, "outbound": ours, "unknown": either}.get(direction)
    paths = ("inbound_from", "from_numbers")
    context.extra_paths += [path for path in paths if record.get(path) not in (number, [number])]
    return fields.number_of(context, paths[number is not caller], number)


def _ended_at(context: RecordContext) -> datetime | None:
    """An estimate: last attempt plus duration, once the call is over."""
    started_at, duration = context.row["started_at"], context.row["duration_seconds"]
    if started_at is None or duration is None or context.row["is_live"] or duration > fields.MAX_CALL_SECONDS:
        return None
    return started_at + timedelta(microseconds=int(duration * 1_000_000))  # type: ignore[no-any-return]


def _duration_basis(context: RecordContext) -> str | None:
    basis = "provider" if context.row["ended_at"] is None else "estimate"
    return basis if context.row["duration_seconds"] is not None else None


def _is_charged(context: RecordContext) -> bool:
    """Cost and transcript can still arrive while ``credits_processed`` is false."""
    return not fields.is_false(context.record.get("credits_processed"))


COLUMNS = {
    "provider_status": fields.name("status"),
    "is_live": fields.is_live("status"),
    "direction": fields.one_of("call_type", DIRECTIONS),
    "outcome": Field(("status", "sub_status", "voicemail_detected"), _outcome, needs=("provider_status", "is_live")),
    "is_final": fields.all_of(fields.is_over, _is_charged, needs=("is_live",)),
    "agent_id": fields.name("agent.id"),
    "agent_name": fields.name("agent.agent_name"),
    "agent_version": fields.name("agent.agent_version_id"),
    "from_number": Field(("inbound_from", "from_numbers"), _from_number, needs=("direction",)),
    "to_number": fields.phone_number("to_number"),
    "customer_name": fields.name("name"),
    "started_at": fields.utc("call_attempt_time"),
    "duration_seconds": fields.seconds("call_duration"),
    "ended_at": Field((), _ended_at, needs=("started_at", "duration_seconds", "is_live")),
    "duration_basis": Field((), _duration_basis, needs=("duration_seconds", "ended_at")),
    "cost": fields.money("call_cost"),
    "answered_by": Field((), lambda context: "machine" if _is_voicemail(context) else "unknown"),
    "recording_url": fields.text("audio_recording"),
}

PROVIDER = Provider(
    name="ringg",
    title="Ringg",
    base_url="https://prod-api.ringg.ai/ca/api/v0",
    credential=lambda key: ("X-API-KEY", key),
    cost_unit="ringg_credits",
    page_size=100,
    paging=Paging.ROWS,
    date_filter=DateFilter.INSTANTS,
    ask=ask,
    read=read,
    call_id=fields.identity("id"),
    created_at=fields.utc("created_at"),
    columns=COLUMNS,
    turns=turns("transcript"),
    extra=frozenset({"agent.orchestration_mode", "credits_processed", "currency"}),
)
