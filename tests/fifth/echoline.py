"""Echoline's calls → pages and columns: a fifth provider, as small as one can be."""

from etl import fields
from etl.extractors._envelope import check_position, page
from etl.fields.turns import turns
from etl.fields.vocabulary import DIRECTIONS
from etl.model import DateFilter, HttpRequest, Page, PageRequest, Paging, Provider, ResponseBody


def ask(request: PageRequest) -> HttpRequest:
    """One page of the whole list."""
    return HttpRequest("/v1/calls", {"page": str(request.position), "per_page": str(request.size)})


def read(request: PageRequest, body: ResponseBody) -> Page:
    """The items and their total."""
    check_position(body.get("page"), request.position)
    return page(body, "items", body.get("count"), body.get("per_page"))


PROVIDER = Provider(
    name="echoline",
    title="Echoline",
    base_url="https://api.echoline.example",
    credential=lambda key: ("X-Echo-Key", key),
    cost_unit="EUR",
    page_size=50,
    paging=Paging.PAGES,
    date_filter=DateFilter.NONE,
    ask=ask,
    read=read,
    call_id=fields.identity("uuid"),
    created_at=fields.utc("started"),
    columns={
        "provider_status": fields.text("state"),
        "is_live": fields.is_live("state"),
        "outcome": fields.outcome("state"),
        "is_final": fields.all_of(fields.is_over, needs=("is_live",)),
        "direction": fields.one_of("way", DIRECTIONS),
        "from_number": fields.phone_number("from"),
        "to_number": fields.phone_number("to"),
        "duration_seconds": fields.seconds("length"),
        "duration_basis": fields.constant("provider", where="duration_seconds"),
        "cost": fields.money("price"),
    },
    turns=turns("talk"),
    extra=frozenset({"node"}),
)
