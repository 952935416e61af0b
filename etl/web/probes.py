"""A supervisor or Prometheus asks → whether the daemon is well, and what it counts."""

from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from etl.ops import health, metrics
from etl.ops.health import Health
from etl.web.page_context import WebContext


class Probes:
    """What programs ask for."""

    def __init__(self, site: WebContext) -> None:
        self._site = site

    def paths(self) -> Mapping[str, Callable[[Request], Response]]:
        """Where each is to be found."""
        return {"/healthz": self.alive, "/readyz": self.ready, "/metrics": self.metrics}

    def alive(self, request: Request) -> Response:
        """Whether the process does anything at all; it asks the database nothing."""
        return _answer(health.alive(self._site.metrics.silent_seconds()))

    def ready(self, request: Request) -> Response:
        """Whether every source can be read and is; behind a token, why not is for those who have it."""
        site = self._site
        found = site.remembered("ready", lambda: health.ready(site.reading.engine, site.sources, site.now()))
        if found.is_well or site.token is None:
            return _answer(found)
        return _answer(Health(False, ("not ready: the page and etl status say why",)))

    def metrics(self, request: Request) -> Response:
        """What Prometheus reads."""
        site = self._site
        said = site.remembered(
            "metrics", lambda: metrics.exposition(site.metrics, site.reading.engine, site.sources, site.now())
        )
        return Response(said, headers={"content-type": metrics.CONTENT_TYPE})


def _answer(found: Health) -> Response:
    return PlainTextResponse("".join(f"{line}\n" for line in found.message), 200 if found.is_well else 503)
