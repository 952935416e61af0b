"""A page that is wanted → the page, asked for in smaller pieces where the provider cannot give it whole."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from etl.client.api_client import Client, Response
from etl.client.errors import ResponseTooLarge, ResponseUnreadable, SourceError, SourceUnavailable
from etl.model import Page, PageRequest, Paging, Provider
from etl.paging import positions

RETRY_SMALLER = (ResponseTooLarge, ResponseUnreadable, SourceUnavailable)  # a smaller page may be had all the same


def fetch(client: Client, provider: Provider, ask: PageRequest, in_force: int | None = None) -> Response[Page]:
    """One page, with the observation number of its first request.

    An answer that is too large, cannot be read or never comes is asked for again as smaller pages of the same rows,
    down to single records; a page that is whole but for one record says so. ``in_force`` is the page size that the
    server uses, where it is smaller than the one asked for. Raises :class:`~etl.client.errors.SourceError` where even
    that does not help.
    """
    try:
        return client.get(provider.ask(ask), partial(provider.read, ask))
    except RETRY_SMALLER as error:
        if ask.size == 1 or _is_silence(error):
            raise
        smaller = split_request(provider.paging, replace(ask, size=min(in_force or ask.size, ask.size)))
        parts, unshown = _fetch_parts(client, provider, smaller)
        if not _are_one_page(provider.paging, smaller, parts):
            raise  # a server that gives smaller pages than it is asked for gives other rows than these
    answers = [part for part in parts if part is not None]
    last, records = answers[-1].value, [record for part in answers for record in part.value.records]
    page = Page(records, last.total, len(smaller) * smaller[0].size, last.is_last, unshown)
    return Response(page, answers[0].seq, answers[-1].received_at)


def _fetch_parts(
    client: Client, provider: Provider, asks: Sequence[PageRequest]
) -> tuple[list[Response[Page] | None], Exception | None]:
    """The pieces of a page, ``None`` for a record that cannot be had, and why; two such are the provider's trouble."""
    parts: list[Response[Page] | None] = []
    unshown: Exception | None = None
    for ask in asks:
        try:
            part = fetch(client, provider, ask)
        except RETRY_SMALLER as error:
            if ask.size > 1 or unshown or _is_silence(error):
                raise
            unshown = error
            parts.append(None)
        else:
            if part.value.unreadable and unshown:
                raise part.value.unreadable
            unshown = unshown or part.value.unreadable
            parts.append(part)
    return parts, unshown


def _is_silence(error: SourceError) -> bool:
    """No answer at all has nothing to do with what was asked."""
    return isinstance(error, SourceUnavailable) and error.status is None


def _are_one_page(paging: Paging, asks: Sequence[PageRequest], parts: Sequence[Response[Page] | None]) -> bool:
    """Whether pieces follow on each other: each of its size and in its place, and none after a short one, the end."""
    counts = [part.value.count if part else 1 for part in parts]
    in_place = all(
        part is None or _is_in_place(part.value, positions.row(paging, ask.position, ask.size), ask.size)
        for ask, part in zip(asks, parts, strict=True)
    )
    return in_place and all(
        count >= ask.size or not any(counts[n + 1 :]) for n, (ask, count) in enumerate(zip(asks, counts, strict=True))
    )


def _is_in_place(page: Page, rows_before: int, size: int) -> bool:
    """Whether a page can be the one that was asked for, by the size that it says and by how long the list is."""
    fits = page.total is None or not page.count or rows_before + page.count <= page.total
    return fits and (page.size is None or page.size >= size or not page.count)


def split_request(paging: Paging, ask: PageRequest) -> list[PageRequest]:
    """The same rows as a few smaller pages, in their order."""
    parts = next((n for n in (2, 3, 5) if ask.size % n == 0), ask.size)
    size = ask.size // parts
    first = (ask.position - 1) * parts + 1 if paging is Paging.PAGES else ask.position
    step = 1 if paging is Paging.PAGES else size
    return [PageRequest(ask.source, ask.window, first + n * step, size, ask.partition) for n in range(parts)]
