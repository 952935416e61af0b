"""A stream's pages by window, position and size: every page request there is goes through :class:`Pager`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from etl.client import errors
from etl.client.api_client import Client, Response
from etl.loader.batch import ReceivedRecord
from etl.model import Page, PageRequest, Paging, Provider, Source, Window
from etl.paging import PageView, RowView, positions

# A smaller page may be had all the same.
RETRY_SMALLER = (errors.ResponseTooLarge, errors.ResponseUnreadable, errors.SourceUnavailable)


@dataclass(slots=True)
class Pager:
    """One partition of a source's calls, page by page. Raises :class:`~etl.client.errors.SourceError`.

    A response that is too large, cannot be read or never comes is requested again as smaller pages of the same rows,
    down to single records; a page that is complete but for one record says so.
    """

    client: Client
    provider: Provider
    source: Source
    partition: str = ""
    _stated_size: int | None = None  # the page size that the server uses, where it is smaller than the one requested

    def page(self, window: Window, position: int, size: int) -> Response[Page]:
        """One page, with the sequence number of its first request; a refused one is no refusal of the list."""
        request = PageRequest(self.source, window, position, size, self.partition)
        try:
            response = self._fetch(request, self._stated_size)
        except errors.RequestRefused as refused:
            if position == positions.first(self.provider.paging) or (refused.status or 0) < 400:
                raise
            problem = f"the provider refuses the page at position {position}: {refused.problem}"
            raise errors.PageRefused(
                self.source.name, problem, "calls behind it are not loaded", refused.status
            ) from None
        if size > 1:
            self._stated_size = response.value.size or self._stated_size
        return response

    def first_record(self, window: Window) -> Page:
        """The first record of a window, and with it the total: the smallest request there is."""
        return self.page(window, positions.first(self.provider.paging), 1).value

    def _fetch(self, request: PageRequest, stated_size: int | None = None) -> Response[Page]:
        try:
            return self.client.get(self.provider.ask(request), partial(self.provider.read, request))
        except RETRY_SMALLER as error:
            if request.size == 1 or _is_silence(error):
                raise
            error.__traceback__ = error.__context__ = None  # their frames hold the whole response
            size = min(stated_size or request.size, request.size)
            smaller = split_request(self.provider.paging, replace(request, size=size))
            parts, unreadable = self._fetch_parts(smaller)
            if not _are_one_page(self.provider.paging, smaller, parts):
                raise  # a server that returns smaller pages than requested returns other rows than these
        responses = [part for part in parts if part is not None]
        last, records = responses[-1].value, [record for part in responses for record in part.value.records]
        seqs = [seq for part in responses for seq in part.value.seqs or [part.seq] * len(part.value.records)]
        page = Page(records, last.total, len(smaller) * smaller[0].size, last.is_last, unreadable, seqs)
        return Response(page, responses[0].seq, responses[-1].received_at)

    def _fetch_parts(self, requests: Sequence[PageRequest]) -> tuple[list[Response[Page] | None], Exception | None]:
        """The parts of a page, ``None`` for a record that cannot be read, and why; two such fail the page."""
        parts: list[Response[Page] | None] = []
        unreadable: Exception | None = None
        for request in requests:
            part, error = None, None
            try:
                part = self._fetch(request)
                error = part.value.unreadable
            except errors.RequestRefused:
                if (part := self._behind_end(request, parts)) is None:
                    raise
            except RETRY_SMALLER as failed:
                if request.size > 1 or _is_silence(failed):
                    raise
                error = failed
            if error and unreadable:
                raise error
            unreadable = unreadable or error
            parts.append(part)
        return parts, unreadable

    def _behind_end(self, request: PageRequest, before: Sequence[Response[Page] | None]) -> Response[Page] | None:
        """What a refused part of a page amounts to: an empty one behind the end of the list; ``None`` before it."""
        last, paging = next((part for part in reversed(before) if part), None), self.provider.paging
        follows, total = (last.value.is_last is False, last.value.total) if last else (True, None)
        is_behind = positions.is_behind_end(paging, request.position, request.size, total, follows=follows)
        return last._replace(value=replace(last.value, records=(), unreadable=None)) if last and is_behind else None


def row_views(records: Sequence[ReceivedRecord], first_seq: int = 0) -> list[RowView]:
    """Records as a scan sees them; stored are those that the warehouse had before a scan's first request."""
    return [
        RowView(r.call_id or r.digest.hex(), r.created_at, r.stored_seq is not None and r.stored_seq < first_seq)
        for r in records
    ]


def page_view(page: Page, rows: Sequence[RowView]) -> PageView:
    """A page as a scan sees it."""
    return PageView(rows, page.total, page.size, page.is_last, int(bool(page.unreadable)))


def _is_silence(error: errors.SourceError) -> bool:
    """No response of the API has nothing to do with what was requested."""
    return error.concerns_source or isinstance(error, errors.AnsweredInBetween)


def _are_one_page(paging: Paging, requests: Sequence[PageRequest], parts: Sequence[Response[Page] | None]) -> bool:
    """Whether parts follow on each other: none after a short one, the end, and each the one that was requested, by the
    size that it states and by how long the list is."""
    is_over = False
    for request, part in zip(requests, parts, strict=True):
        count = part.value.count if part else 1
        if is_over and count:
            return False
        is_over = is_over or count < request.size
        if part and count:
            end = positions.row(paging, request.position, request.size) + count
            total, size = part.value.total, part.value.size
            if (total is not None and end > total) or (size is not None and size < request.size):
                return False
    return True


def split_request(paging: Paging, request: PageRequest) -> list[PageRequest]:
    """The same rows as a few smaller pages, in their order."""
    parts = next((n for n in (2, 3, 5) if request.size % n == 0), request.size)
    size = request.size // parts
    first = (request.position - 1) * parts + 1 if paging is Paging.PAGES else request.position
    step = 1 if paging is Paging.PAGES else size
    return [replace(request, position=first + n * step, size=size) for n in range(parts)]
