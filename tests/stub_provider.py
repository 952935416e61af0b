"""Records that a test writes down → a provider that lists exactly those, and a harness that reads it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from sqlalchemy import Engine

from etl.sandbox.world import World
from tests.fakes import FakeClock
from tests.harness import NOW, Harness

PHONE = "+918040000001"
TIME = "2025-04-30T10:00:00Z"


@dataclass
class StubProvider(httpx.BaseTransport):
    """Answers every provider's list requests with the same records, ``size`` a page at most.

    ``total`` is said of them instead of their number; ``before`` is done before each answer, given the number of
    the request, from 1. ``transcript`` is the answer to each request for one.
    """

    records: list[bytes] = field(default_factory=list)
    size: int = 100
    total: int | None = None
    before: Callable[[int], None] = lambda number: None
    transcript: Any = None
    asked: int = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        self.before(self.asked)
        if "/transcript/" in request.url.path:
            return httpx.Response(200, json=self.transcript)
        query, total = request.url.params, len(self.records) if self.total is None else self.total
        size = min(self.size, int(query.get("limit") or query.get("page_size") or query.get("per_page") or 20))
        start = int(query["offset"]) if "offset" in query else (int(query["page"]) - 1) * size
        cut = self.records[start : start + size]
        said: dict[str, Any] = {"total": total, "limit": size, "offset": start, "count": len(cut)}
        if "offset" not in query:
            page, last = int(query["page"]), max(1, -(-total // size))
            said = {"page": page, "page_size": size, "total_count": total}
            if "per_page" in query:
                said = {"current_page": page, "per_page": size, "total": total, "last_page": last}
            elif "phone" not in query:
                said = {"pagination": {**said, "has_next": page < last}}
        key = b"calls" if "offset" in query or "phone" in query else b"data"
        body = b'{"' + key + b'":[' + b",".join(cut) + b"]," + json.dumps(said).encode()[1:]
        return httpx.Response(200, headers={"content-type": "application/json"}, content=body)


def ringg_record(call_id: object, **fields: Any) -> bytes:
    """A record of Ringg, of a completed call unless its fields say otherwise."""
    record = {"id": call_id, "created_at": TIME, "status": "completed", "call_type": "outbound", "call_duration": 12}
    return json.dumps({**record, "to_number": "+919876543210", **fields}).encode()


def make_stub_harness(db: Engine, *records: bytes, size: int = 100, **rate: int) -> tuple[Harness, StubProvider]:
    """A harness whose providers list these records."""
    shelf = StubProvider(list(records), size)
    world = World(1, calls=0, now=NOW, phones=(PHONE,))
    return Harness(db, world, FakeClock(NOW), shelf, **rate), shelf


def vaani_record(call_id: str = "outbound-1", **fields: Any) -> bytes:
    """A record of Vaani, of a call that was answered and is processed unless its fields say otherwise."""
    record = {"call_id": call_id, "call_type": "Outbound", "call_status": "User disconnected", "agent_name": "Maya Rao"}
    times = {"Start_time": "2025-04-30T13:33:00.500000", "user_picked_up_at": "2025-04-30T13:33:10"}
    record |= {**times, "End_time": "2025-04-30T13:35:00", "post_processing_status": "completed"}
    return json.dumps(record | {"to_number": "+919876543210", **fields}).encode()
