"""What a supervisor and Prometheus ask for: liveness, readiness and metrics."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from etl.ops import health, metrics
from etl.ops.health import Health
from etl.web.page_context import WebContext


class Probes:
    """The handlers of ``/healthz``, ``/readyz`` and ``/metrics``."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    async def alive(self, request: Request) -> Response:
        """Whether the daemon's main loop runs; it waits for no database and for no thread that does."""
        return _text(health.alive(self._context.metrics.heartbeat_age_seconds()))

    def ready(self, request: Request) -> Response:
        """Whether every source is being read; the reasons are shown only where no token is required."""
        context = self._context
        found = context.cache.get("ready", lambda: health.ready(context.db, context.sources, context.now()))
        if context.token is None:
            return _text(found)
        word = found.message[0].partition(":")[0] if found.is_healthy else "not ready: the page and etl status say why"
        return _text(Health(found.is_healthy, (word,)))

    def metrics(self, request: Request) -> Response:
        """The metrics in Prometheus' text format."""
        context = self._context
        body = context.cache.get(
            "metrics", lambda: metrics.exposition(context.metrics, context.db, context.sources, context.now())
        )
        return Response(body, headers={"content-type": metrics.CONTENT_TYPE})


def _text(found: Health) -> Response:
    return PlainTextResponse("".join(f"{line}\n" for line in found.message), 200 if found.is_healthy else 503)
