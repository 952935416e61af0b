"""A form that was sent → a change: let in, let out, show and hide people, search, try the quarantine again."""

import re
from typing import Any
from urllib.parse import parse_qs, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from etl.runtime.secret import Secret
from etl.web.page_context import WebContext
from etl.web.security import address
from etl.web.signed_cookies import DAYS_30, LOGGED_IN, MINUTES_15, SHOWN

_OWN_PATH = re.compile(r"/([A-Za-z0-9_.~%-]+(/[A-Za-z0-9_.~%-]+)*)?\Z")
SEE_OTHER = 303
LONGEST_SEARCH = 200


class Actions:
    """What a reader may do; the wall has seen to it that the reader's own page asked for it."""

    def __init__(self, site: WebContext) -> None:
        self._site = site

    async def stranger(self, scope: Any, receive: Any, send: Any) -> None:
        """The answer to somebody who presents no token: a form for a person, a line for a program."""
        request = Request(scope, receive)
        wants_page = "text/html" in request.headers.get("accept", "")
        await (self._form(request, request.url.path) if wants_page else _refused())(scope, receive, send)

    async def login(self, request: Request) -> Response:
        """The form, and what was written into it."""
        if request.method != "POST":
            return self._form(request, "/", 200)
        form = await _form(request)
        back = _own_path(form.get("next", "/"))
        if self._site.token is None or Secret(form.get("token", "").strip()) != self._site.token:
            self._site.guesses.wrong(address(request.scope))
            return self._form(request, back, is_wrong=True)
        answer = RedirectResponse(back, SEE_OTHER)
        self._let(request, answer, LOGGED_IN, DAYS_30)
        return answer

    def _form(self, request: Request, back: str, status: int = 401, *, is_wrong: bool = False) -> Response:
        answer = self._site.page(request, "login", status, back=_own_path(back), is_wrong=is_wrong)
        if status == 401:
            answer.headers["www-authenticate"] = "Bearer"
        return answer

    async def logout(self, request: Request) -> Response:
        """The browser forgets; the token stays what it is."""
        answer = RedirectResponse("/login", SEE_OTHER)
        for name in (LOGGED_IN, SHOWN):
            answer.delete_cookie(name)
        return answer

    async def show(self, request: Request) -> Response:
        """Show people for a quarter of an hour, or hide them at once."""
        form = await _form(request)
        answer = RedirectResponse(_own_path(form.get("next", "/")), SEE_OTHER)
        if form.get("see") == "yes":
            self._let(request, answer, SHOWN, MINUTES_15)
        else:
            answer.delete_cookie(SHOWN)
        return answer

    async def search(self, request: Request) -> Response:
        """Keep what is searched for, and lead to what is found."""
        form = await _form(request)
        words = " ".join(form.get("words", "").split())[:LONGEST_SEARCH]
        query = {"source": form.get("source", "")[:100], "search": self._site.searches.keep(words) if words else ""}
        return RedirectResponse(f"/calls?{urlencode({k: v for k, v in query.items() if v})}", SEE_OTHER)

    async def retry(self, request: Request) -> Response:
        """Try the records that wait again, with today's program."""
        name = request.path_params["source"]
        if not await run_in_threadpool(self._site.retry, name):
            raise HTTPException(404, f"There is no source “{name}”.")
        return RedirectResponse(f"/sources/{name}#quarantine", SEE_OTHER)

    def _let(self, request: Request, answer: Response, purpose: str, seconds: int) -> None:
        """Give the browser a pass; over https it goes over nothing else."""
        value, is_https = self._site.passes.issue(purpose, seconds), request.headers.get("origin", "")[:6] == "https:"
        answer.set_cookie(purpose, value, seconds, httponly=True, samesite="strict", secure=is_https)


async def _form(request: Request) -> dict[str, str]:
    body = (await request.body()).decode("utf-8", "replace")
    return {name: values[-1] for name, values in parse_qs(body, max_num_fields=20).items()}


def _own_path(path: str) -> str:
    """A path of this page, and no way to another."""
    return path if _OWN_PATH.match(path) and path not in ("/login", "/logout") else "/"


def _refused() -> Response:
    said = "Present ETL_TOKEN: Authorization: Bearer …\n"
    return PlainTextResponse(said, 401, {"www-authenticate": "Bearer"})
