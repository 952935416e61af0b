"""Serialised calls → the four providers on loopback, in a separate process that does as little work as possible.

``python -m benchmarks.simulator CALLS`` prints its address and the expected results as one line of JSON, and
serves until its standard input ends. Its control paths are ``/_requests`` (the number since the last
call), ``/_hide/N`` (hide the newest N calls of each list) and ``/_times/N`` (multiply each list's
total by N; requests for other than its newest pages then fail the benchmark).
"""

import asyncio
import json
import sys
from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import parse_qsl, unquote

from benchmarks import history
from benchmarks.history import APART, Listed
from etl.sandbox.http_messages import VendorRequest, VendorResponse
from etl.sandbox.vendor import ListQuery, Quirks, Vendor, VendorPage
from etl.sandbox.vendor_api import VENDORS

SECOND = timedelta(seconds=1)
HEAD = b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class CallList:
    """One list, newest first, and the part of it that a request sees."""

    def __init__(self, provider: Vendor, calls: Sequence[Listed]) -> None:
        self.provider, self.hidden = provider, 0
        self.more, self.hidden_then = 0, 0
        self._calls = calls
        self._ages = [-call.created_at.timestamp() for call in calls]
        self._of_phone: dict[str, tuple[Sequence[Listed], list[float]]] = {}

    def page(self, query: dict[str, str], headers: dict[str, str]) -> VendorResponse:
        """The answer to a list request."""
        request = VendorRequest("GET", self.provider.path, query, headers)
        refused = self.provider.reject(request)
        asked = refused or self.provider.read(Quirks(), request)
        if isinstance(asked, VendorResponse):
            return asked
        calls, ages = self._listed(asked)
        start, end = self._bounds(asked)
        first = max(bisect_left(ages, -end.timestamp()) if end else 0, self.hidden)
        last = bisect_left(ages, -start.timestamp()) if start else len(calls)
        more = self.more * (len(calls) - self.hidden_then) if last == len(calls) else 0
        return VendorResponse(200, (), self._printed(asked, calls[first:last] if first else calls[:last], more))

    def _listed(self, asked: ListQuery) -> tuple[Sequence[Listed], list[float]]:
        if not asked.phone:
            return self._calls, self._ages
        if asked.phone not in self._of_phone:
            calls = [call for call in self._calls if asked.phone in call.phones]
            self._of_phone[asked.phone] = calls, [-call.created_at.timestamp() for call in calls]
        return self._of_phone[asked.phone]

    def _bounds(self, asked: ListQuery) -> tuple[datetime | None, datetime | None]:
        """From just above which instant to which one the filter lets calls through."""
        if self.provider.name == "ringg":
            start, end = asked.filters
            return start - timedelta(microseconds=1) if isinstance(start, datetime) else None, end  # type: ignore[return-value]
        if self.provider.name == "autocalls":
            first, last = (day if isinstance(day, date) else None for day in asked.filters)
            return _midnight(first, -SECOND), _midnight(last, timedelta(days=1) - SECOND)
        return None, None

    def _printed(self, asked: ListQuery, calls: Sequence[Listed], more: int) -> bytes:
        shown = calls[asked.skip : asked.skip + asked.size]
        total = len(calls) + more
        page = VendorPage(
            asked,
            tuple(call.call_id for call in shown),
            tuple(call.record for call in shown),
            total,
            max(1, -(-total // asked.size)),
            asked.skip + len(shown) < total,
            self.provider.path,
        )
        return self.provider.render_page(Quirks(), page)


def _midnight(day: date | None, further: timedelta) -> datetime | None:
    return datetime.combine(day, time(), UTC) + further if day else None


class Simulator:
    """Every list under the name of its provider, and Vaani's transcripts."""

    def __init__(self, calls: int) -> None:
        world = history.world(calls)
        self.phones = world.phones
        names = [*VENDORS, APART]
        self._lists = {
            name: CallList(VENDORS["vaani" if name == APART else name], list(history.printed(world, name)))
            for name in names
        }
        self._transcripts = {
            f"/{name}/api/transcript/{call_id}": HEAD % (200, len(body)) + body
            for call_id, body in history.transcripts(world)
            for name in ("vaani", APART)
        }
        self.expected = {
            name: history.as_values(history.expected(world, name, self.phones if name == "ravan" else ()))
            for name in names
        }
        self.requests = 0

    def answer(self, target: str, head: str) -> bytes:
        """The whole answer to one request."""
        if target in self._transcripts:
            self.requests += 1
            return self._transcripts[target]
        path, _, query = target.partition("?")
        name, _, rest = path[1:].partition("/")
        if name.startswith("_"):
            return self._own(name, rest)
        self.requests += 1
        lines = (line.partition(":") for line in head.split("\r\n")[1:])
        headers = {key.lower(): value.strip() for key, _, value in lines}
        if name not in self._lists or unquote(rest) != self._lists[name].provider.path[1:]:
            return HEAD % (404, 2) + b"{}"
        response = self._lists[name].page(dict(parse_qsl(query)), headers)
        return HEAD % (response.status, len(response.body)) + response.body

    def _own(self, name: str, rest: str) -> bytes:
        for call_list in self._lists.values():
            if name == "_hide":
                call_list.hidden = int(rest)
            elif name == "_times":
                call_list.more, call_list.hidden_then = int(rest) - 1, call_list.hidden
        body, self.requests = b"%d" % self.requests, 0
        return HEAD % (200, len(body)) + body


class Connection(asyncio.Protocol):
    """One keep-alive connection whose requests have no body."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator, self._received = simulator, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each complete request."""
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            target = head.split(b" ", 2)[1].decode()
            self._transport.write(self._simulator.answer(target, head.decode()))  # type: ignore[attr-defined]


async def _serve(simulator: Simulator) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(simulator), "127.0.0.1", 0)
    info = {
        "origin": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",
        "phones": simulator.phones,
        "keys": {name: provider.key for name, provider in VENDORS.items()},
        "expected": simulator.expected,
    }
    sys.stdout.write(json.dumps(info) + "\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve(Simulator(int(sys.argv[1]))))
