"""What the pages work with, handed to all of them."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from etl.model import Source
from etl.ops.metrics import Metrics
from etl.runtime.clock import Stopped
from etl.runtime.logs import event
from etl.runtime.secret import Secret
from etl.state.registry import SourceMismatch
from etl.sync.parallel import failed
from etl.sync.retry_quarantine import retry
from etl.sync.run import RunDependencies, run_source
from etl.web import templating
from etl.web.cache import Cache
from etl.web.login_throttle import LoginThrottle
from etl.web.readonly_db import ReadonlyDatabase
from etl.web.search_tokens import SearchTokens
from etl.web.security import cookie
from etl.web.signed_cookies import SHOWN, SignedCookies

log = logging.getLogger("etl.web")


@dataclass
class WebContext:
    """The sources, their books, and who may see what."""

    deps: RunDependencies
    sources: Sequence[Source]
    token: Secret | None
    reading: ReadonlyDatabase
    passes: SignedCookies
    remembered: Cache
    metrics: Metrics
    guesses: LoginThrottle
    searches: SearchTokens = field(default_factory=SearchTokens)
    retrying: set[str] = field(default_factory=set)

    def now(self) -> datetime:
        """The wall clock."""
        return self.deps.clock.now()

    def can_view_pii(self, request: Request) -> bool:
        """Whether this reader asked to see the people in the calls."""
        return self.passes.holds(SHOWN, cookie(request.headers, SHOWN))

    def page(self, request: Request, name: str, status: int = 200, **values: Any) -> Response:
        """A page with what every page says."""
        common = {"see": self.can_view_pii(request), "path": request.url.path, "has_token": self.token is not None}
        return templating.page(name, self.now(), status, **common, **values)

    def retry(self, name: str) -> bool:
        """Try a source's quarantine again, in a thread of its own; whether there is such a source."""
        source = next((each for each in self.sources if each.name == name), None)
        if source is not None and name not in self.retrying:
            self.retrying.add(name)
            threading.Thread(target=self._retry, args=(source,), name=f"retry {name}", daemon=True).start()
        return source is not None

    def _retry(self, source: Source) -> None:
        try:
            report = run_source(self.deps, source, "replay", retry, lambda progress: None, by_hand=True)
            event(log, "quarantine retried", source=source.name, status=report.status, error=report.error)
        except Stopped:
            event(log, "quarantine retry stopped", source=source.name)
        except SourceMismatch as error:
            event(log, "quarantine not retried", level=logging.ERROR, source=source.name, error=str(error))
        except Exception as error:  # a thread of its own has nobody else to tell
            report = failed(source, "replay", error)
            event(log, "quarantine not retried", level=logging.ERROR, source=source.name, error=report.error)
        finally:
            self.retrying.discard(source.name)
            self.remembered.clear()
