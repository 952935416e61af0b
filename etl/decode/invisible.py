"""Characters that show nothing, such as byte order marks, zero-width spaces and bidi marks → texts without them."""

from typing import Any

_JOINERS = "\u200c\u200d"  # which change how Indic and Persian words and emoji look
MARKS = "\xad\u061c\u180e\u200b\u200e\u200f\ufeff" + "".join(map(chr, (*range(0x202A, 0x202F), *range(0x2060, 0x2070))))
_SPACES = " \t\n\r\v\f\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
ENDS = MARKS + _SPACES
_BLANK = ENDS + _JOINERS
_MARKS = frozenset(MARKS)
# None of them is printable, which is known of a text in a twentieth of the time.
_NO_MARKS = dict.fromkeys(map(ord, MARKS))
_VISIBLE = dict.fromkeys(map(ord, MARKS + _JOINERS))


def visible(text: str) -> str:
    """A text without invisible characters: for numbers, times, ids and words of a vocabulary."""
    return text if text.isascii() or text.isprintable() else text.translate(_VISIBLE)


def without_marks(text: str) -> str:
    """A text without the invisible characters that belong to no word: for names."""
    return text if text.isascii() or text.isprintable() else text.translate(_NO_MARKS)


def trimmed(text: str) -> str:
    """A text without spaces and invisible characters at its ends."""
    text = text.strip()  # of spaces alone, and a tenth of the time
    is_clean = text.isascii() or (text[0] not in _MARKS and text[-1] not in _MARKS)
    return text if is_clean else text.strip(ENDS)


def is_blank(text: str) -> bool:
    """Whether a text shows nothing."""
    return not text or (not text[0].isalnum() and not text.strip(_BLANK))


def uncover_keys(value: Any) -> None:
    """Remove invisible characters from all keys of a value that was read from JSON.

    Raises ValueError where two keys of an object differ in nothing else.
    """
    inside = [value]
    for each in inside:  # which grows
        if not isinstance(each, dict):
            inside += [inner for inner in each if type(inner) in (dict, list)] if isinstance(each, list) else ()
            continue
        inside += [inner for inner in each.values() if type(inner) in (dict, list)]
        if not "".join(each).isascii():
            items = {visible(key): inner for key, inner in each.items()}
            if len(items) < len(each):
                raise ValueError("two keys differ only in invisible characters")
            each.clear()
            each.update(items)
