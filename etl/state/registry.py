"""What the books remember of each source: whose account it is, and until when it is set aside or left alone."""

from datetime import datetime, timedelta
from urllib.parse import urlsplit

from sqlalchemy import Connection, select, text

from etl.client.errors import PauseReason
from etl.db import tables
from etl.model import Source

LONGEST_PAUSE = timedelta(hours=1)

REGISTER = text("""
    WITH entered AS (
        INSERT INTO ops.sources (source, provider, host, first_seen_at, settled_after_seconds, schedule)
        VALUES (:source, :provider, :host, :now, :settled_after_seconds, :schedule)
        ON CONFLICT (source) DO UPDATE SET settled_after_seconds = excluded.settled_after_seconds, schedule = excluded.schedule
        RETURNING provider, host
    ), leased AS (
        INSERT INTO ops.leases (source) VALUES (:source) ON CONFLICT DO NOTHING
    ), paced AS (
        INSERT INTO ops.rate_limits (source) VALUES (:source) ON CONFLICT DO NOTHING
    )
    SELECT provider, host FROM entered
""")
WATERMARKS = text("""
    SELECT EXISTS (SELECT FROM ops.coverage WHERE source = :source)
           OR EXISTS (SELECT FROM ops.checkpoints WHERE source = :source AND resume_point ->> 'newest' IS NOT NULL)
""")


class SourceMismatch(Exception):
    """The books hold another provider or host under a source's name; the text says both and the way out."""


def register(connection: Connection, source: Source, now: datetime) -> None:
    """Enter a source into the books; raises :class:`SourceMismatch` where its name stands for another account."""
    host = urlsplit(source.base_url).hostname or ""
    settled_after_seconds = max((sweep.window for sweep in source.lookbacks), default=timedelta(0)).total_seconds()
    values = {"source": source.name, "provider": source.provider, "host": host, "schedule": source.schedule}
    row = connection.execute(REGISTER, {**values, "now": now, "settled_after_seconds": settled_after_seconds}).one()
    if (row.provider, row.host) != (source.provider, host):
        raise SourceMismatch(
            f"source {source.name!r} is {source.provider} at {host}, but the books hold {row.provider} at {row.host} "
            "under this name: give the new account a name of its own in etl.toml, or use another database"
        )


def paused(connection: Connection, source: str, now: datetime) -> tuple[datetime, PauseReason] | None:
    """Until when a source is paused, and why; ``None`` where it is not, or a clock was set back since."""
    t = tables.sources
    row = connection.execute(select(t.c.paused_until, t.c.pause_reason).where(t.c.source == source)).one()
    is_paused = row.paused_until and now < row.paused_until <= now + LONGEST_PAUSE
    return (row.paused_until, PauseReason(row.pause_reason)) if is_paused else None


def blocked_until(connection: Connection, source: str, now: datetime) -> datetime | None:
    """Until when a provider wants to be left alone; a time further ahead than it may be is that of a wrong clock."""
    t = tables.rate_limits.c
    query = select(t.blocked_until).where(t.source == source, t.blocked_until <= now + LONGEST_PAUSE)
    found: datetime | None = connection.scalar(query)
    return found


def was_never_read(connection: Connection, source: str) -> bool:
    """Whether no list of a source has a watermark yet."""
    return not connection.scalar(WATERMARKS, {"source": source})
