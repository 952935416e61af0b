"""A page that the provider cannot give whole comes in pieces, and no row of it is lost or doubled."""

from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.client.api_client import Client
from etl.client.errors import SourceUnavailable
from etl.extractors import providers
from etl.model import Page, PageRequest, Paging, Source, Window
from etl.runtime.secret import Secret
from etl.sync.pager import Pager, split_request
from tests.fakes import FakeClock, FakeRateLimiter

SOURCE = Source("vaani", "vaani", "http://127.0.0.1:1", Secret("a-key-of-a-test"), "credits")
WINDOW = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
ROWS = 25


class Pages(httpx.BaseTransport):
    """Vaani's list of 25 calls, which fails where ``fails`` says so of the first row and the size."""

    def __init__(self, fails: Callable[[int, int], bool], clamp: int = 1000) -> None:
        self._fails, self._clamp = fails, clamp

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        page, asked = int(request.url.params["page"]), int(request.url.params["page_size"])
        size = min(asked, self._clamp)
        first = (page - 1) * size
        if self._fails(first, asked):
            return httpx.Response(500)
        data = [{"call_id": f"c{n}"} for n in range(first, min(first + size, ROWS))]
        pagination = {"page": page, "page_size": size, "total_count": ROWS, "has_next": first + size < ROWS}
        return httpx.Response(200, json={"data": data, "pagination": pagination})


def page(fails: Callable[[int, int], bool], position: int, size: int, clamp: int = 1000) -> Page:
    provider, clock = providers()["vaani"], FakeClock()
    client = Client(SOURCE, provider.credential, FakeRateLimiter(clock), clock, lambda: 0.5, Pages(fails, clamp))
    return Pager(client, provider, SOURCE).page(WINDOW, position, size).value


def asked(fails: Callable[[int, int], bool], position: int, size: int, clamp: int = 1000) -> list[bytes]:
    return list(page(fails, position, size, clamp).records)


def test_a_page_that_fails_whole_comes_as_smaller_ones() -> None:
    found = asked(lambda first, size: size > 5, 1, 20)
    assert found == [b'{"call_id":"c%d"}' % n for n in range(20)]


@pytest.mark.parametrize("row", [0, 7, 19])
def test_a_row_that_always_fails_is_said_to_be_missing_and_hides_no_other(row: int) -> None:
    found = page(lambda first, size: first <= row < first + size, 1, 20)
    assert found.records == [b'{"call_id":"c%d"}' % n for n in range(20) if n != row]
    assert (found.count, found.total) == (20, ROWS)
    assert isinstance(found.unreadable, SourceUnavailable)


def test_two_rows_of_a_page_that_fail_are_trouble_of_the_provider() -> None:
    with pytest.raises(SourceUnavailable):
        asked(lambda first, size: any(first <= row < first + size for row in (3, 17)), 1, 20)


def test_pieces_that_a_server_makes_smaller_are_not_the_page() -> None:
    with pytest.raises(SourceUnavailable):
        asked(lambda first, size: size > 10, 1, 20, clamp=4)


@given(st.sampled_from(list(Paging)), st.integers(1, 40), st.integers(2, 200))
def test_the_pieces_are_the_page(paging: Paging, position: int, size: int) -> None:
    def rows(ask: PageRequest) -> list[int]:
        first = (ask.position - 1) * ask.size if paging is Paging.PAGES else ask.position
        return list(range(first, first + ask.size))

    whole = PageRequest(SOURCE, WINDOW, position, size)
    assert [row for piece in split_request(paging, whole) for row in rows(piece)] == rows(whole)
