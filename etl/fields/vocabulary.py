"""The providers' words → the warehouse's terms; a word that one provider uses is known for all of them."""

import re
from collections.abc import Mapping
from functools import lru_cache

from etl.decode.invisible import visible

MAX_WORD_LENGTH = 80

_SEPARATORS = re.compile(r"[\s_\-]+")


@lru_cache(maxsize=1 << 12)
def normalize(word: str) -> str:
    """A word without case, spaces, hyphens, underscores and invisible characters."""
    return _SEPARATORS.sub("", visible(word).casefold())


def _words(table: Mapping[str, str]) -> dict[str, str]:
    return {normalize(word): term for term, words in table.items() for word in words.split()}


def lookup(words: Mapping[str, str], word: object) -> str | None:
    """The vocabulary's term for a word; ``None`` for an unknown word and for any other value."""
    return words.get(normalize(word)) if isinstance(word, str) and len(word) <= MAX_WORD_LENGTH else None


OUTCOMES = _words(
    {
        "in_progress": "registered ongoing retry pending ringing in_progress initiated",
        "completed": "completed ended ended_by_customer ended_by_assistant",
        "transferred": "transferred forwarded call_transferred call_forwarded",
        "no_answer": "no_answer",
        "busy": "busy rejected",
        "failed": "failed error",
        "canceled": "canceled cancelled",
        "voicemail": "voicemail voicemail_detected",
    }
)
DIRECTIONS = _words(
    {
        "inbound": "inbound incoming inbound_call incoming_call",
        "outbound": "outbound outgoing outbound_call outgoing_call",
        "web": "web webcall web_call",
    }
)
ANSWERED_BY = _words({"human": "human", "machine": "machine", "unknown": "unknown"})
FLAGS = {
    "cost_negative": "The cost is below zero.",
    "cost_total_differs": "The total cost differs from the sum of the parts that the provider shows.",
    "cost_unreadable": "A cost is not a plain number (12,50); it is in extra.",
    "duration_differs": "The provider's own duration is not the time between start and end.",
    "duration_negative": "The duration is below zero; it is in extra.",
    "ends_before_start": "The call ends before it starts; no duration is derived from its times.",
    "number_unreadable": "A number could not be read; a telephone number is then as sent, also a word in its place, "
    "such as anonymous.",
    "number_without_country": "A telephone number has no country code; it is as sent.",
    "text_repaired": "A text contained a character that PostgreSQL cannot store; U+FFFD replaces it.",
    "time_implausible": "A time lies before 2000 or after 2100; it is in extra.",
    "time_unreadable": "A time could not be read; it is in extra.",
    "turn_time_outside_call": "A turn's time lies outside the call; the turn has no time.",
    "type_unexpected": "A field has a type that its column cannot hold; it is in extra.",
}
"""Every data-quality flag and its meaning."""
