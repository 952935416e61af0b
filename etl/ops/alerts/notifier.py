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
COLUMNS_SECONDS = 3600.0  # how long the empty columns are valid: to find them reads the calls of eight days
FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 120.0, 3600.0


class AlertNotifier:
    """Evaluates and delivers in a thread of its own, so that a webhook that is down delays nothing else."""

    def __init__(self, db: Engine, clock: Clock, sources: Sequence[Source], url: Secret | None) -> None:
        self._db, self._clock, self._sources, self._url = db, clock, sources, url
        self._columns: inputs.EmptyColumns = {}
        self._columns_until = clock.monotonic()
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
        now = self._clock.now()
        with self._db.begin() as connection:
            if self._clock.monotonic() >= self._columns_until:
                self._columns = inputs.empty_columns(connection, self._sources, now)
                self._columns_until = self._clock.monotonic() + COLUMNS_SECONDS
            found = inputs.load_inputs(connection, self._sources, now, self._columns)
        firing = [alert for each in found for alert in evaluate(each)]
        with self._db.begin() as connection:
            alert_store.sync_alerts(connection, [each.source.name for each in found], firing, now)
            alert_store.resolve_removed(connection, [source.name for source in self._sources], now)
        while self._url and self._clock.monotonic() >= self._retry_at and self._deliver(self._url):
            pass

    def _deliver(self, url: Secret) -> bool:
        """Deliver one message, outside of any transaction; whether it was taken, and there may be more."""
        with self._db.begin() as connection:
            records = alert_store.claim_unnotified(connection, self._clock.now())
        if not records:
            return False
        problem = post(url, messages.message(records, url))
        if problem is None:
            with self._db.begin() as connection:
                alert_store.mark_notified(connection, records, self._clock.now())
        self._failures = self._failures + 1 if problem else 0
        if problem:
            seconds = min(FIRST_BACKOFF_SECONDS * 2 ** (self._failures - 1), LONGEST_BACKOFF_SECONDS)
            self._retry_at = self._clock.monotonic() + seconds
            event(log, "alert_delivery_failed", level=logging.WARNING, problem=problem, retry_in_seconds=seconds)
        return problem is None
