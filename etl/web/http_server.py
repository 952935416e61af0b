"""The page served by a thread of its own, as long as its context lasts."""

import logging
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvicorn

from etl.model import Source
from etl.ops.metrics import Metrics
from etl.runtime.logs import event
from etl.runtime.secret import Secret
from etl.runtime.urls import Listen
from etl.sync.run import RunDependencies
from etl.web.application import application
from etl.web.cache import Cache
from etl.web.login_throttle import LoginThrottle
from etl.web.page_context import WebContext
from etl.web.readonly_db import ReadonlyDatabase
from etl.web.signed_cookies import SignedCookies

log = logging.getLogger("etl.web")

FRESH_SECONDS = 2.0
END_SECONDS = 2


@contextmanager
def serving(
    deps: RunDependencies, sources: Sequence[Source], places: Sequence[Listen], token: Secret | None, metrics: Metrics
) -> Iterator[str | None]:
    """Serve the page at the first of these places that is free; gives where it is to be found, or ``None``.

    A port that is taken keeps nobody from loading calls: it is said, and the work goes on without the page.
    """
    listener, host = _bound(places)
    if listener is None:
        yield None
        return
    port = listener.getsockname()[1]
    reading = ReadonlyDatabase(deps.db.url)
    remembered = Cache(deps.clock, FRESH_SECONDS)
    site = WebContext(
        deps,
        sources,
        token,
        reading,
        SignedCookies(token, deps.clock),
        remembered,
        metrics,
        LoginThrottle(deps.clock),
    )
    server = _server(site, Listen(host, port))
    thread = threading.Thread(target=server.run, args=([listener],), name="page", daemon=True)
    thread.start()
    where = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    event(log, "page served", address=where)
    try:
        yield where
    finally:
        server.should_exit = True
        thread.join(END_SECONDS + 1)
        reading.close()
        listener.close()


def _bound(places: Sequence[Listen]) -> tuple[socket.socket | None, str]:
    for place in places:
        try:
            return _listener(place), place.host
        except OSError as error:
            why, mend = error.strerror, "end what listens there, or name another address in ETL_LISTEN"
            event(
                log, "page not served", level=logging.WARNING, address=f"{place.host}:{place.port}", why=why, mend=mend
            )
    return None, ""


def _listener(place: Listen) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(64)
    except OSError:
        listener.close()
        raise
    return listener


def _server(site: WebContext, listen: Listen) -> uvicorn.Server:
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    return uvicorn.Server(
        uvicorn.Config(
            application(site, listen),
            log_config=None,
            access_log=False,  # addresses of readers, and of what they read
            lifespan="off",
            ws="none",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=64,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=END_SECONDS,
        )
    )
