"""A GET request → the page that answers it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, tzinfo
from typing import Any
from uuid import UUID

from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from etl.db.engine import sqlstate
from etl.db.statements import fetch_all, fetch_one
from etl.reports.source_health import worst_first
from etl.reports.status import SourceStatus, status
from etl.runtime.redaction import Redaction
from etl.state import daily_checks
from etl.web import call_search, charts, overview, sync_state
from etl.web.call_search import FILTERS, CallFilter
from etl.web.daily_totals import OUTCOMES, RANGES, DailyTotals, daily_totals
from etl.web.page_context import WebContext
from etl.web.readonly_db import QUERY_CANCELED
from etl.web.sync_state import STATEMENTS
from etl.web.timeline import timeline_events

RUNS = 100
MOST_CHOICES = 20  # of a filter; more are suggested while somebody types
DIRECTIONS = ("inbound", "outbound", "web", "unknown")
MAX_JSON_LENGTH = 20_000
NO_CALL = "There is no such call."
NO_RECORD = "There is no such record in quarantine."


class Pages:
    """The pages, each a function of a request; none changes anything."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    def home(self, request: Request) -> Response:
        """All sources at a glance, and the calls of the last days; of many sources a list that can be searched."""
        context, days, now = self._context, _days(request), self._context.now()
        assessed = worst_first(self._status_rows(), context.sources, now)
        found, cards = None, list[overview.Card]()
        if len(assessed) > overview.MOST_CARDS:
            found = overview.source_list(assessed, request.query_params)
        else:
            runs = context.cache.get("runs", lambda: self._last_runs([each.row["source"] for each in assessed]))
            cards = [overview.card(each, runs.get(each.row["source"], ()), now) for each in assessed]
        headline = overview.headline(assessed, now)
        return context.render(request, "home", cards=cards, found=found, headline=headline, **self._totals(days, ""))

    def _status_rows(self) -> list[SourceStatus]:
        context = self._context
        return context.cache.get("status", lambda: status(context.db, context.sources, context.now()))

    def _last_runs(self, sources: list[str]) -> dict[str, list[Any]]:
        with self._context.db.connect() as connection:
            return sync_state.last_runs(connection, sources, sync_state.RUNS_ON_CARD)

    def _totals(self, days: int, source: str) -> dict[str, Any]:
        """The charts; ``plots`` is ``None`` if the database takes too long, and the rest of the page still works."""
        found = self._context.cache.get(("totals", days, source), lambda: self._daily_totals(days, source))
        plots = None if found is None else overview.plots(found) if found.calls else []
        return {"plots": plots, "day_count": days, "ranges": RANGES}

    def _daily_totals(self, days: int, source: str) -> DailyTotals | None:
        try:
            with self._context.db.connect() as connection:
                return daily_totals(connection, self._context.now(), days, source)
        except DBAPIError as error:
            if sqlstate(error) == QUERY_CANCELED:
                return None
            raise

    def source(self, request: Request) -> Response:
        """One source: its coverage, runs, schema drift and quarantine."""
        context, name = self._context, request.path_params["source"]
        rows = [row for row in self._status_rows() if row["source"] == name]
        if not rows:
            raise HTTPException(404, f"There is no source “{name}”.")
        (assessed,) = worst_first(rows, context.sources, context.now())
        source = assessed.source
        zone = source.timezone if source else UTC
        state = context.cache.get(("source", name), lambda: self._source_state(name, zone))
        return context.render(
            request,
            "source",
            card=overview.card(assessed, state["runs"], context.now(), RUNS),
            is_retrying=name in context.retrying,
            zone=zone,
            **state,
            **self._totals(_days(request), name),
        )

    def _source_state(self, name: str, zone: tzinfo) -> dict[str, Any]:
        now, source = self._context.now(), {"source": name}
        with self._context.db.connect() as connection:
            span, coverage = sync_state.coverage(connection, name, now)
            first, last = (at.astimezone(zone).date() for at in (span.start, span.end))
            checks = daily_checks.stored(connection, name, first, last).values()
            return {
                "runs": sync_state.last_runs(connection, [name], RUNS).get(name, []),
                "timelines": [
                    (partition, charts.timeline(span, covered, gaps), gaps)
                    for partition, (covered, gaps) in coverage.items()
                ],
                "marks": charts.axis_marks(span),
                "days": charts.days(span, checks, zone),
                "streams": sync_state.call_lists(connection, name),
                "drift": fetch_all(connection, STATEMENTS.drift, source),
                "reasons": fetch_all(connection, STATEMENTS.quarantine_reasons, source),
                "quarantined": fetch_all(connection, STATEMENTS.quarantined, source),
            }

    def record(self, request: Request) -> Response:
        """One quarantined record; its content only where personal data is shown, and even then without keys."""
        number = request.path_params["number"]
        if not number.isdecimal() or len(number) > 18:
            raise HTTPException(404, NO_RECORD)
        with self._context.db.connect() as connection:
            row = fetch_one(connection, STATEMENTS.quarantined_record, {"number": int(number)})
        if row is None:
            raise HTTPException(404, NO_RECORD)
        payload = None
        if self._context.can_view_pii(request):
            redact = Redaction([source.api_key for source in self._context.sources])
            payload = redact(bytes(row.payload).decode(errors="replace"))
        return self._context.render(request, "record", row=row, payload=payload)

    def calls(self, request: Request) -> Response:
        """The newest calls that pass the filters, or those of them that match a search."""
        context, query, rows = self._context, request.query_params, self._status_rows()
        token = query.get("search", "")
        words = context.search_tokens.words(token) if token else ""
        names = [row["source"] for row in rows]
        agents = context.cache.get(("agents", *names), lambda: call_search.agents(context.db, names))
        options = {"source": names, "agent": agents, "outcome": OUTCOMES, "direction": DIRECTIONS}
        chosen = {name: query[name] for name in FILTERS if _is_valid(query.get(name, ""), options.get(name))}
        before = _position(query.get("before", ""))
        calls = replace(_call_filter(chosen, names), zone=context.zone)
        found = call_search.search_calls(context.db, context.deps.clock, words or "", calls, before)
        is_pii_shown = context.can_view_pii(request)
        return context.render(
            request,
            "calls",
            found=found,
            snippets=call_search.snippets(context.db, found, words or "") if is_pii_shown else {},
            total=None if words else self._count(calls, chosen, rows),
            words=words or "",
            has_expired=words is None,
            options=options,
            most_choices=MOST_CHOICES,
            chosen=chosen,
            query=chosen | ({"search": token} if token else {}),
            is_first=before is None,
            hint=call_search.nothing_found(words or "", has_filter=bool(chosen)),
        )

    def _count(self, calls: CallFilter, chosen: Mapping[str, str], rows: Sequence[SourceStatus]) -> int | None:
        """How many calls pass the filters, if that is cheap to find out."""
        if chosen.keys() <= {"source"}:
            return sum(row["calls"] for row in rows if row["source"] in calls.sources)
        context = self._context
        return context.cache.get(calls, lambda: call_search.count_calls(context.db, calls, context.now()))

    def call(self, request: Request) -> Response:
        """One call: its transcript, its details and its history."""
        context, key = self._context, _call_key(request.path_params["key"])
        reveal_pii = context.can_view_pii(request)
        found = call_search.get_call(context.db, key, context.sources, context.now(), reveal_pii=reveal_pii)
        if found is None:
            raise HTTPException(404, NO_CALL)
        fields = {name: getattr(found.row, name) for name in ("analysis", "metadata", "extra")}
        details = {name: _pretty(value) for name, value in fields.items() if value}
        return context.render(request, "call", call=found, details=details, events=timeline_events(found.history))


