"""A request for a page → what the books say, as that page."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any
from uuid import UUID

from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from etl.db.engine import sqlstate
from etl.reports.status import status
from etl.runtime.redaction import Redaction
from etl.state import daily_checks
from etl.web import call_search, charts, figures, overview, sync_state
from etl.web.page_context import WebContext
from etl.web.timeline import timeline_events

RUNS = 100


class Pages:
    """The pages that only show; each is a function of a request."""

    def __init__(self, site: WebContext) -> None:
        self._site = site

    def home(self, request: Request) -> Response:
        """All sources at a glance, and the calls of the last days."""
        site, days = self._site, _days(request)
        rows, runs = site.remembered("sources", self._sources)
        cards = overview.cards(rows, runs, site.sources, site.now())
        values: dict[str, Any] = {
            "cards": cards,
            "verdict": overview.headline(cards, site.now()),
            "length": days,
            "ranges": figures.RANGES,
        }
        return self._site.page(request, "home", drawings=self._drawings(days, ""), **values)

    def _sources(self) -> tuple[list[dict[str, Any]], Mapping[str, Any]]:
        rows = status(self._site.reading.engine, [source.name for source in self._site.sources], self._site.now())
        with self._site.reading.open() as connection:
            return rows, sync_state.last_runs(connection, [row["source"] for row in rows])

    def _drawings(self, days: int, source: str) -> list[overview.Drawing] | None:
        """The plots, ``None`` where the database takes too long: the rest of the page is worth having without them."""
        site = self._site

        def ask() -> figures.Figures | None:
            try:
                with site.reading.open() as connection:
                    return figures.figures(connection, site.now(), days, source)
            except DBAPIError as error:
                if sqlstate(error) == call_search.TIMEOUT:
                    return None
                raise

        found = site.remembered(("figures", days, source), ask)
        return None if found is None else overview.drawings(found) if found.calls else []

    def source(self, request: Request) -> Response:
        """One source: what is held of its time, its runs, its drift, its quarantine."""
        site, name, days = self._site, request.path_params["source"], _days(request)
        rows, _ = site.remembered("sources", self._sources)
        row = next((each for each in rows if each["source"] == name), None)
        if row is None:
            raise HTTPException(404, f"There is no source “{name}”.")
        source = next((each for each in site.sources if each.name == name), None)
        zone = source.timezone if source else UTC
        found = site.remembered(("source", name), lambda: self._of_source(name, zone))
        values: dict[str, Any] = {
            "card": overview.card(row, found["runs"], source, site.now(), RUNS),
            "is_retrying": name in site.retrying,
            "length": days,
            "ranges": figures.RANGES,
            "zone": zone,
        }
        return site.page(request, "source", drawings=self._drawings(days, name), **found, **values)

    def _of_source(self, name: str, zone: tzinfo) -> dict[str, Any]:
        now, of_source = self._site.now(), {"source": name}
        with self._site.reading.open() as connection:
            runs = sync_state.last_runs(connection, [name], RUNS).get(name, [])
            span, held = sync_state.coverage(connection, name, now)
            first, last = (at.astimezone(zone).date() for at in (span.start, span.end))
            return {
                "runs": runs,
                "lines": [(phone, charts.timeline(span, *parts), parts[1]) for phone, parts in held.items()],
                "marks": charts.months(span),
                "days": charts.days(span, daily_checks.stored(connection, name, first, last).values(), zone),
                "lists": connection.execute(sync_state.LISTS, of_source).mappings().all(),
                "drift": connection.execute(sync_state.DRIFT, of_source).mappings().all(),
                "reasons": connection.execute(sync_state.REASONS, of_source).mappings().all(),
                "waiting": connection.execute(sync_state.WAITING, of_source).mappings().all(),
            }

    def record(self, request: Request) -> Response:
        """One record in quarantine; its text only for a reader who asked to see people, and without keys even then."""
        with self._site.reading.open() as connection:
            row = (
                connection.execute(sync_state.RECORD, {"number": request.path_params["number"]})
                .mappings()
                .one_or_none()
            )
        if row is None:
            raise HTTPException(404, "There is no such record in quarantine.")
        shown = None
        if self._site.can_view_pii(request):
            keys = [source.api_key for source in self._site.sources]
            shown = Redaction(keys)(bytes(row["payload"]).decode(errors="replace"))
        return self._site.page(request, "record", row=row, payload=shown)

    def calls(self, request: Request) -> Response:
        """The newest calls, or those that a search finds."""
        site, query = self._site, request.query_params
        name, source = query.get("search", ""), query.get("source", "")
        words = site.searches.words(name) if name else ""
        names = [each["source"] for each in site.remembered("sources", self._sources)[0]]
        among = [name for name in names if source in ("", name)]
        found = call_search.search(site.reading, site.deps.clock, words or "", among, _before(query.get("before", "")))
        return site.page(
            request,
            "calls",
            found=found,
            words=words or "",
            is_forgotten=words is None,
            search=name,
            source=source,
            sources=names,
        )

    def call(self, request: Request) -> Response:
        """One call: what was said, what is known, what changed."""
        site, key = self._site, _key(request.path_params["key"])
        found = (
            call_search.one(site.reading, key, site.sources, site.now(), see=site.can_view_pii(request))
            if key
            else None
        )
        if found is None:
            raise HTTPException(404, "There is no such call.")
        details = {name: _pretty(found.row[name]) for name in ("analysis", "metadata", "extra") if found.row[name]}
        return site.page(request, "call", call=found, details=details, story=timeline_events(found.life))


def _days(request: Request) -> int:
    given = request.query_params.get("days", "")
    return int(given) if given in map(str, figures.RANGES) else 30


def _before(given: str) -> tuple[datetime, UUID] | None:
    """The call that a page of calls begins after, as the link to it says."""
    at, _, key = given.partition(" ")
    try:
        moment, found = datetime.fromisoformat(at), UUID(key)
    except ValueError:
        return None
    return (moment, found) if moment.tzinfo and 1970 <= moment.year < 9000 else None


def _key(given: str) -> UUID | None:
    try:
        return UUID(given)
    except ValueError:
        return None


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)[:20_000]
