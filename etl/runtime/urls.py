"""The text of a URL or address → a validated one; errors do not show it."""

import ipaddress
import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

LOOPBACK_NAMES = ("localhost",)
_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\.?\Z")
_DRIVERS = ("postgresql", "postgres", "postgresql+psycopg")

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


class Origin(NamedTuple):
    """What decides whether two URLs belong to the same server."""

    scheme: str
    host: str
    port: int


class Listen(NamedTuple):
    """Where the daemon's page is served."""

    host: str
    port: int


def ip_of(host: str) -> Ip | None:
    """The IP address that a host is, if it is one; an IPv4-mapped IPv6 address counts as IPv4."""
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return None
    return (ip.ipv4_mapped or ip) if isinstance(ip, ipaddress.IPv6Address) else ip


def is_loopback(host: str) -> bool:
    """Whether a host is loopback, by name or by address."""
    ip = ip_of(host)
    return host in LOOPBACK_NAMES if ip is None else ip.is_loopback


def origin_of(base_url: str) -> Origin:
    """The origin of a URL that :func:`base_url` accepted."""
    parts = urlsplit(base_url)
    return Origin(parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))


@lru_cache
def base_url(text: str) -> str:
    """A provider's base URL in canonical form; ``ValueError`` says what is wrong."""
    parts = _split(text)
    host = (parts.hostname or "").lower()
    if parts.username is not None or parts.password is not None:
        raise ValueError("contains a user or a password; the key belongs in api_key")
    if parts.query or parts.fragment or text.rstrip().endswith(("?", "#")):
        raise ValueError("contains a query or a fragment; end it after the path")
    if any(segment in (".", "..") for segment in parts.path.split("/")) or "//" in parts.path or "%" in parts.path:
        raise ValueError("has '..', '//' or '%' in its path; write the plain path")
    _check_host(host)
    _check_scheme(parts.scheme, host)
    port = "" if parts.port in (None, 443 if parts.scheme == "https" else 80) else f":{parts.port}"
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{port}{parts.path.rstrip('/')}"


def _split(text: str) -> SplitResult:
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise ValueError("contains a space, a backslash or a character outside ASCII (write such a host as xn--…)")
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - the attribute raises where the port is not a number
    except ValueError:
        raise ValueError("is not a URL; write https://host/path") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is not a web address; write https://host/path")
    return parts


def _check_scheme(scheme: str, host: str) -> None:
    if scheme == "http" and not is_loopback(host):
        raise ValueError("is http; the key is sent over https only (http is allowed to loopback)")


def _check_host(host: str) -> None:
    ip = ip_of(host)
    if ip is not None and not ip.is_global and not ip.is_loopback:
        raise ValueError("is an address of a private or reserved network; use the provider's public host")
    if ip is None and (not _HOST.match(host) or host.rstrip(".").split(".")[-1].isdigit() or "0x" in host):
        raise ValueError("has an invalid host; write the provider's host name")


def listen(text: str) -> Listen | None:
    """The address of the page: ``host:port``, or ``None`` for ``off``; ``ValueError`` says what is wrong."""
    if text.strip().lower() == "off":
        return None
    host, colon, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]").lower()
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("is not host:port; write 127.0.0.1:8787, or off")
    if ip_of(host) is None and not _HOST.match(host):
        raise ValueError("has no host; write 127.0.0.1:8787, or off")
    return Listen(host, int(port))


def webhook(text: str) -> str:
    """A webhook's URL, which is a secret; ``ValueError`` says what is wrong without showing it."""
    parts = _split(text.strip())
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("contains a user, a password or a fragment; write the address as the service gave it")
    if parts.scheme == "http" and not is_loopback((parts.hostname or "").lower()):
        raise ValueError("is http; alerts are sent over https only (http is allowed to loopback)")
    return text.strip()


def database_url(text: str) -> str:
    """A PostgreSQL URL for SQLAlchemy; ``ValueError`` says what is wrong without showing it."""
    scheme, separator, rest = text.strip().partition("://")
    if not separator or scheme.lower() not in _DRIVERS:
        raise ValueError("is not a PostgreSQL URL; write postgresql://user:password@host:5432/database")
    netloc = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if netloc.count("@") > 1 or netloc.partition("@")[0].count(":") > 1 or "#" in rest or "@" in rest[len(netloc) :]:
        raise ValueError(
            "contains a special character in its user or password; write @ as %40, : as %3A, / as %2F, # as %23"
        )
    try:
        parts = urlsplit(f"postgresql://{rest}")
        for host in netloc.rpartition("@")[2].split(","):
            urlsplit(f"postgresql://{host}").port  # noqa: B018 - the attribute raises where the port is not a number
    except ValueError:
        raise ValueError("has an invalid port or host") from None
    if not parts.path.strip("/") and not re.search(r"\b(dbname|service)=", parts.query):
        raise ValueError("has no database; write it after the host: postgresql://host/database")
    return f"postgresql+psycopg://{rest}"
