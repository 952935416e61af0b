"""The sources that were ever configured: whose account each is, and until when it is not to be read."""

from datetime import datetime, timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from etl.client.errors import PAUSE, PauseReason
from etl.db.statements import Statements, execute, fetch_all, fetch_one, fetch_value
from etl.model import Source
from etl.runtime import humanize
from etl.state import streams

SQL, RATE_LIMITS, SERVER = (Statements(subject) for subject in ("sources", "rate_limits", "server"))
CLOCK_TOLERANCE_SECONDS = 10  # the budget of requests is shared by this much
LONGEST_PAUSE = timedelta(hours=1)  # after a Retry-After; a later time was stored before a clock was set back


class SourceMismatch(Exception):
    """A source's name is stored with another provider or host; the message names both and the way out."""


def register(connection: Connection, source: Source, now: datetime) -> tuple[datetime, PauseReason] | None:
    """Add a source, or update its settings → until when it is paused, and why, if it is.

    In another time zone the same calls have other times: what is complete only under the old ones is read again.
    Raises :class:`SourceMismatch` if its name was another account's.
    """
    host = _host(source)
    final_after = max((lookback.window for lookback in source.lookbacks), default=timedelta(0))
    account = {"source": source.name, "provider": source.provider, "host": host}
    values = {"schedule": source.schedule, "now": now, "settled_after_seconds": final_after.total_seconds()}
    reporting = {
        "timezone": source.timezone.key,
        "report_timezone": source.reporting.timezone.key,
        "report_currency": source.reporting.currency,
        "business_hours": source.reporting.business_hours,
    }
    values = account | values | reporting
    row = fetch_one(connection, SQL.register_source, values)
    if problem := mismatch(source, row.provider, row.host):
        raise SourceMismatch(problem)
    if row.timezone != source.timezone.key:
        streams.reread_in(connection, source.name, ZoneInfo(row.timezone), source.timezone)
        execute(connection, SQL.set_timezone, values)
    longest = PAUSE if row.pause_reason and PauseReason(row.pause_reason).needs_action else LONGEST_PAUSE
    is_paused = row.paused_until and now < row.paused_until <= now + longest
    return (row.paused_until, PauseReason(row.pause_reason)) if is_paused else None


def mismatch(source: Source, provider: str, host: str) -> str | None:
    """Why a source is not the account that is stored under its name, if it is another one."""
    if (source.provider, _host(source)) == (provider, host):
        return None
    return (
        f"source {source.name!r} is {source.provider} at {_host(source)}, but the database has {provider} at {host} "
        "under this name: give the new account a name of its own, or use another database"
    )


def _host(source: Source) -> str:
    return urlsplit(source.base_url).hostname or ""


def clock_difference(connection: Connection, now: datetime) -> str | None:
    """How far this machine's clock is from the database server's, in a sentence, if it is."""
    seconds = fetch_value(connection, SERVER.clock_difference, {"now": now})
    return humanize.clock_difference(seconds, "the database server", CLOCK_TOLERANCE_SECONDS)


def known_sources(connection: Connection) -> list[str]:
    """The names of all sources that were ever configured."""
    return [row.source for row in fetch_all(connection, SQL.source_names)]


def masking_key(connection: Connection) -> bytes:
    """The key of the tokens that stand for customers."""
    return bytes(fetch_value(connection, SQL.masking_key))


def blocked_until(connection: Connection, source: str, now: datetime) -> datetime | None:
    """Until when the provider asked to send nothing."""
    values = {"source": source, "now": now}
    until: datetime | None = fetch_value(connection, RATE_LIMITS.blocked_until, values)
    return until


def was_never_read(connection: Connection, source: str) -> bool:
    """Whether no stream of a source has a watermark yet."""
    return not fetch_value(connection, SQL.has_watermark, {"source": source})
