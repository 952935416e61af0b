"""Settings and a database → the page as an application: routes, the wall before them, and an answer to every error."""

import logging
from collections.abc import Callable, Mapping

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from etl.db.engine import describe, sqlstate
from etl.runtime.crash_report import one_line, stack
from etl.runtime.logs import event
from etl.runtime.urls import Listen
from etl.web.actions import Actions
from etl.web.call_search import TIMEOUT
from etl.web.page_context import WebContext
from etl.web.probes import Probes
from etl.web.security import SecurityMiddleware
from etl.web.templating import HERE
from etl.web.views import Pages

log = logging.getLogger("etl.web")


def application(site: WebContext, listen: Listen) -> ASGIApp:
    """The page, for whoever the wall lets in."""
    doors = Actions(site)
    return SecurityMiddleware(Starlette(routes=_routes(Pages(site), doors, Probes(site).paths()), exception_handlers={
        HTTPException: _Explained(site).missing,
        SQLAlchemyError: _Explained(site).database,
        Exception: _Explained(site).unforeseen,
    }), listen, site.token, site.passes, site.guesses, doors.stranger)  # fmt: skip


def _routes(pages: Pages, doors: Actions, signs: Mapping[str, Callable[[Request], Response]]) -> list[BaseRoute]:
    return [
        Route("/", pages.home),
        Route("/sources/{source}", pages.source),
        Route("/sources/{source}/retry", doors.retry, methods=["POST"]),
        Route("/quarantine/{number:int}", pages.record),
        Route("/calls", pages.calls, methods=["GET"]),
        Route("/calls", doors.search, methods=["POST"]),
        Route("/calls/{key}", pages.call),
        Route("/show", doors.show, methods=["POST"]),
        Route("/login", doors.login, methods=["GET", "POST"]),
        Route("/logout", doors.logout, methods=["POST"]),
        *(Route(path, sign) for path, sign in signs.items()),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]


class _Explained:
    """Errors as pages that say what to do, and show nothing of a row or a query."""

    def __init__(self, site: WebContext) -> None:
        self._site = site

    def missing(self, request: Request, error: Exception) -> Response:
        """What is not there, or not to be had so."""
        status = getattr(error, "status_code", 404)
        said = str(getattr(error, "detail", "")) if status == 404 else "That cannot be asked for in this way."
        said = "There is no such page." if said in ("", "Not Found") else said
        return self._page(request, status, said, "The overview leads everywhere.")

    def database(self, request: Request, error: Exception) -> Response:
        """A database that is away, or busy."""
        event(log, "page not answered", level=logging.WARNING, error=describe(error))
        if sqlstate(error) == TIMEOUT or isinstance(error, PoolTimeout):
            return self._page(request, 503, "The database took too long.", "It is busy; try again in a moment.")
        return self._page(request, 503, "The database does not answer.", "The daemon goes on trying, and so may you.")

    def unforeseen(self, request: Request, error: Exception) -> Response:
        """A defect of ours."""
        event(log, "page not answered", level=logging.ERROR, error=one_line(error))
        log.debug("the way to the error:\n%s", stack(error))
        return self._page(request, 500, "Something went wrong here.", one_line(error))

    def _page(self, request: Request, status: int, said: str, advice: str) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            return PlainTextResponse(f"{said} {advice}\n", status)
        return self._site.page(request, "problem", status, said=said, advice=advice)
