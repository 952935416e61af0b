"""Transcripts that take a request each: how many are asked for at a time, and when asking ends."""

import threading
from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import Engine

from etl.pending import AT_ONCE, BATCH, QUICK_SECONDS
from etl.sandbox.world import World
from tests.worlds import NOW, House, adds_up, differences, house


class Provider(httpx.BaseTransport):
    """The sandbox, where something is done at each transcript, which may answer it; counts them, from 1."""

    def __init__(self, place: House, at: Callable[[int], httpx.Response | None]) -> None:
        self.inner, self.at, self.asked, self._lock = place.transport, at, 0, threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if "/transcript/" not in request.url.path:
            return self.inner.handle_request(request)
        with self._lock:
            self.asked += 1
            number = self.asked
        return self.at(number) or self.inner.handle_request(request)

    def close(self) -> None:
        self.inner.close()


@pytest.fixture
def place(db: Engine) -> House:
    return house(db, World(3, calls={"vaani": 5 * BATCH}, now=NOW))


@pytest.mark.parametrize("seconds", [QUICK_SECONDS / 10, 10 * QUICK_SECONDS])
def test_several_are_asked_for_at_a_time_where_answers_take_long(place: House, seconds: float) -> None:
    hands: list[int] = []

    def answer(number: int) -> None:
        place.clock.sleep(seconds)
        hands.append(threading.get_ident())

    place.transport = Provider(place, answer)
    place.sync("vaani")
    assert differences(place, "vaani") == []
    assert len(hands) > 2 * BATCH
    mine = threading.get_ident()
    assert mine not in hands[:BATCH]  # nobody knows yet
    assert {hand == mine for hand in hands[BATCH:]} == {seconds < QUICK_SECONDS}


@pytest.mark.parametrize("seconds", [QUICK_SECONDS / 10, 10 * QUICK_SECONDS])
def test_a_source_that_refuses_the_key_is_asked_for_no_more_transcripts(place: House, seconds: float) -> None:
    at, sandbox = BATCH + 10, place.transport

    def answer(number: int) -> httpx.Response | None:
        place.clock.sleep(seconds)
        return httpx.Response(401) if number >= at else None

    place.transport = provider = Provider(place, answer)
    report = place.run("vaani")
    assert report.status == "failed"
    assert "refuses the key" in str(report.error)
    assert provider.asked < at + AT_ONCE
    assert place.one("SELECT count(*) FROM raw.payloads WHERE kind = 'transcript'") == at - 1  # what came stays
    place.transport = sandbox
    place.sync("vaani")
    assert differences(place, "vaani") == []
    assert adds_up(place)
