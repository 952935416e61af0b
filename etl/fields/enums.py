"""A path of a record → the field that maps its word to one of the warehouse, by a vocabulary of all providers."""

from collections.abc import Mapping

from etl.fields.values import as_text, flag_unknown_value, flag_wrong_type, getter, is_unset
from etl.fields.vocabulary import MAX_WORD_LENGTH, OUTCOMES, lookup, normalize
from etl.model import Field, Inline, RecordContext

_WORD = f"type(v) is str and len(v) <= {MAX_WORD_LENGTH} and (w := {{words}}.get({{normalize}}(v)))"


def word_at(context: RecordContext, path: str, words: Mapping[str, str]) -> str | None:
    """The vocabulary's term for the word at a path: ``None`` where there is none, ``unknown`` for an unknown word.

    An unknown word is recorded as drift and kept in ``extra``.
    """
    value = getter(path)(context.record)
    if found := lookup(words, value):
        return found
    if is_unset(value):
        return None
    written = as_text(value)
    if written is None:
        flag_wrong_type(context, path, value)
        return "unknown"
    found = lookup(words, written)
    if found is None:
        flag_unknown_value(context, path, written)
    return found or "unknown"


def known_word(context: RecordContext, path: str, words: Mapping[str, str]) -> str | None:
    """The term for the word at a path; ``None``, without drift, for any other word."""
    return lookup(words, context.record.get(path))


def one_of(path: str, words: Mapping[str, str]) -> Field:
    """A term of a vocabulary; ``unknown`` for no word and for an unknown one."""
    inline = Inline(
        f"w if {_WORD} else 'unknown' if v is None else {{read}}", path, {"words": words, "normalize": normalize}
    )
    return Field((path,), lambda context: word_at(context, path, words) or "unknown", inline=inline)


def outcome(path: str) -> Field:
    """The outcome of a status; ``unknown`` for no status and for an unknown one."""
    inline = one_of(path, OUTCOMES).inline
    return Field((path,), lambda context: status_outcome(context, path) or "unknown", ("provider_status",), inline)


def status_outcome(context: RecordContext, path: str) -> str | None:
    """The outcome of a status, ``None`` where there is none; ``provider_status`` holds an unknown one as it is."""
    kept = len(context.extra_paths)
    found = word_at(context, path, OUTCOMES)
    if context.row["provider_status"] is not None:
        del context.extra_paths[kept:]
    return found


def is_live(path: str) -> Field:
    """Whether the call is still going on by its status; null for no status and for an unknown one."""
    get = getter(path)

    def read(context: RecordContext) -> bool | None:
        outcome = lookup(OUTCOMES, get(context.record))
        return None if outcome is None else outcome == "in_progress"

    code = f"w == 'in_progress' if {_WORD} else {{read}}"
    return Field((), read, inline=Inline(code, path, {"words": OUTCOMES, "normalize": normalize}))
