"""Autocalls' list of calls → pages and columns. Its page: List calls, https://docs.autocalls.ai.

Famulor and other resellers serve the same API from hosts of their own.
"""

from datetime import timedelta

from etl import fields
from etl.extractors._envelope import check_position, page
from etl.fields.turns import turns
from etl.fields.vocabulary import ANSWERED_BY, DIRECTIONS
from etl.model import DateFilter, Field, HttpRequest, Page, PageRequest, Paging, Provider, RecordContext, ResponseBody

DAY = timedelta(days=1)


def ask(a: PageRequest) -> HttpRequest:
    """Whole days, of a time zone that nobody states: one more is asked for on each side."""
    first, last = (end.astimezone(a.source.timezone) for end in (a.window.start - DAY, a.window.end + DAY))
    days = {"date_from": first.date().isoformat(), "date_to": last.date().isoformat()}
    return HttpRequest("/user/calls", {**days, "per_page": str(a.size), "page": str(a.position)})


def read(a: PageRequest, body: ResponseBody) -> Page:
    """``next_page_url`` says only whether there is a next page: it would drop the filters."""
    check_position(body.get("current_page"), a.position)
    is_last = body.get("next_page_url") is None if "next_page_url" in body else None
    return page(body, "data", body.get("total"), body.get("per_page"), is_last)


def _outcome(reading: RecordContext) -> str:
    """A machine that answered is a voicemail, unless there was a talk after all."""
    status = fields.status_outcome(reading, "status") or "unknown"
    return "voicemail" if reading.row["answered_by"] == "machine" and status != "completed" else status


def _ended_by(reading: RecordContext) -> str:
    status = fields.meaning_of(reading, "status", {"endedbycustomer": "customer", "endedbyassistant": "agent"})
    return status or "unknown"


def _number(inbound: str, outbound: str) -> Field:
    """The number of the customer or the agent, which stay who they are whichever way the call went."""

    def read_number(reading: RecordContext) -> str | None:
        column = {"inbound": inbound, "outbound": outbound}.get(reading.row["direction"])
        found: str | None = reading.row[column] if column else None
        return found

    return Field((), read_number)


COLUMNS = {
    "provider_status": fields.text("status"),
    "is_live": fields.live("status"),
    "is_final": fields.all_of(fields.is_over),
    "answered_by": fields.one_of("answered_by", ANSWERED_BY),
    "outcome": Field(("status",), _outcome),
    "ended_by": Field((), _ended_by),
    "direction": fields.one_of("type", DIRECTIONS),
    "agent_name": fields.text("assistant_name"),  # rows carry names, no ids
    "campaign_name": fields.text("campaign_name"),
    "customer_number": fields.phone_number("client_phone_number"),
    "agent_number": fields.phone_number("assistant_phone_number"),
    "from_number": _number(inbound="customer_number", outbound="agent_number"),
    "to_number": _number(inbound="agent_number", outbound="customer_number"),
    "updated_at": fields.utc("updated_at"),
    "duration_seconds": fields.seconds("duration"),
    "duration_basis": fields.constant("provider", where="duration_seconds"),
    "cost": fields.money("total_cost"),
    "costs": fields.costs("carrier_cost"),
    "recording_url": fields.text("recording_url"),
    "analysis": fields.json("evaluation"),
    "metadata": fields.json("variables"),
}


def credential(key: str) -> tuple[str, str]:
    """The header that carries the key."""
    return "Authorization", f"Bearer {key}"


PROVIDER = Provider(
    name="autocalls",
    title="Autocalls",
    base_url="https://app.autocalls.ai/api",
    credential=credential,
    cost_unit="USD",
    page_size=100,
    paging=Paging.PAGES,
    date_filter=DateFilter.DAYS,
    ask=ask,
    read=read,
    call_id=fields.identity("id"),
    created_at=fields.utc("created_at"),
    columns=COLUMNS,
    turns=turns("transcript"),
    extra=frozenset({"webhook_response"}),
)
