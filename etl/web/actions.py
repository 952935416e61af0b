"""A submitted form → a change: sign in and out, show or hide personal data, search, retry the quarantine."""

import re
from typing import Any
from urllib.parse import parse_qs, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from etl.runtime.secret import Secret
from etl.web.call_search import FILTERS
from etl.web.page_context import WebContext
from etl.web.security import client_address
from etl.web.signed_cookies import DAYS_30, LOGIN, MINUTES_15, SHOW_PII

_LOCAL_PATH = re.compile(r"/([A-Za-z0-9_.~%-]+(/[A-Za-z0-9_.~%-]+)*)?\Z")
SEE_OTHER = 303
MAX_SEARCH_LENGTH = 200


class Actions:
    """The handlers of POST requests; the security middleware has already checked that they come from this page."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    async def unauthorized(self, scope: Any, receive: Any, send: Any) -> None:
        """The answer to a request without a token: the login form for a browser, one line of text for a program."""
        request = Request(scope, receive)
        is_browser = "text/html" in request.headers.get("accept", "")
        await (self._login_form(request, scope["path"]) if is_browser else _refused())(scope, receive, send)

    async def login(self, request: Request) -> Response:
        """Show the login form, or check the submitted token."""
        if request.method != "POST":
            return self._login_form(request, "/", 200)
        form = await _form(request)
        target = _local_path(form.get("next", "/"))
        token = self._context.token
        if token is None or Secret(form.get("token", "").strip()) != token:
            refusal = self._context.login_throttle.refusal(client_address(request.scope))
            return refusal or self._login_form(request, target, is_wrong=True)
        response = RedirectResponse(target, SEE_OTHER)
        self._set_cookie(request, response, LOGIN, DAYS_30)
        return response

    def _login_form(self, request: Request, target: str, status: int = 401, *, is_wrong: bool = False) -> Response:
        response = self._context.render(request, "login", status, target=_local_path(target), is_wrong=is_wrong)
        if status == 401:
            response.headers["www-authenticate"] = "Bearer"
        return response

    async def logout(self, request: Request) -> Response:
        """Delete the browser's cookies."""
        response = RedirectResponse("/login", SEE_OTHER)
        for name in (LOGIN, SHOW_PII):
            response.delete_cookie(name)
        return response

    async def show_pii(self, request: Request) -> Response:
        """Show personal data for 15 minutes, or hide it again."""
        form = await _form(request)
        response = RedirectResponse(_local_path(form.get("next", "/")), SEE_OTHER)
        if form.get("show") == "yes":
            self._set_cookie(request, response, SHOW_PII, MINUTES_15)
        else:
            response.delete_cookie(SHOW_PII)
        return response

    async def search(self, request: Request) -> Response:
        """Remember the search text, and redirect to its results."""
        form = await _form(request)
        text = form.get("words", "").replace("\0", " ")  # PostgreSQL refuses it in a text
        words = " ".join(text.split())[:MAX_SEARCH_LENGTH]
        token = self._context.search_tokens.add(words) if words else ""
        query = {name: form.get(name, "")[:200] for name in FILTERS} | {"search": token}
        return RedirectResponse(f"/calls?{urlencode({k: v for k, v in query.items() if v})}", SEE_OTHER)

    async def retry(self, request: Request) -> Response:
        """Start to retry the quarantined records of a source."""
        name = request.path_params["source"]
        if not await run_in_threadpool(self._context.start_retry, name):
            raise HTTPException(404, f"There is no source “{name}”.")
        return RedirectResponse(f"/sources/{name}#quarantine", SEE_OTHER)

    def _set_cookie(self, request: Request, response: Response, purpose: str, seconds: int) -> None:
        value = self._context.cookies.issue(purpose, seconds)
        is_https = request.headers.get("origin", "").startswith("https:")
        response.set_cookie(purpose, value, seconds, httponly=True, samesite="strict", secure=is_https)


async def _form(request: Request) -> dict[str, str]:
    body = (await request.body()).decode("utf-8", "replace")
    return {name: values[-1] for name, values in parse_qs(body).items()}


def _local_path(path: str) -> str:
    """The path if it is one of this page, else ``/``: a redirect never leaves the site."""
    return path if _LOCAL_PATH.match(path) and path not in ("/login", "/logout") else "/"


def _refused() -> Response:
    text = "Unauthorized: send the token in ETL_TOKEN as Authorization: Bearer …\n"
    return PlainTextResponse(text, 401, {"www-authenticate": "Bearer"})
