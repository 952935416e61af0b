"""One client's connection: a stranger can neither keep it open for nothing nor use up the page's connections."""

import asyncio
from collections import Counter
from typing import Any, NamedTuple, cast

from uvicorn.protocols.http.h11_impl import H11Protocol


class ConnectionLimits(NamedTuple):
    """How many connections the page has, and how long one exchange may take: to wait, to ask and to be answered."""

    max_connections: int = 64
    exchange_seconds: float = 30.0


DEFAULT_LIMITS = ConnectionLimits()


class Connection(H11Protocol):
    """Closes where an exchange takes too long, timed from the moment that the connection is accepted.

    Of too many connections the oldest that has sent no request gives way, of the address that has the most: while
    somebody holds all of them, a probe is still answered.
    """

    def __init__(self, limits: ConnectionLimits, **given: Any) -> None:
        super().__init__(**given)
        self._limits = limits
        self._accepted_at = self.loop.time()
        self._timer = self.loop.call_later(limits.exchange_seconds, self._drop)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, and drop another where there are now too many."""
        others = cast(set[Connection], self.connections - {self})
        super().connection_made(transport)
        if len(others) >= self._limits.max_connections:
            counts = Counter(each._address() for each in others)
            min(others, key=lambda each: (-counts[each._address()], each._is_busy(), each._accepted_at))._drop()

    def _address(self) -> str:
        return self.client[0] if self.client else ""

    def _is_busy(self) -> bool:
        """Whether a whole request waits for its answer."""
        return self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete

    def _drop(self) -> None:
        self.connections.discard(self)
        self.transport.abort()  # close() would wait for a client that does not read

    def on_response_complete(self) -> None:
        """Start the time of the next exchange."""
        self._timer.cancel()
        self._timer = self.loop.call_later(self._limits.exchange_seconds, self._drop)
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time."""
        self._timer.cancel()
        super().connection_lost(exc)
