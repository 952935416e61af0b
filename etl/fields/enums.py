"""A path of a record → the field that reads a word from it, by a vocabulary that all providers share."""

from collections.abc import Mapping

from etl.fields.values import at, is_empty, mistyped, plain, unknown_word
from etl.fields.vocabulary import OUTCOMES, meaning
from etl.model import Field, Reading


def word_at(reading: Reading, path: str, words: Mapping[str, str]) -> str | None:
    """What a vocabulary makes of the word at a path: ``None`` for no word, ``unknown`` for one that it does not know.

    The unknown word is noted as drift, and kept in ``extra``.
    """
    value = at(path)(reading.record)
    if is_empty(value):
        return None
    written = plain(value)
    if written is None:
        mistyped(reading, path, value)
        return "unknown"
    found = meaning(words, written)
    if found is None:
        unknown_word(reading, path, written)
    return found or "unknown"


def meaning_of(reading: Reading, path: str, words: Mapping[str, str]) -> str | None:
    """What a few words at a path mean; the others are left to the column that reads them."""
    return meaning(words, reading.record.get(path))


def one_of(path: str, words: Mapping[str, str]) -> Field:
    """A word of a vocabulary; ``unknown`` for none, and for one that it does not know."""
    return Field((path,), lambda reading: word_at(reading, path, words) or "unknown")


def status_outcome(reading: Reading, path: str) -> str | None:
    """The outcome that a status word stands for; an unknown word is kept in ``provider_status`` alone."""
    kept = len(reading.keep)
    found = word_at(reading, path, OUTCOMES)
    if reading.row.get("provider_status") is not None:
        del reading.keep[kept:]
    return found


def live(path: str) -> Field:
    """Whether a status word says that the call goes on; null for none or an unknown one."""
    get = at(path)

    def read(reading: Reading) -> bool | None:
        outcome = meaning(OUTCOMES, get(reading.record))
        return None if outcome is None else outcome == "in_progress"

    return Field((), read)
