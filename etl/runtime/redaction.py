"""A text → the same text without secrets, without the credentials of its links, phone numbers and e-mail addresses."""

import base64
import html
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from urllib.parse import quote_plus

from etl.runtime.secret import Secret

# A link keeps its scheme, host and path. Its user and password, its fragment, and its query unless that names a call or
# a page only, may open what it leads to. warehouse.bare_links has the same expressions, and the same tests.
_SLASHES = r"(?:/\\{0,16}/|%2[Ff]%2[Ff])"  # also as escaped in JSON and in URLs
_HARMLESS = (
    r"[?](?:id|call_id|recording_id|page|page_size|per_page|limit|offset)=[A-Za-z0-9-]{1,64}"
    r"(?:&(?:id|call_id|recording_id|page|page_size|per_page|limit|offset)=[A-Za-z0-9-]{1,64})*"
    r"(?![^\s\"<>#\\])"
)
_PATH = r"(?:[^\s\"<>?#;%\\]|%(?!3[BbFf]|23)|\\\\(?!u00)|\\/)*"
_REST = r"(?:[^\s\"<>\\]|\\\\|\\[^\"nrtbf\\])*"  # up to a space, a quote or a bracket, in whole escapes of JSON
_LINKS = (
    (re.compile(rf"({_SLASHES})[^\s\"<>/?#\\]*(?:@|%40)"), r"\1"),
    (re.compile(rf"({_SLASHES}{_PATH})({_HARMLESS})?{_REST}"), r"\1\2"),
    (re.compile(rf"(?!{_HARMLESS})[?#][\w.~%-]{{1,64}}={_REST}"), ""),  # a link without its host
)
_NAMES = "api[_-]?key|key|phone|token|secret|password|passwd|pwd|jwt|auth|signature|sig|hmac|policy|credential|session"
_PATTERNS = (
    *_LINKS,
    # the values of a form, and the headers that carry keys
    (re.compile(rf"(?i)(&(?:[\w.-]*[_.-])?(?:{_NAMES})=)[^&\s'\"<>]+"), r"\1***"),
    (
        re.compile(
            r"(?i)\b(x-api-key|authorization)(['\"]?\s*[:=,]\s*(?:b?['\"])?)(?:bearer\s+|basic\s+)?[^\s'\",}\]]+"
        ),
        r"\1\2***",
    ),
    (re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]{8,}"), r"\1***"),
    (re.compile(r"[\w.+-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+"), "***"),
    # phone numbers: with a plus or its escape, then bare ones that are not part of a longer word or decimal
    (re.compile(r"(?:\+|%2[Bb])[0-9](?:[ ().-]{0,2}[0-9]){6,16}"), "***"),
    (re.compile(r"(?<![\w.+-])[0-9]{10,15}(?![\w-])"), "***"),
)
_LETTER = rb"(?:3[0-9]|[4-7][1-9a-f]|[5-7]0)"
_ESCAPED_LETTER = [re.compile(start + _LETTER) for start in (rb"\\u00", rb"\\x", b"%(?:25)*")] + [re.compile(b"&#")]
MANY, SHORTEST, LONGEST_BEGINNING = 100, 4, 16
_WINDOW, _OVERLAP = 1 << 20, 1 << 12


def bare_links(text: str) -> str:
    """The text with its links cut to what opens nothing by itself, as the views of ``bi`` show them."""
    if "/" not in text and "=" not in text and "%" not in text:  # a twentieth of the time: most are no links
        return text
    for pattern, replacement in _LINKS:
        text = pattern.sub(replacement, text)
    return text


