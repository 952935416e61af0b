"""What can go wrong with a source, in sentences that a person can act on and that show none of its data."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

PAUSE = timedelta(minutes=15)  # of a source that refuses its key


class PauseReason(StrEnum):
    """Why no request is sent to a source for a while; the value is what the database stores."""

    KEY_REFUSED = "key_refused"
    PAYMENT_REQUIRED = "payment_required"
    ACCESS_FORBIDDEN = "access_forbidden"
    RATE_LIMITED = "rate_limited"

    @property
    def problem(self) -> str:
        """The reason as a sentence."""
        return PAUSES[self][0]

    @property
    def headline(self) -> str:
        """The reason in a few words, of which the source's name is the subject."""
        return PAUSES[self][2]

    def hint(self, key_name: str) -> str:
        """What to do about it; ``key_name`` is the setting that holds the key."""
        return PAUSES[self][1].format(key=key_name)

    @property
    def needs_action(self) -> bool:
        """Whether it lasts until a person changes something at the provider or in the configuration."""
        return self is not PauseReason.RATE_LIMITED


PAUSES = {
    PauseReason.KEY_REFUSED: ("the provider refuses the key", "check {key}", "refuses its key"),
    PauseReason.PAYMENT_REQUIRED: (
        "the account's balance is used up",
        "top it up at the provider",
        "has no balance left",
    ),
    PauseReason.ACCESS_FORBIDDEN: (
        "the key may not read the calls",
        "grant it that right, or check {key}",
        "does not let its key read calls",
    ),
    PauseReason.RATE_LIMITED: ("the provider asked us to wait", "no request is sent until then", "asked us to wait"),
}


class SourceError(Exception):
    """A source could not be read: which one, the problem, the HTTP status if there was one, a hint what to do.

    The text holds no URL, query, header, body or key.
    """

    def __init__(self, source: str, problem: str, hint: str, status: int | None = None) -> None:
        self.source = source
        self.problem = problem
        self.hint = hint
        self.status = status
        shown = problem if status is None else f"{problem} (HTTP {status})"
        super().__init__(f"{source}: {shown}; {hint}")

    @property
    def concerns_source(self) -> bool:
        """Whether other requests to the source will fare no better: it is paused, or did not respond at all."""
        return isinstance(self, SourcePaused) or (isinstance(self, SourceUnavailable) and self.status is None)


class SourcePaused(SourceError):
    """No request may be sent to this source before ``until``: its key, balance or rate limit does not allow it."""

    def __init__(self, source: str, problem: str, hint: str, status: int | None, until: datetime) -> None:
        super().__init__(source, problem, hint, status)
        self.until = until


class AccessRefused(SourceError):
    """The provider refuses this request to this key (401, 402, 403): only a person can fix that."""

    def __init__(self, source: str, key_name: str, reason: PauseReason, status: int) -> None:
        super().__init__(source, reason.problem, reason.hint(key_name), status)
        self.reason = reason


def refusal_of_all(errors: Sequence[Exception | None]) -> AccessRefused | None:
    """The refusal of a source: each of its streams, whose errors these are, is refused."""
    refusals = [error for error in errors if isinstance(error, AccessRefused)]
    return refusals[0] if refusals and len(refusals) == len(errors) else None


class SourceUnavailable(SourceError):
    """Retries are used up without a complete response; the next run may succeed."""


class AnsweredInBetween(SourceUnavailable):
    """A firewall, a proxy or another server answers in place of the API, whatever the request is."""


class RequestRefused(SourceError):
    """The provider rejects this one request (400, 404, 410, 422, a redirect); others may succeed."""


class PageRefused(RequestRefused):
    """The provider rejects a page in the middle of a list; the rest may be had by a narrower filter."""


class ResponseUnreadable(SourceError):
    """Responses came, and none of them was what the API documents."""


class ResponseTooLarge(SourceError):
    """The response exceeded the size limit and was cut off; a smaller page may fit."""
