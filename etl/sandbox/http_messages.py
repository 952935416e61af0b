"""One HTTP request as it was read, and one response with the way in which it is to be sent."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

JsonObject = dict[str, object]
JSON = (("Content-Type", "application/json"),)


@dataclass(frozen=True, slots=True)
class VendorRequest:
    """A request: its path still percent-encoded, its query decoded, its header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]

    def text(self, name: str) -> str:
        """A query parameter without surrounding spaces, "" where it is absent."""
        return self.query.get(name, "").strip()


@dataclass(frozen=True, slots=True)
class SendOptions:
    """How a response is sent when not in one piece.

    The first byte waits for `delay_seconds`; of the body the share `sent_share` is sent, at `bytes_per_second`; then
    the connection is reset where `reset` is set. Without `is_sized` there is no Content-Length; `close` closes the
    connection unannounced; `is_endless` sends headers until the client goes away.
    """

    delay_seconds: float = 0.0
    sent_share: float = 1.0
    bytes_per_second: float | None = None
    reset: bool = False
    is_sized: bool = True
    close: bool = False
    is_endless: bool = False

    def sent(self, body: bytes) -> bytes:
        """The part of the body that is sent."""
        return body[: int(len(body) * self.sent_share)]


@dataclass(frozen=True, slots=True)
class VendorResponse:
    """A response: headers without Content-Length, and the ids of the calls in it for the request log."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    ids: tuple[str, ...] = ()
    send_options: SendOptions = field(default=SendOptions())


def to_json(value: object) -> bytes:
    """JSON as a vendor writes it: compact, UTF-8, with nothing escaped that need not be."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def json_response(value: object, status: int = 200) -> VendorResponse:
    """A JSON response."""
    return VendorResponse(status, JSON, to_json(value))
