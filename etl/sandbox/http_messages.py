"""What crosses the wire, as values: one request as it was read, and one response with how it is to be sent."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

RecordBytes = dict[str, object]


@dataclass(frozen=True, slots=True)
class VendorRequest:
    """One request: path below the host, still percent-encoded; query decoded, the last of a repeated name; header names
    in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]

    def text(self, name: str) -> str:
        """A query value without surrounding blanks, "" where it is absent."""
        return self.query.get(name, "").strip()


@dataclass(frozen=True, slots=True)
class SendOptions:
    """How a response is sent when not in one piece. `hold` seconds pass before the first byte; the share `cut` of the
    body is sent, and then the connection is closed, or torn down where `reset`; `pace` bytes go a second; `is_sized`
    false leaves Content-Length out; `close` shuts the connection after a whole answer without saying so beforehand;
    `is_endless` sends headers until the client goes away."""

    hold: float = 0.0
    cut: float | None = None
    reset: bool = False
    pace: float | None = None
    is_sized: bool = True
    close: bool = False
    is_endless: bool = False

    def part(self, body: bytes) -> bytes:
        """What of the body is sent at all."""
        return body if self.cut is None else body[: int(len(body) * self.cut)]


@dataclass(frozen=True, slots=True)
class VendorResponse:
    """One answer: status, headers without Content-Length, body, and the ids of the calls in it for the ledger."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    ids: tuple[str, ...] = ()
    wire: SendOptions = field(default=SendOptions())

    def header(self, name: str) -> str | None:
        """The first value of a header, whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


JSON = (("Content-Type", "application/json"),)


def dumped(value: object) -> bytes:
    """JSON as a provider prints it: compact, UTF-8, nothing escaped that need not be."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def answered(value: object, status: int = 200) -> VendorResponse:
    """A JSON response."""
    return VendorResponse(status, JSON, dumped(value))
