"""Middleware before every page: checks the host name, the origin of a change, and the token; adds security headers."""

import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from etl.runtime.secret import Secret
from etl.runtime.urls import Listen, ip_of, is_loopback
from etl.web.login_throttle import LoginThrottle
from etl.web.signed_cookies import LOGIN, SignedCookies

PROBES = ("/healthz", "/readyz")
PUBLIC = (*PROBES, "/login")  # a supervisor and the login form come without a token
PUBLIC_PREFIX = "/static/"
MAX_BODY_BYTES = 16 << 10
METHODS = ("GET", "HEAD", "POST")
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with no-referrer a browser would send no Origin with a form
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


@dataclass(frozen=True, slots=True)
class SecurityMiddleware:
    """Passes a request on to ``app``, to ``unauthorized`` if it has no valid token, or refuses it."""

    app: ASGIApp
    listen: Listen
    token: Secret | None
    cookies: SignedCookies
    login_throttle: LoginThrottle
    unauthorized: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        with suppress(Exception):  # already answered and logged; uvicorn would log it again, with its message
            app = self._refusal(scope, headers) or self._authenticated(scope, headers)
            await app(scope, receive, _with_headers(send, scope["path"]))

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        method, path, host = scope["method"], scope["path"], headers.get("host", "")
        is_bare_probe = not host and path in PROBES  # no browser leaves the header out
        if not is_bare_probe and not self._is_own_host(host):
            hint = f"use the address that the page listens on, such as http://127.0.0.1:{self.listen.port}"
            return PlainTextResponse(f"Unknown host name: {hint}\n", 421)
        if not path.startswith("/") or not path.isprintable():
            return PlainTextResponse("Invalid address.\n", 400)
        if method not in METHODS:
            return PlainTextResponse("Method not allowed: use GET or POST.\n", 405, {"allow": ", ".join(METHODS)})
        if method == "POST" and not _is_same_origin(headers):
            return PlainTextResponse("Cross-site request refused.\n", 403)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 9 or int(length) > MAX_BODY_BYTES or "transfer-encoding" in headers:
            return PlainTextResponse("Request too large.\n", 413)
        return None

    def _is_own_host(self, host: str) -> bool:
        """Whether the Host header names this server: a page that uses DNS rebinding sends its own name."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").removesuffix(".")
        except ValueError:
            return False
        if is_loopback(name):
            return True
        if is_loopback(self.listen.host):
            return False
        # no other site can own an IP address or a name without a dot
        return ip_of(name) is not None or "." not in name or name in (self.listen.host, _machine_name())

    def _authenticated(self, scope: Scope, headers: Headers) -> ASGIApp:
        is_public = scope["path"] in PUBLIC or scope["path"].startswith(PUBLIC_PREFIX)
        if is_public or self.token is None or self.cookies.is_valid(LOGIN, cookie_value(headers, LOGIN)):
            return self.app
        scheme, _, value = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return self.unauthorized
        if Secret(value.strip()) == self.token:
            return self.app
        return self.login_throttle.refusal(client_address(scope)) or self.unauthorized


def client_address(scope: Scope) -> str:
    """The IP address that a request comes from; behind a proxy, the proxy's."""
    client = scope.get("client")
    return client[0] if client else ""


def cookie_value(headers: Mapping[str, str], name: str) -> str:
    """The value of a cookie, empty where there is none."""
    return cookie_parser(headers.get("cookie", "")).get(name, "")


@cache
def _machine_name() -> str:
    return socket.getfqdn().lower()


def _is_same_origin(headers: Headers) -> bool:
    """Whether a form of this page sent the request: a browser sets these headers, and no script can forge them."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    scheme, _, host = headers.get("origin", "").lower().partition("://")
    return scheme in ("http", "https") and host == headers.get("host", "").lower() != ""


def _with_headers(send: Send, path: str) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            # pages may show personal data and are never cached; styles and scripts are revalidated
            headers["cache-control"] = "no-cache" if path.startswith(PUBLIC_PREFIX) else "no-store"
        await send(message)

    return send_with_headers
