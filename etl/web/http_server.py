"""Serves the page from a thread of its own for as long as its context lasts."""

import logging
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import uvicorn

from etl.model import Source
from etl.ops.metrics import Metrics
from etl.runtime.logs import event
from etl.runtime.secret import Secret
from etl.runtime.urls import Listen
from etl.sync.run import RunDependencies
from etl.web.application import application
from etl.web.connection import DEFAULT_LIMITS, Connection, ConnectionLimits
from etl.web.page_context import WebContext

log = logging.getLogger("etl.web")

SHUTDOWN_SECONDS = 2


@contextmanager
def serving(
    deps: RunDependencies,
    sources: Sequence[Source],
    addresses: Sequence[Listen],
    token: Secret | None,
    metrics: Metrics,
    limits: ConnectionLimits = DEFAULT_LIMITS,
) -> Iterator[str | None]:
    """Serve the page at the first free address; yields its URL, or ``None`` if there is no free one.

    A port in use is logged and never stops the sync: the daemon continues without the page.
    """
    listener, host = _bind_first_free(addresses)
    if listener is None:
        yield None
        return
    port = listener.getsockname()[1]
    context = WebContext(deps, sources, token, metrics)
    server = _server(context, Listen(host, port), limits)
    thread = threading.Thread(target=server.run, args=([listener],), name="page", daemon=True)
    thread.start()
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    event(log, "page_served", address=url)
    try:
        yield url
    finally:
        server.should_exit = True
        thread.join(SHUTDOWN_SECONDS + 1)
        context.db.dispose()
        listener.close()


def _bind_first_free(addresses: Sequence[Listen]) -> tuple[socket.socket | None, str]:
    for listen in addresses:
        try:
            return _listener(listen), listen.host
        except OSError as error:
            event(
                log,
                "page_not_served",
                level=logging.WARNING,
                address=f"{listen.host}:{listen.port}",
                reason=error.strerror,
                hint="stop what listens there, or set another address in ETL_LISTEN",
            )
    return None, ""


def _listener(listen: Listen) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(64)
    except OSError:
        listener.close()
        raise
    return listener


def _server(context: WebContext, listen: Listen, limits: ConnectionLimits) -> uvicorn.Server:
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # its warnings are lines that any stranger can write
    return uvicorn.Server(
        uvicorn.Config(
            application(context, listen),
            http=cast(Any, partial(Connection, limits)),
            backlog=limits.max_connections,  # this many are accepted before the first of them is counted
            log_config=None,
            access_log=False,  # it would log who looked at which call
            lifespan="off",
            ws="none",
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
    )
