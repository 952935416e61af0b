"""What a person searches for → a name that may stand in an address: no number or word gets into a history or a log."""

import secrets
import threading
from collections import OrderedDict

KEPT = 200


class SearchTokens:
    """The last searches by a name that nobody guesses; they are gone with the process."""

    def __init__(self) -> None:
        self._words: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, words: str) -> str:
        """The name of a search."""
        name = secrets.token_urlsafe(9)
        with self._lock:
            self._words[name] = words
            while len(self._words) > KEPT:
                self._words.popitem(last=False)
        return name

    def words(self, name: str) -> str | None:
        """What was searched for under this name, ``None`` where that is forgotten."""
        return self._words.get(name)
