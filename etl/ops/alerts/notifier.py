"""Evaluates the alerts of every source periodically and posts them to a webhook."""

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

INTERVAL_SECONDS = 300.0
FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 120.0, 3600.0


class AlertNotifier:
    """Evaluates and delivers in a thread of its own, so that a webhook that is down delays nothing else."""

    def __init__(self, db: Engine, clock: Clock, sources: Sequence[Source], url: Secret | None) -> None:
        self._db, self._clock, self._sources, self._url = db, clock, sources, url
        self._failures = 0
        self._retry_at = clock.monotonic()

    def start(self, stop: threading.Event) -> None:
        """Evaluate every five minutes until ``stop`` is set; the first time only after the sources could be read."""
        threading.Thread(target=self._run, args=[stop], name="alerts", daemon=True).start()

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(INTERVAL_SECONDS):
            try:
                self.run_once()
            except SQLAlchemyError as error:
                event(log, "alert_evaluation_failed", level=logging.WARNING, error=describe(error))

    def run_once(self) -> None:
        """Evaluate every source once, and deliver what was not delivered yet."""
        for source in self._sources:
            now = self._clock.now()
            with self._db.begin() as connection:
                found = inputs.load_inputs(connection, source, now)
                if found is not None:
                    alert_store.sync_alerts(connection, source.name, evaluate(found), now)
        with self._db.begin() as connection:
            alert_store.resolve_removed(connection, [source.name for source in self._sources], self._clock.now())
        while self._url and self._clock.monotonic() >= self._retry_at and self._deliver(self._url):
            pass

    def _deliver(self, url: Secret) -> bool:
        """Deliver one notification, outside of any transaction; whether it was taken, and there may be more."""
        with self._db.begin() as connection:
            record = alert_store.claim_unnotified(connection, self._clock.now())
        if record is None:
            return False
        problem = post(url, messages.message(record, url))
        if problem is None:
            with self._db.begin() as connection:
                alert_store.mark_notified(connection, record, self._clock.now())
        self._failures = self._failures + 1 if problem else 0
        if problem:
            seconds = min(FIRST_BACKOFF_SECONDS * 2 ** (self._failures - 1), LONGEST_BACKOFF_SECONDS)
            self._retry_at = self._clock.monotonic() + seconds
            event(log, "alert_delivery_failed", level=logging.WARNING, problem=problem, retry_in_seconds=seconds)
        return problem is None
