"""Ravan's (Agni's) phone history → pages and columns. Documented as "Phone Call History" at https://docs.ravan.ai."""

from decimal import Decimal

from etl import fields
from etl.extractors._envelope import check_phone, check_position, page, rows_before
from etl.fields.turns import turns
from etl.fields.vocabulary import DIRECTIONS, MAX_WORD_LENGTH, OUTCOMES, lookup, normalize
from etl.model import (
    DateFilter,
    Field,
    HttpRequest,
    InvalidResponse,
    Page,
    PageRequest,
    Paging,
    Provider,
    RecordContext,
    ResponseBody,
)

PARTS = ("twilio_cost", "model_cost")
CHANNELS = {**DIRECTIONS, **dict.fromkeys(("phone", "voice", "sip"), "unknown")}
# How a disconnect reason starts: user_hangup, agent_hangup, max_duration_reached, …
ENDED_BY = {
    **dict.fromkeys(("user", "customer", "caller"), "customer"),
    **dict.fromkeys(("agent", "assistant", "bot"), "agent"),
    **dict.fromkeys(("system", "timeout", "error", "maxduration"), "system"),
}


def ask(request: PageRequest) -> HttpRequest:
    """Calls of one of the organisation's numbers; transcripts are included on request only."""
    size = {"page": str(request.position), "page_size": str(request.size)}
    return HttpRequest(
        "/api/v1/calling/phone-history", {"phone": request.partition, **size, "include_transcripts": "true"}
    )


def read(request: PageRequest, body: ResponseBody) -> Page:
    """``success: false`` under HTTP 200 is an error."""
    if fields.is_false(body.get("success")):
        raise InvalidResponse("the response says that the request failed")
    check_position(body.get("page"), request.position)
    check_phone(body.get("phone"), request.partition)
    return page(body, "calls", body.get("total_count"), body.get("page_size"), before=rows_before(request))


def _direction(context: RecordContext) -> str:
    """No field gives it: the side with the organisation's own number decides, else the channel."""
    row, phones = context.row, context.source.partitions
    ours = (row["from_number"] in phones, row["to_number"] in phones)
    if ours[0] != ours[1]:
        return "outbound" if ours[0] else "inbound"
    return fields.word_at(context, "channel", CHANNELS) or "unknown"


def _has_ended(context: RecordContext) -> bool:
    return context.row["ended_at"] is not None


def _ended_by(context: RecordContext) -> str:
    reason = context.record.get("disconnect_reason")
    if fields.is_unset(reason) or lookup(OUTCOMES, reason) not in (None, "failed"):
        return "unknown"
    if not isinstance(reason, str):
        fields.flag_wrong_type(context, "disconnect_reason", reason)
        return "unknown"
    word = normalize(reason[:MAX_WORD_LENGTH])
    found = next((who for start, who in ENDED_BY.items() if word.startswith(start)), "")
    found = "system" if "timeout" in word else found
    if not found and not lookup(OUTCOMES, reason):
        fields.flag_unknown_value(context, "disconnect_reason", reason)
    return found or "unknown"


_cost, _stated_duration = fields.money("cost_total"), fields.seconds("duration_sec")
_measured = fields.between("started_at", "ended_at")


def _checked_cost(context: RecordContext) -> Decimal | None:
    """The total as sent, with a flag where it differs from the sum of its parts."""
    total: Decimal | None = _cost.read(context)
    parts = [part for name in PARTS if (part := fields.decimal_of(context.record.get(name))) is not None]
    if total is not None and len(parts) == len(PARTS) and total != sum(parts):
        context.flags.append("cost_total_differs")
    return total


def _checked_duration(context: RecordContext) -> Decimal | None:
    stated, measured = _stated_duration.read(context), _measured.read(context)
    if stated is not None and measured is not None and abs(stated - measured) > 2:
        context.flags.append("duration_differs")
    return stated  # type: ignore[no-any-return]


COLUMNS: dict[str, Field] = {
    "provider_status": fields.name("status"),
    "is_live": fields.is_live("status"),
    "outcome": fields.outcome("status"),
    "agent_id": fields.name("agent_id"),
    "agent_name": fields.name("agent_name"),
    "from_number": fields.phone_number("caller_number"),
    "to_number": fields.phone_number("callee_number"),
    "direction": Field((), _direction, needs=("from_number", "to_number")),
    "customer_name": fields.name("caller_name"),
    "customer_email": fields.name("caller_email"),
    "started_at": fields.utc("started_at"),
    "ended_at": fields.utc("ended_at"),
    "is_final": fields.all_of(fields.is_over, _has_ended, needs=("is_live", "ended_at")),
    "duration_seconds": Field(("duration_sec",), _checked_duration, needs=_measured.needs),
    "duration_basis": fields.constant("provider", where="duration_seconds"),
    "cost": Field(("cost_total",), _checked_cost),
    "costs": fields.costs(*PARTS, credits="credit_breakdown"),
    "ended_by": Field((), _ended_by),
    "recording_url": fields.text("recording_url"),
    "error_message": fields.text("error_message"),
    "latency_ms": fields.number("call_latency_ms"),
    "analysis": fields.json("post_call_analysis_result"),
    "summary": fields.in_analysis(*fields.SUMMARY, otherwise="summary"),
    "metadata": fields.json("metadata"),
}


PROVIDER = Provider(
    name="ravan",
    title="Ravan",
    base_url="https://api.ravan.ai",
    credential=lambda key: ("X-Api-Key", key),
    cost_unit="unknown",  # not documented
    page_size=100,
    paging=Paging.PAGES,
    date_filter=DateFilter.NONE,
    ask=ask,
    read=read,
    call_id=fields.identity("id"),
    created_at=fields.utc("created_at"),
    columns=COLUMNS,
    turns=turns("transcripts"),
    extra=frozenset({"channel", "disconnect_reason", "organization_id"}),
    is_partitioned=True,
)
