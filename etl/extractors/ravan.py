"""Ravan's (Agni's) phone history → pages and columns. Its page: Phone Call History, https://docs.ravan.ai."""

from decimal import Decimal

from etl import fields
from etl.extractors._envelope import check_phone, check_position, page
from etl.fields.turns import turns
from etl.fields.vocabulary import DIRECTIONS, LONGEST_WORD, OUTCOMES, lookup, normalize
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
# The first letters of a disconnect reason, as seen: user_hangup, agent_hangup, max_duration_reached, …
ENDED_BY = {
    **dict.fromkeys(("user", "customer", "caller"), "customer"),
    **dict.fromkeys(("agent", "assistant", "bot"), "agent"),
    **dict.fromkeys(("system", "timeout", "error", "maxduration"), "system"),
}


def ask(a: PageRequest) -> HttpRequest:
    """Calls of one of the organisation's numbers; without ``include_transcripts`` the transcripts are left out."""
    size = {"page": str(a.position), "page_size": str(a.size)}
    return HttpRequest("/api/v1/calling/phone-history", {"phone": a.partition, **size, "include_transcripts": "true"})


def read(a: PageRequest, body: ResponseBody) -> Page:
    """An error comes as ``success: false`` under HTTP 200."""
    if fields.is_false(body.get("success")):
        raise InvalidResponse("the answer says that the request did not succeed")
    check_position(body.get("page"), a.position)
    check_phone(body.get("phone"), a.partition)
    return page(body, "calls", body.get("total_count"), body.get("page_size"))


def _direction(reading: RecordContext) -> str:
    """There is no field for it: the side that is the organisation's own number tells, else the channel may."""
    row, phones = reading.row, reading.source.partitions
    ours = (row["from_number"] in phones, row["to_number"] in phones)
    if ours[0] != ours[1]:
        return "outbound" if ours[0] else "inbound"
    return fields.word_at(reading, "channel", CHANNELS) or "unknown"


def _ended_by(reading: RecordContext) -> str:
    reason = reading.record.get("disconnect_reason")
    if fields.is_empty(reason) or lookup(OUTCOMES, reason) not in (None, "failed"):
        return "unknown"
    if not isinstance(reason, str):
        fields.flag_wrong_type(reading, "disconnect_reason", reason)
        return "unknown"
    word = normalize(reason[:LONGEST_WORD])
    found = next((who for start, who in ENDED_BY.items() if word.startswith(start)), "")
    found = "system" if "timeout" in word else found
    if not found and not lookup(OUTCOMES, reason):
        fields.flag_unknown_value(reading, "disconnect_reason", reason)
    return found or "unknown"


_cost, _said_duration = fields.money("cost_total"), fields.seconds("duration_sec")
_measured = fields.between("started_at", "ended_at")


def _checked_cost(reading: RecordContext) -> Decimal | None:
    """The total as sent; it is often not the sum of the parts that are shown, and then a flag says so."""
    total: Decimal | None = _cost.read(reading)
    parts = [part for name in PARTS if (part := fields.decimal_of(reading.record.get(name))) is not None]
    if total is not None and len(parts) == len(PARTS) and total != sum(parts):
        reading.flags.append("cost_total_differs")
    return total


def _checked_duration(reading: RecordContext) -> Decimal | None:
    said, measured = _said_duration.read(reading), _measured.read(reading)
    if said is not None and measured is not None and abs(said - measured) > 2:
        reading.flags.append("duration_differs")
    return said  # type: ignore[no-any-return]


COLUMNS: dict[str, Field] = {
    "provider_status": fields.text("status"),
    "is_live": fields.live("status"),
    "outcome": Field(("status",), lambda reading: fields.status_outcome(reading, "status") or "unknown"),
    "agent_id": fields.text("agent_id"),
    "agent_name": fields.text("agent_name"),
    "from_number": fields.phone_number("caller_number"),
    "to_number": fields.phone_number("callee_number"),
    "direction": Field((), _direction),
    "customer_name": fields.text("caller_name"),
    "customer_email": fields.text("caller_email"),
    "started_at": fields.utc("started_at"),
    "ended_at": fields.utc("ended_at"),
    "is_final": fields.all_of(fields.is_over, lambda reading: reading.row["ended_at"] is not None),
    "duration_seconds": Field(("duration_sec",), _checked_duration),
    "duration_basis": fields.constant("provider", where="duration_seconds"),
    "cost": Field(("cost_total",), _checked_cost),
    "costs": fields.costs(*PARTS, credits="credit_breakdown"),
    "ended_by": Field((), _ended_by),
    "recording_url": fields.text("recording_url"),
    "summary": fields.text("summary"),
    "error_message": fields.text("error_message"),
    "latency_ms": fields.number("call_latency_ms"),
    "analysis": fields.json("post_call_analysis_result"),
    "metadata": fields.json("metadata"),
}


def credential(key: str) -> tuple[str, str]:
    """The header that carries the key; a JWT in ``Authorization`` would be the other way, and one is enough."""
    return "X-Api-Key", key


PROVIDER = Provider(
    name="ravan",
    title="Ravan",
    base_url="https://api.ravan.ai",
    credential=credential,
    cost_unit="unknown",  # the page does not say
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