class Redaction:
    """Replaces everything that must not be shown; of two secrets that overlap the longer is replaced.

    Of more than a hundred secrets, which are the keys of as many accounts, the plain, hexadecimal and base64 forms are
    found, and none whose letters are escaped one by one: those patterns would take minutes to compile.
    """

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self._all = list(dict.fromkeys(secret.reveal() for secret in secrets if secret))
        values = self._values = self._all if len(self._all) <= MANY else []
        # the parts of each form, without all of which only an encoder that escapes letters, too, can have written it
        forms = {*values}.union(*map(_encoded, values))
        self._signs = [[part.encode() for part in re.findall(r"[a-z0-9]+", form.lower())] for form in forms]

    @cached_property
    def _known(self) -> re.Pattern[str]:
        """Every form of every secret, compiled where a sign of one is found: it takes milliseconds."""
        forms = {(len(value), "".join(map(_character, value))) for value in self._values}
        forms |= {(len(form), re.escape(form)) for value in self._values for form in _encoded(value)}
        return re.compile("|".join(pattern for _, pattern in sorted(forms, reverse=True)), re.IGNORECASE)

    def __call__(self, text: str) -> str:
        """The text with ``***`` in place of what must not be logged."""
        text = self.secrets(text)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text

    def extended(self, secrets: Iterable[Secret]) -> "Redaction":
        """The same with more secrets."""
        return Redaction([*map(Secret, self._all), *secrets])

    @cached_property
    def _beginnings(self) -> Mapping[str, list[str]]:
        """The forms of many secrets by their first characters, the longest first."""
        forms = sorted({form for value in self._all for form in (value, *_encoded(value))}, key=len, reverse=True)
        width, found = max(min(map(len, forms)), SHORTEST), defaultdict[str, list[str]](list)
        for form in forms:
            found[form[: min(width, LONGEST_BEGINNING)]].append(form)
        return found

    def _without_many(self, text: str) -> str:
        """The text without any of many secrets, in a time that does not depend on how many there are."""
        width, kept, at, start = len(next(iter(self._beginnings))), list[str](), 0, 0
        while at <= len(text) - width:
            forms = self._beginnings.get(text[at : at + width], ())
            if found := next((form for form in forms if text.startswith(form, at)), None):
                kept += [text[start:at], "***"]
                at = start = at + len(found)
            else:
                at += 1
        return "".join([*kept, text[start:]])

    def secrets(self, text: str) -> str:
        """The text with ``***`` in place of the secrets alone, at the speed of a search where there is none."""
        if len(self._all) > MANY:
            return self._without_many(text)
        return self._known.sub("***", text) if self._may_be_in(text.encode(errors="surrogatepass")) else text

    def secrets_in_bytes(self, data: bytes) -> bytes:
        """The same of a response, which may be no text."""
        if len(self._all) > MANY:
            return self._without_many(data.decode("latin-1")).encode("latin-1")
        return self._known.sub("***", data.decode("latin-1")).encode("latin-1") if self._may_be_in(data) else data

    def _may_be_in(self, data: bytes) -> bool:
        for start in range(0, len(data) if self._signs else 0, _WINDOW):  # a copy of a whole response takes its memory
            window = data[start : start + _WINDOW + _OVERLAP].lower()
            if any(all(part in window for part in sign) for sign in self._signs):
                return True
            if any(each.search(window) for each in _ESCAPED_LETTER):
                return True
        return False


def _character(character: str) -> str:
    """A character, also as escaped in JSON, Python, URLs (twice, too) and HTML."""
    code, percent = ord(character), "".join(f"%(?:25)*{byte:02x}" for byte in character.encode())
    texts = {character, quote_plus(character), json.dumps(character)[1:-1], repr(character)[1:-1]}
    forms = {re.escape(text) for text in texts | {html.escape(character)}}
    forms |= {percent, f"u{code:04x}", f"x{code:02x}", f"&#0*{code};", f"&#x0*{code:x};"}
    return rf"\\{{0,4}}(?:{'|'.join(sorted(forms, key=len, reverse=True))})"


def _encoded(value: str) -> set[str]:
    """The hexadecimal of a value, and its base64 at any offset in a longer text: the digits that depend on it alone."""
    raw = value.encode()
    found = {raw.hex()}
    for lead in range(3):
        text = base64.b64encode(b"\0" * lead + raw).decode()
        whole = text[(lead * 8 + 5) // 6 : (lead + len(raw)) * 8 // 6]
        found |= {whole, whole.translate(str.maketrans("+/", "-_"))} if len(whole) >= 6 else set()
    return found
