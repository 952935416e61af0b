"""Turns the text of an address into one that may be used, or says what is wrong with it without showing it."""

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

LOOPBACK_NAMES = ("localhost",)
_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\.?\Z")
_DRIVERS = ("postgresql", "postgres", "postgresql+psycopg")

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


class Origin(NamedTuple):
    """What decides whether two URLs speak to the same server."""

    scheme: str
    host: str
    port: int


class Listen(NamedTuple):
    """Where the daemon's page is served."""

    host: str
    port: int


def ip_of(host: str) -> Ip | None:
    """The address that a host is, if it is one; an IPv4 address inside an IPv6 one counts as itself."""
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return None
    return (ip.ipv4_mapped or ip) if isinstance(ip, ipaddress.IPv6Address) else ip


def is_loopback(host: str) -> bool:
    """Whether a host is this machine's own loopback, by name or by address."""
    ip = ip_of(host)
    return host in LOOPBACK_NAMES if ip is None else ip.is_loopback


def origin_of(base_url: str) -> Origin:
    """The origin of a URL that :func:`base_url` has passed."""
    parts = urlsplit(base_url)
    return Origin(parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))


def base_url(text: str) -> str:
    """The address below which a provider's API lies, in its one canonical form; ``ValueError`` says what is wrong."""
    parts = _split(text)
    host = (parts.hostname or "").lower()
    if parts.username is not None or parts.password is not None:
        raise ValueError("has a user or a password in it; the key belongs in api_key")
    if parts.query or parts.fragment or text.rstrip().endswith(("?", "#")):
        raise ValueError("has a query or a fragment; end it after the path")
    if any(segment in (".", "..") for segment in parts.path.split("/")) or "//" in parts.path or "%" in parts.path:
        raise ValueError("has a path with '..', '//' or '%' in it; write the plain path")
    _check_host(host)
    _check_scheme(parts.scheme, host)
    port = "" if parts.port in (None, 443 if parts.scheme == "https" else 80) else f":{parts.port}"
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{port}{parts.path.rstrip('/')}"


def _split(text: str) -> SplitResult:
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise ValueError("has a space, a backslash or a letter outside ASCII in it (write such a host as xn--…)")
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - it is read when it is asked for, and may be no number
    except ValueError:
        raise ValueError("is no URL; write https://host/path") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is no web address; write https://host/path")
    return parts


def _check_scheme(scheme: str, host: str) -> None:
    if scheme == "http" and not is_loopback(host):
        raise ValueError("is http; the key may travel over https only (http is for a loopback address)")


def _check_host(host: str) -> None:
    ip = ip_of(host)
    if ip is not None and not ip.is_global and not ip.is_loopback:
        raise ValueError("is an address of a private or reserved network; use the provider's public host")
    if ip is None and (not _HOST.match(host) or host.rstrip(".").split(".")[-1].isdigit() or "0x" in host):
        raise ValueError("has a host that is neither a name nor a plain address; write the provider's host name")


def listen(text: str) -> Listen | None:
    """Where to serve the page: ``host:port``, or ``None`` for ``off``; ``ValueError`` says what is wrong."""
    if text.strip().lower() == "off":
        return None
    host, colon, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]").lower()
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("is not host:port; write 127.0.0.1:8787, or off")
    if ip_of(host) is None and not _HOST.match(host):
        raise ValueError("names no host; write 127.0.0.1:8787, or off")
    return Listen(host, int(port))


def webhook(text: str) -> str:
    """Where alerts are posted; ``ValueError`` says what is wrong and shows none of it, as such an address is a key."""
    parts = _split(text.strip())
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("has a user, a password or a fragment in it; write the address as its maker gave it")
    if parts.scheme == "http" and not is_loopback((parts.hostname or "").lower()):
        raise ValueError("is http; alerts may travel over https only (http is for a loopback address)")
    return text.strip()


def database_url(text: str) -> str:
    """A PostgreSQL URL as SQLAlchemy takes it; ``ValueError`` says what is wrong and shows none of it."""
    scheme, separator, rest = text.strip().partition("://")
    if not separator or scheme.lower() not in _DRIVERS:
        raise ValueError("is no PostgreSQL URL; write postgresql://user:password@host:5432/database")
    netloc = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if netloc.count("@") > 1 or netloc.partition("@")[0].count(":") > 1 or "#" in rest or "@" in rest[len(netloc) :]:
        raise ValueError(
            "has a special character in its user or password; write @ as %40, : as %3A, / as %2F, # as %23"
        )
    try:
        parts = urlsplit(f"postgresql://{rest}")
        parts.port  # noqa: B018 - it is read when it is asked for, and may be no number
    except ValueError:
        raise ValueError("has a port that is no number, or a host that is none") from None
    if not parts.path.strip("/") and "dbname=" not in parts.query:
        raise ValueError("names no database; write it after the host: postgresql://host/database")
    return f"postgresql+psycopg://{rest}"
