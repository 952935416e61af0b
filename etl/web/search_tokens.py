"""Search text → a random token for the URL, so that no phone number or word ends up in a history or a log."""

import secrets
from collections import OrderedDict

MAX_SEARCHES = 200


class SearchTokens:
    """The last searches by their tokens, in memory; only the event loop adds one, so it needs no lock."""

    def __init__(self) -> None:
        self._words: OrderedDict[str, str] = OrderedDict()

    def add(self, words: str) -> str:
        """Store a search text under a new token."""
        token = secrets.token_urlsafe(9)
        self._words[token] = words
        if len(self._words) > MAX_SEARCHES:
            self._words.popitem(last=False)
        return token

    def words(self, token: str) -> str | None:
        """The search text of a token, ``None`` once it has expired."""
        return self._words.get(token)
