"""A path of a record → the field that reads a word from it, by a vocabulary that all providers share."""

from collections.abc import Mapping

from etl.fields.values import as_text, flag_unknown_value, flag_wrong_type, getter, is_empty
from etl.fields.vocabulary import OUTCOMES, lookup
from etl.model import Field, RecordContext


def word_at(reading: RecordContext, path: str, words: Mapping[str, str]) -> str | None:
    """What a vocabulary makes of the word at a path: ``None`` for no word, ``unknown`` for one that it does not know.

    The unknown word is noted as drift, and kept in ``extra``.
    """
    value = getter(path)(reading.record)
    if is_empty(value):
        return None
    written = as_text(value)
    if written is None:
        flag_wrong_type(reading, path, value)
        return "unknown"
    found = lookup(words, written)
    if found is None:
        flag_unknown_value(reading, path, written)
    return found or "unknown"


def meaning_of(reading: RecordContext, path: str, words: Mapping[str, str]) -> str | None:
    """What a few words at a path mean; the others are left to the column that reads them."""
    return lookup(words, reading.record.get(path))


def one_of(path: str, words: Mapping[str, str]) -> Field:
    """A word of a vocabulary; ``unknown`` for none, and for one that it does not know."""
    return Field((path,), lambda reading: word_at(reading, path, words) or "unknown")


def status_outcome(reading: RecordContext, path: str) -> str | None:
    """The outcome that a status word stands for; an unknown word is kept in ``provider_status`` alone."""
    kept = len(reading.extra_paths)
    found = word_at(reading, path, OUTCOMES)
    if reading.row.get("provider_status") is not None:
        del reading.extra_paths[kept:]
    return found


def live(path: str) -> Field:
    """Whether a status word says that the call goes on; null for none or an unknown one."""
    get = getter(path)

    def read(reading: RecordContext) -> bool | None:
        outcome = lookup(OUTCOMES, get(reading.record))
        return None if outcome is None else outcome == "in_progress"

    return Field((), read)
