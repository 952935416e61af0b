"""Every request → answered, or refused: by the name it came to, by who reads, and by where a change was asked for."""

import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from math import ceil
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from etl.runtime.secret import Secret
from etl.runtime.urls import Listen, ip_of, is_loopback
from etl.web.login_throttle import LoginThrottle
from etl.web.signed_cookies import LOGGED_IN, SignedCookies

OPEN = ("/healthz", "/readyz", "/login")  # a supervisor and a reader at the door have no token yet
OPEN_BELOW = "/static/"
LONGEST_BODY = 16 << 10
METHODS = ("GET", "HEAD", "POST")
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with none at all a browser would not say where a form was sent from
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


@dataclass(frozen=True, slots=True)
class SecurityMiddleware:
    """Stands before the pages; ``door`` makes the answer to a reader who presents nothing."""

    app: ASGIApp
    listen: Listen
    token: Secret | None
    passes: SignedCookies
    guesses: LoginThrottle
    door: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        answer = (
            self._refusal(scope["method"], headers) or self._patience(scope, headers) or self._inside(scope, headers)
        )
        with suppress(Exception):  # it was answered and logged; the server would log it again, with its text
            await answer(scope, receive, _with_headers(send, scope["path"]))

    def _refusal(self, method: str, headers: Headers) -> Response | None:
        if not self._is_ours(headers.get("host", "")):
            said = "This name is not one of this page's: use the address that it listens on, such as http://127.0.0.1:"
            return PlainTextResponse(f"{said}{self.listen.port}\n", 421)
        if method not in METHODS:
            return PlainTextResponse("Only GET and POST.\n", 405, {"allow": ", ".join(METHODS)})
        if method == "POST" and not _from_here(headers):
            return PlainTextResponse("Changes are asked for on the page itself.\n", 403)
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > LONGEST_BODY or "transfer-encoding" in headers:
            return PlainTextResponse("That is too much.\n", 413)
        return None

    def _is_ours(self, host: str) -> bool:
        """A page elsewhere that has its own name point here (DNS rebinding) comes with that name."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").removesuffix(".")
        except ValueError:
            return False
        if is_loopback(name):
            return True
        if is_loopback(self.listen.host):
            return False
        # nobody elsewhere owns an address, or a name without a dot
        return ip_of(name) is not None or "." not in name or name in (self.listen.host, _name_of_this_machine())

    def _patience(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to a token from where too many wrong ones came; whoever has a pass reads on."""
        shows_token = "authorization" in headers or (scope["path"], scope["method"]) == ("/login", "POST")
        seconds = self.guesses.wait_seconds(address(scope)) if self.token and shows_token else 0
        if not seconds:
            return None
        after = str(ceil(seconds))
        return PlainTextResponse(f"Too many wrong tokens: try again in {after} s.\n", 429, {"retry-after": after})

    def _inside(self, scope: Scope, headers: Headers) -> ASGIApp:
        path = scope["path"]
        is_open = path in OPEN or path.startswith(OPEN_BELOW)
        return self.app if is_open or self.token is None or self._presents(self.token, scope, headers) else self.door

    def _presents(self, token: Secret, scope: Scope, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            if Secret(given.strip()) == token:
                return True
            self.guesses.wrong(address(scope))
        return self.passes.holds(LOGGED_IN, cookie(headers, LOGGED_IN))


def address(scope: Scope) -> str:
    """Where a request comes from; behind a proxy that is the proxy."""
    client = scope.get("client")
    return client[0] if client else ""


def cookie(headers: Mapping[str, str], name: str) -> str:
    """The value of a cookie, empty where there is none."""
    return cookie_parser(headers.get("cookie", "")).get(name, "")


@cache
def _name_of_this_machine() -> str:
    return socket.getfqdn().lower()


def _from_here(headers: Headers) -> bool:
    """Whether a form of this very page sent it: browsers say so, and no page elsewhere can make them lie."""
    said = headers.get("sec-fetch-site")
    if said is not None:
        return said == "same-origin"
    return urlsplit(headers.get("origin", "")).netloc.lower() == headers.get("host", "").lower() != ""


def _with_headers(send: Send, path: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            # what may show a person is kept by nobody; styles and scripts are asked for whether they changed
            headers["cache-control"] = "no-cache" if path.startswith(OPEN_BELOW) else "no-store"
        await send(message)

    return sending
