"""The ASGI application: routes behind the security middleware, and an error page for every exception."""

import logging

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from etl.db.engine import describe, sqlstate
from etl.runtime.crash_report import one_line, stack
from etl.runtime.logs import event
from etl.runtime.urls import Listen
from etl.web.actions import Actions
from etl.web.page_context import WebContext
from etl.web.probes import Probes
from etl.web.readonly_db import QUERY_CANCELED
from etl.web.security import SecurityMiddleware
from etl.web.templating import HERE
from etl.web.views import Pages

log = logging.getLogger("etl.web")


def application(context: WebContext, listen: Listen) -> ASGIApp:
    """The page as an ASGI application that is served at ``listen``."""
    actions, errors = Actions(context), _ErrorPages(context)
    app = Starlette(
        routes=_routes(Pages(context), actions, Probes(context)),
        exception_handlers={
            HTTPException: errors.client_error,
            ClientDisconnect: errors.client_error,  # nobody reads the answer, and it is no defect to log
            SQLAlchemyError: errors.database_error,
            Exception: errors.internal_error,
        },
    )
    return SecurityMiddleware(app, listen, context.token, context.cookies, context.login_throttle, actions.unauthorized)


def _routes(pages: Pages, actions: Actions, probes: Probes) -> list[BaseRoute]:
    return [
        Route("/", pages.home),
        Route("/sources/{source}", pages.source),
        Route("/sources/{source}/retry", actions.retry, methods=["POST"]),
        Route("/quarantine/{number}", pages.record),
        Route("/calls", pages.calls, methods=["GET"]),
        Route("/calls", actions.search, methods=["POST"]),
        Route("/calls/{key}", pages.call),
        Route("/personal-data", actions.show_pii, methods=["POST"]),
        Route("/login", actions.login, methods=["GET", "POST"]),
        Route("/logout", actions.logout, methods=["POST"]),
        Route("/healthz", probes.alive),
        Route("/readyz", probes.ready),
        Route("/metrics", probes.metrics),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]


class _ErrorPages:
    """Exception → a page that says what to do; it never shows a row or a query."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    def client_error(self, request: Request, error: Exception) -> Response:
        """A page that does not exist, or a method that it does not accept."""
        status = getattr(error, "status_code", 404)
        problem = str(getattr(error, "detail", "")) if status == 404 else "This address does not accept that method."
        problem = "There is no such page." if problem in ("", "Not Found") else problem
        return self._page(request, status, problem, "Start from the overview.")

    def database_error(self, request: Request, error: Exception) -> Response:
        """A database that is down or busy."""
        event(log, "page_failed", level=logging.WARNING, error=describe(error))
        if sqlstate(error) == QUERY_CANCELED or isinstance(error, PoolTimeout):
            return self._page(request, 503, "The database took too long.", "It is busy; try again in a moment.")
        return self._page(
            request, 503, "The database does not answer.", "The daemon keeps trying; reload to try again."
        )

    def internal_error(self, request: Request, error: Exception) -> Response:
        """A defect of this program."""
        event(log, "page_failed", level=logging.ERROR, error=one_line(error))
        log.debug("stack trace:\n%s", stack(error))
        return self._page(request, 500, "Something went wrong.", one_line(error))

    def _page(self, request: Request, status: int, problem: str, hint: str) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            return PlainTextResponse(f"{problem} {hint}\n", status)
        return self._context.render(request, "problem", status, problem=problem, hint=hint)
