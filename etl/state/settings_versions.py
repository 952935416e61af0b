"""The settings that decide what is stored of a record, and the calls that were read under others.

Each run, and each row of ``warehouse.calls``, has the number of its settings in ``ops.settings_versions``.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import Connection

from etl.db.engine import as_json
from etl.db.statements import Statements, fetch_all
from etl.extractors import mapping_version, providers
from etl.model import Source
from etl.runtime.humanize import counted

SQL = Statements("settings_versions")


class OutdatedCalls(NamedTuple):
    """Calls that were read under other settings than the source's; ``changes`` is empty where these are not known."""

    calls: int
    first_day: date  # in UTC
    last_day: date
    changes: Mapping[str, tuple[Any, Any]]  # by the setting: what it was, and what it is

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        changes = {name: {"was": was, "is": now} for name, (was, now) in self.changes.items()}
        days = {"first_day": self.first_day.isoformat(), "last_day": self.last_day.isoformat()}
        return {"calls": self.calls, **days, "changes": changes}


def settings_of(source: Source) -> Mapping[str, Any]:
    """What the row of a record depends on besides the record itself."""
    provider = providers()[source.provider]
    phones = {"phones": sorted(source.partitions)} if provider.is_partitioned else {}
    fixed = {"timezone": source.timezone.key, "region": source.region, "cost_unit": source.cost_unit}
    return {**fixed, **phones, "mapping": mapping_version(provider)}


def settings_json(source: Source) -> str:
    """The same as text."""
    return as_json(dict(settings_of(source)))


def outdated_by_source(connection: Connection, sources: Sequence[Source]) -> dict[str, list[OutdatedCalls]]:
    """The calls of each source that were read under other settings, by what these were; only of those that have any."""
    now = {source.name: settings_of(source) for source in sources}
    settings = [settings_json(source) for source in sources]
    found: dict[str, list[OutdatedCalls]] = {}
    for row in fetch_all(connection, SQL.outdated_calls, {"sources": list(now), "settings": settings}):
        changes = _changes(row.settings or now[row.source], now[row.source])
        found.setdefault(row.source, []).append(OutdatedCalls(row.calls, row.first_day, row.last_day, changes))
    return found


def outdated_calls(connection: Connection, source: Source) -> list[OutdatedCalls]:
    """The same of one source."""
    return outdated_by_source(connection, [source]).get(source.name, [])


def _changes(was: Mapping[str, Any], now: Mapping[str, Any]) -> Mapping[str, tuple[Any, Any]]:
    names = [name for name in {**now, **was} if was.get(name) != now.get(name)]
    return {name: (_shown(was.get(name)), _shown(now.get(name))) for name in names}


def _shown(value: Any) -> Any:
    """A setting, of telephone numbers only the endings."""
    return [f"…{number[-2:]}" for number in value] if isinstance(value, list) else value


def outdated_message(source: str, found: Sequence[OutdatedCalls]) -> str | None:
    """Which calls were read under other settings, and what to do; ``None`` for none."""
    parts = [
        f"{counted(each.calls, 'call')} of {each.first_day} to {each.last_day} read with {_said(each.changes)}"
        for each in found
    ]
    return f"{'; '.join(parts)}: `etl replay {source}` reads them anew" if parts else None


def _said(changes: Mapping[str, tuple[Any, Any]]) -> str:
    return " and ".join([f"{name} {_text(was)}, now {_text(now)}" for name, (was, now) in changes.items()]) or (
        "settings that are not known"
    )


def _text(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else "none" if value is None else str(value)