def _days(request: Request) -> int:
    days = request.query_params.get("days", "")
    return int(days) if days in map(str, RANGES) else 30


def _is_valid(value: str, options: Sequence[str] | None) -> bool:
    """Whether a filter is one of its options, any text where they are many, or a day where it has none."""
    if options is None:
        return _day(value) is not None
    return value in options if len(options) <= MOST_CHOICES else bool(value) and "\0" not in value


def _call_filter(chosen: Mapping[str, str], names: Sequence[str]) -> CallFilter:
    """Of a source that is not one's whole name, all whose names contain it."""
    source = chosen.get("source", "")
    sources = (source,) if source in names else tuple(name for name in names if source.lower() in name.lower())
    days = _day(chosen.get("from", "")), _day(chosen.get("to", ""))
    return CallFilter(sources, chosen.get("agent"), chosen.get("outcome"), chosen.get("direction"), *days)


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 1970 <= day.year < 9000 else None


def _position(text: str) -> tuple[datetime, UUID] | None:
    """The call after which a page of calls begins, from its link."""
    time, _, key = text.partition(" ")
    try:
        at, call_key = datetime.fromisoformat(time), UUID(key)
    except ValueError:
        return None
    return (at, call_key) if at.tzinfo and 1970 <= at.year < 9000 else None


def _call_key(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise HTTPException(404, NO_CALL) from None


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)[:MAX_JSON_LENGTH]
