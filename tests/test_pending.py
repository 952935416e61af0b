"""Transcripts that take a request each: how many are asked for at a time, and when asking for them ends."""

import threading
import time

import httpx
import pytest
from sqlalchemy import Engine

from etl.pending import AT_ONCE, BATCH, QUICK_SECONDS
from etl.sandbox.world import World
from tests.worlds import NOW, House, adds_up, differences, house


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


class Slow(httpx.BaseTransport):
    """A provider whose transcripts take so many seconds by the house's clock; ``most`` were under way at once."""

    def __init__(self, place: House, seconds: float) -> None:
        self.inner, self.clock, self.seconds = place.transport, place.clock, seconds
        self.under_way = self.most = self.asked = 0
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if "/transcript/" not in request.url.path:
            return self.inner.handle_request(request)
        with self._lock:
            self.under_way, self.asked = self.under_way + 1, self.asked + 1
            self.most = max(self.most, self.under_way)
        time.sleep(0.002)  # long enough for the others to come in
        self.clock.sleep(self.seconds)
        with self._lock:
            self.under_way -= 1
        return self.inner.handle_request(request)


@pytest.mark.parametrize(("seconds", "most"), [(QUICK_SECONDS / 10, 1), (2 * QUICK_SECONDS, AT_ONCE)])
def test_several_are_asked_for_at_a_time_where_answers_take_long(db: Engine, seconds: float, most: int) -> None:
    place = house(db, World(3, calls={"vaani": 2 * BATCH}, now=NOW))
    place.transport = provider = Slow(place, seconds)
    place.sync("vaani")
    assert provider.asked >= BATCH
    assert provider.most == most
    assert differences(place, "vaani") == []


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
