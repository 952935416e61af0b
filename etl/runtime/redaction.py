"""A text → the same text without secrets, phone numbers and e-mail addresses."""

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from etl.runtime.secret import Secret

_NAMES = "api[_-]?key|key|phone|token|secret|password|passwd|signature|sig|credential|x-amz-[a-z-]+"
_PATTERNS = (
    # the credentials of a URL, the values of its query, and the headers that carry keys
    (re.compile(r"(?<=://)[^/\s@'\"]+@"), "***@"),
    (re.compile(rf"(?i)([?&](?:[\w.-]*[_.-])?(?:{_NAMES})=)[^&\s'\"<>]+"), r"\1***"),
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


class Redaction:
    """Replaces everything that must not be logged; of two secrets that overlap the longer is replaced."""

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        forms = {form for secret in secrets if secret for form in _forms(secret.reveal())}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._known = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __call__(self, text: str) -> str:
        """The text with ``***`` in place of what must not be logged."""
        if self._known:
            text = self._known.sub("***", text)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text


def _forms(value: str) -> set[str]:
    """A secret in plain text and as encoded in URLs, JSON, Python, base64 and hexadecimal."""
    raw = value.encode()
    texts = {value, quote(value, safe=""), quote(value), quote_plus(value), repr(value)[1:-1]}
    texts |= {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], value.replace("/", "\\/")}
    return texts | {raw.hex(), raw.hex().upper()} | _base64(raw)


def _base64(raw: bytes) -> set[str]:
    """The base64 of a value at any offset in a longer text: the digits that depend on the value alone."""
    found = set()
    for lead in range(3):
        text = base64.b64encode(b"\0" * lead + raw).decode()
        whole = text[(lead * 8 + 5) // 6 : (lead + len(raw)) * 8 // 6]
        found |= {whole, whole.translate(str.maketrans("+/", "-_"))} if len(whole) >= 6 else set()
    return found
