"""Looks at every source now and then, keeps the alerts that stand, and tells whoever listens at the webhook."""

import logging
import threading
from collections.abc import Sequence

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from etl.client.webhook import post
from etl.db.engine import describe
from etl.model import Source
from etl.ops.alerts import alert_store, inputs, messages
from etl.ops.alerts.rules import evaluate
from etl.runtime.clock import Clock
from etl.runtime.logs import event
from etl.runtime.secret import Secret

log = logging.getLogger("etl.ops.alerts")

EVERY_SECONDS = 300.0
FIRST_BACKOFF, LONGEST_BACKOFF = 120.0, 3600.0


class AlertNotifier:
    """Judges and tells in a thread of its own: a webhook that is down is told later, and keeps nobody waiting."""

    def __init__(self, db: Engine, clock: Clock, sources: Sequence[Source], url: Secret | None) -> None:
        self._db, self._clock, self._sources, self._url = db, clock, sources, url
        self._failures = 0
        self._again_at = clock.monotonic()

    def start(self, stop: threading.Event) -> None:
        """Look every five minutes until ``stop`` is set; not at once, so that the sources were read again before."""
        threading.Thread(target=self._run, args=[stop], name="alerts", daemon=True).start()

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(EVERY_SECONDS):
            try:
                self.look()
            except SQLAlchemyError as error:
                event(log, "alerts not judged", level=logging.WARNING, error=describe(error))

    def look(self) -> None:
        """Judge every source once, and tell what nobody was told."""
        for source in self._sources:
            now = self._clock.now()
            with self._db.begin() as connection:
                books = inputs.load_inputs(connection, source, now)
                if books is not None:
                    alert_store.sync_alerts(connection, source.name, evaluate(books), now)
        with self._db.begin() as connection:
            alert_store.resolve_removed(connection, [source.name for source in self._sources], self._clock.now())
        while self._url and self._clock.monotonic() >= self._again_at and self._tell(self._url):
            pass

    def _tell(self, url: Secret) -> bool:
        """Tell one thing; whether there may be more to tell, and somebody listens."""
        with self._db.begin() as connection:
            episode = alert_store.next_unnotified(connection, self._clock.now())
            if episode is None:
                return False
            problem = post(url, messages.message(episode, url))
            if problem is None:
                alert_store.mark_notified(connection, episode, self._clock.now())
        self._failures = self._failures + 1 if problem else 0
        if problem:
            seconds = min(FIRST_BACKOFF * 2 ** (self._failures - 1), LONGEST_BACKOFF)
            self._again_at = self._clock.monotonic() + seconds
            event(log, "nobody was told", level=logging.WARNING, why=problem, again_in_seconds=seconds)
        return problem is None
