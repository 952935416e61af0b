"""A page that is wanted → the page, asked for in smaller pieces where the provider cannot give it whole."""

from collections.abc import Sequence
from functools import partial

from etl.client.client import Answer, Client
from etl.client.errors import AnswerTooLarge, AnswerUnreadable, SourceUnavailable
from etl.stream import Ask, Page, Paging, Provider


def fetch(client: Client, provider: Provider, ask: Ask) -> Answer[Page]:
    """One page, with the observation number of its first request.

    An answer that is too large, cannot be read or never comes is asked for again as smaller pages of the same rows,
    down to single records. Raises :class:`~etl.client.errors.SourceError` where even that does not help.
    """
    try:
        return client.get(provider.ask(ask), partial(provider.read, ask))
    except (AnswerTooLarge, AnswerUnreadable, SourceUnavailable) as error:
        if ask.size == 1 or (isinstance(error, SourceUnavailable) and error.status is None):
            raise  # no answer at all has nothing to do with what was asked
        parts = [fetch(client, provider, smaller) for smaller in pieces(provider.paging, ask)]
        if not _are_one_page([len(part.value.records) for part in parts], ask.size // len(parts)):
            raise  # a server that gives smaller pages than it is asked for gives other rows than these
    last = parts[-1].value
    records = [record for part in parts for record in part.value.records]
    return Answer(Page(records, last.total, ask.size, last.is_last), parts[0].seq, parts[-1].received_at)


def _are_one_page(counts: Sequence[int], size: int) -> bool:
    """Whether pieces follow on each other: one that is short is the list's end, and nothing comes after it."""
    return all(count >= size or not any(counts[n + 1 :]) for n, count in enumerate(counts))


def pieces(paging: Paging, ask: Ask) -> list[Ask]:
    """The same rows as a few smaller pages, in their order."""
    parts = next((n for n in (2, 3, 5) if ask.size % n == 0), ask.size)
    size = ask.size // parts
    first = (ask.position - 1) * parts + 1 if paging is Paging.PAGES else ask.position
    step = 1 if paging is Paging.PAGES else size
    return [Ask(ask.source, ask.window, first + n * step, size, ask.phone) for n in range(parts)]
