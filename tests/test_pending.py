"""Transcripts that take a request each: when asking for them ends."""

import threading

import httpx
from sqlalchemy import Engine

from etl.pending import AT_ONCE, BATCH
from etl.sandbox.world import World
from tests.worlds import NOW, adds_up, differences, house


class Refusing(httpx.BaseTransport):
    """A provider that refuses the key from the transcript of this number on; counts them."""

    def __init__(self, inner: httpx.BaseTransport, at: int) -> None:
        self.inner, self.at, self.asked, self._lock = inner, at, 0, threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if "/transcript/" in request.url.path:
            with self._lock:
                self.asked += 1
                if self.asked >= self.at:
                    return httpx.Response(401)
        return self.inner.handle_request(request)

    def close(self) -> None:
        self.inner.close()


def test_a_source_that_refuses_the_key_is_asked_for_no_more_transcripts(db: Engine) -> None:
    place = house(db, World(3, calls={"vaani": 3 * BATCH}, now=NOW))
    at, sandbox = BATCH + 10, place.transport
    place.transport = provider = Refusing(sandbox, at)
    report = place.run("vaani")
    assert report.status == "failed"
    assert "refuses the key" in str(report.error)
    assert provider.asked < at + AT_ONCE
    assert place.one("SELECT count(*) FROM raw.payloads WHERE kind = 'transcript'") == at - 1  # what came stays
    place.transport = sandbox
    place.sync("vaani")
    assert differences(place, "vaani") == []
    assert adds_up(place)
