"""What all handlers of the page share."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any

from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import Response

from etl import __version__
from etl.model import Source
from etl.ops.metrics import Metrics
from etl.runtime.clock import Stopped
from etl.runtime.logs import event
from etl.runtime.secret import Secret
from etl.sync.replay import retry
from etl.sync.run import RunDependencies, error_message, run_source
from etl.web import templating
from etl.web.cache import Cache
from etl.web.login_throttle import LoginThrottle
from etl.web.readonly_db import readonly_engine
from etl.web.search_tokens import SearchTokens
from etl.web.security import cookie_value
from etl.web.signed_cookies import SHOW_PII, SignedCookies

log = logging.getLogger("etl.web")

CACHE_TTL_SECONDS = 2.0


@dataclass
class WebContext:
    """The sources, the page's database connections, and what it keeps in memory; ``token`` is ``None`` on loopback."""

    deps: RunDependencies
    sources: Sequence[Source]
    token: Secret | None
    metrics: Metrics
    db: Engine = field(init=False)
    cookies: SignedCookies = field(init=False)
    cache: Cache = field(init=False)
    login_throttle: LoginThrottle = field(init=False)
    search_tokens: SearchTokens = field(init=False, default_factory=SearchTokens)
    retrying: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        clock = self.deps.clock
        self.db = readonly_engine(self.deps.db.url)
        self.cookies = SignedCookies(self.token, clock)
        self.cache = Cache(clock, CACHE_TTL_SECONDS)
        self.login_throttle = LoginThrottle(clock)

    @property
    def zone(self) -> tzinfo:
        """The time zone of the page: that of all sources' reports where they have the same one, else UTC."""
        zones = {source.reporting.timezone for source in self.sources}
        return zones.pop() if len(zones) == 1 else UTC

    def now(self) -> datetime:
        """The present, aware and in UTC."""
        return self.deps.clock.now()

    def can_view_pii(self, request: Request) -> bool:
        """Whether this browser has asked to see personal data within the last 15 minutes."""
        return self.cookies.is_valid(SHOW_PII, cookie_value(request.headers, SHOW_PII))

    def render(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        """A template as a response, with the values that every page needs."""
        common = {
            "reveal_pii": self.can_view_pii(request),
            "path": request.scope["path"],
            "has_token": self.token is not None,
            "version": __version__,
            "page_zone": self.zone,
        }
        return templating.render(template, self.now(), status, **common, **values)

    def start_retry(self, name: str) -> bool:
        """Retry a source's quarantined records in a thread of its own; returns whether there is such a source."""
        source = next((source for source in self.sources if source.name == name), None)
        if source is not None and name not in self.retrying:
            self.retrying.add(name)
            threading.Thread(target=self._retry, args=(source,), name=f"retry {name}", daemon=True).start()
        return source is not None

    def _retry(self, source: Source) -> None:
        try:
            result = run_source(self.deps, source, "replay", retry, is_manual=True)
            event(log, "quarantine_retried", source=source.name, status=result.status, error=result.error)
        except Stopped:
            event(log, "quarantine_retry_stopped", source=source.name)
        except Exception as error:  # nothing above this thread would report it
            message = error_message(source.name, error)
            event(log, "quarantine_retry_failed", level=logging.ERROR, source=source.name, error=message)
        finally:
            self.retrying.discard(source.name)
            self.cache.clear()
