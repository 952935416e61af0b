"""When the next request of a source may be sent: one budget for all the processes that read it."""

from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import text

from etl.clock import Clock
from etl.state.desk import Desk
from etl.state.lease import TERM, Lease
from etl.stream import Source

# The generic cell rate algorithm (ITU-T I.371): a request that comes early uses up the burst, the rest go evenly.
# What lies further ahead than it can was written before a clock was set back, and counts no longer.
RESERVE = text("""
    UPDATE ops.pace
       SET next_at = least(greatest(next_at, :now), :now + interval '1 minute') + :interval,
           not_before = CASE WHEN not_before <= :now + interval '1 hour' THEN not_before END
     WHERE source = :source
    RETURNING greatest(next_at - :interval - :burst, not_before) AS send_at
""")
OBSERVE = text("SELECT nextval('ops.observations') AS seq")
HOLD = text("UPDATE ops.pace SET not_before = greatest(not_before, :until) WHERE source = :source")
HELD_UNTIL = text("""
    SELECT not_before FROM ops.pace WHERE source = :source AND not_before <= :now + interval '1 hour'
""")
PAUSE = text("UPDATE ops.sources SET paused_until = :until, pause_reason = :reason WHERE source = :source")


class Pace:
    """The gate that every request of a source passes: a sixth of a minute's rate at once, the rest evenly."""

    def __init__(self, desk: Desk, lease: Lease, source: Source, clock: Clock) -> None:
        self._desk, self._lease, self._source, self._clock = desk, lease, source, clock
        self._interval = timedelta(minutes=1) / source.requests_per_minute
        self._burst = self._interval * (max(1, ceil(source.requests_per_minute / 6)) - 1)

    def wait(self) -> int:
        """Wait for this request's turn; the number that orders its answer among all others."""
        self._lease.renew()
        row = self._desk.one(
            RESERVE,
            {
                "source": self._source.name,
                "now": self._clock.now(),
                "interval": self._interval,
                "burst": self._burst,
            },
        )
        self._sleep_until(row.send_at if row else None)
        row = self._desk.one(OBSERVE, {})
        return int(row.seq) if row else 0

    def _sleep_until(self, send_at: datetime | None) -> None:
        """Sleep until then, or longer where another process is told to wait; no clock that is set back adds to it."""
        began, ticks = self._clock.now(), self._clock.monotonic()
        while send_at is not None:
            passed = timedelta(seconds=self._clock.monotonic() - ticks)
            rest = (send_at - max(self._clock.now(), began + passed)).total_seconds()
            if rest <= 0:
                return
            self._clock.sleep(min(rest, TERM.total_seconds() / 3))
            self._lease.renew()
            row = self._desk.one(HELD_UNTIL, {"source": self._source.name, "now": self._clock.now()})
            send_at = max(send_at, row.not_before) if row else send_at

    def hold(self, until: datetime) -> None:
        """Remember the provider's Retry-After, for every process and over every restart."""
        self._desk.one(HOLD, {"source": self._source.name, "until": until})

    def pause(self, until: datetime, reason: str) -> None:
        """Set the source aside until then: its credentials or its account are refused."""
        self._desk.one(PAUSE, {"source": self._source.name, "until": until, "reason": reason})
