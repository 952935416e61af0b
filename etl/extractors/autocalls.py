"""Autocalls' call list → pages and columns. Documented as "List calls" at https://docs.autocalls.ai.

Famulor and other resellers serve the same API from their own hosts.
"""

from datetime import timedelta

from etl import fields
from etl.extractors._envelope import check_position, page, rows_before
from etl.fields.turns import turns
from etl.fields.vocabulary import ANSWERED_BY, DIRECTIONS
from etl.model import DateFilter, Field, HttpRequest, Page, PageRequest, Paging, Provider, RecordContext, ResponseBody

DAY = timedelta(days=1)


def ask(request: PageRequest) -> HttpRequest:
    """Dates are whole days of an undocumented time zone, so one more day is requested on each side."""
    first, last = (
        end.astimezone(request.source.timezone) for end in (request.window.start - DAY, request.window.end + DAY)
    )
    days = {"date_from": first.date().isoformat(), "date_to": last.date().isoformat()}
    return HttpRequest("/user/calls", {**days, "per_page": str(request.size), "page": str(request.position)})


def read(request: PageRequest, body: ResponseBody) -> Page:
    """``next_page_url`` drops the filters, so it only says whether there is another page."""
    check_position(body.get("current_page"), request.position)
    is_last = body.get("next_page_url") is None if "next_page_url" in body else None
    return page(body, "data", body.get("total"), body.get("per_page"), is_last, before=rows_before(request))


def _outcome(context: RecordContext) -> str:
    """A call that a machine answered is a voicemail, unless it was completed or transferred."""
    status = fields.status_outcome(context, "status") or "unknown"
    is_answered = status in ("completed", "transferred")
    return "voicemail" if context.row["answered_by"] == "machine" and not is_answered else status


def _ended_by(context: RecordContext) -> str:
    status = fields.known_word(context, "status", {"endedbycustomer": "customer", "endedbyassistant": "agent"})
    return status or "unknown"


def _customer_name(context: RecordContext) -> str | None:
    """Variables are the account's own: the whole name by a usual key, else its parts."""
    whole, parts = ([found for name in names if (found := name.read(context))] for names in NAMES)
    return whole[0] if whole else " ".join(parts) or None


def _number(inbound: str, outbound: str) -> Field:
    """The number of the customer or of the agent, by the direction of the call."""

    def read_number(context: RecordContext) -> str | None:
        column = {"inbound": inbound, "outbound": outbound}.get(context.row["direction"])
        found: str | None = context.row[column] if column else None
        return found

    return Field((), read_number, needs=("direction", inbound, outbound))


NAMES = [
    [fields.name(f"variables.{key}") for key in keys.split()]
    for keys in ("customer_name name full_name client_name contact_name lead_name", "first_name last_name")
]
COLUMNS = {
    "provider_status": fields.name("status"),
    "is_live": fields.is_live("status"),
    "is_final": fields.all_of(fields.is_over, needs=("is_live",)),
    "answered_by": fields.one_of("answered_by", ANSWERED_BY),
    "outcome": Field(("status",), _outcome, needs=("provider_status", "answered_by")),
    "ended_by": Field((), _ended_by),
    "direction": fields.one_of("type", DIRECTIONS),
    "agent_name": fields.name("assistant_name"),  # rows carry names, no ids
    "campaign_name": fields.name("campaign_name"),
    "customer_number": fields.phone_number("client_phone_number"),
    "agent_number": fields.phone_number("assistant_phone_number"),
    "from_number": _number(inbound="customer_number", outbound="agent_number"),
    "to_number": _number(inbound="agent_number", outbound="customer_number"),
    "customer_name": Field((), _customer_name),
    "updated_at": fields.utc("updated_at"),
    "duration_seconds": fields.seconds("duration"),
    "duration_basis": fields.constant("provider", where="duration_seconds"),
    "cost": fields.money("total_cost"),
    "costs": fields.costs("carrier_cost"),
    "recording_url": fields.text("recording_url"),
    "analysis": fields.json("evaluation"),
    "metadata": fields.json("variables"),
}


PROVIDER = Provider(
    name="autocalls",
    title="Autocalls",
    base_url="https://app.autocalls.ai/api",
    credential=lambda key: ("Authorization", f"Bearer {key}"),
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
