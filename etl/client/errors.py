"""What may go wrong with a source, as sentences that a person can act on and that show nothing of its data."""

from datetime import datetime


class SourceError(Exception):
    """A source could not be read: which, what happened, the HTTP status if there was one, what to do.

    The text holds no URL, query, header, body or key.
    """

    def __init__(self, source: str, what: str, mend: str, status: int | None = None) -> None:
        self.source = source
        self.what = what
        self.mend = mend
        self.status = status
        shown = what if status is None else f"{what} (HTTP {status})"
        super().__init__(f"{source}: {shown}; {mend}")


class SourcePaused(SourceError):
    """No request may be sent to this source before ``until``: its key, its balance or its patience is at an end."""

    def __init__(self, source: str, what: str, mend: str, status: int | None, until: datetime) -> None:
        super().__init__(source, what, mend, status)
        self.until = until


class SourceUnavailable(SourceError):
    """Tried again and still no whole answer; the next run may have more luck."""


class RequestRefused(SourceError):
    """This one request is wrong in the provider's eyes (400, 404, 410, 422, a redirect); others may do."""


class ResponseUnreadable(SourceError):
    """Answers came, and none was what the API promises."""


class ResponseTooLarge(SourceError):
    """The answer grew past the bounds and was cut off; a smaller page may fit."""
