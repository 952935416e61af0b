"""The sources of the database: read beside those of this machine's configuration, and changed by `etl sources`."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection

from etl.db.statements import Statements, execute, fetch_all, fetch_one, fetch_value
from etl.model import Source
from etl.runtime import logs
from etl.runtime.humanize import counted
from etl.runtime.secret import Secret
from etl.settings import ConfigurationError, Settings, encryption
from etl.settings.source_entries import Entry
from etl.settings.source_tables import SourceParser, source_warnings
from etl.state import registry

SQL = Statements("source_settings")
PLACE = "source {}:"
SHOWN_NAMES = 5


class TableVersion(NamedTuple):
    """What differs after any change of the table."""

    sources: int
    latest: int


@dataclass(frozen=True, slots=True)
class AllSources:
    """The sources of this machine's configuration and of the database, without those that are ``invalid``."""

    sources: tuple[Source, ...]
    version: TableVersion
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    invalid: frozenset[str] = frozenset()

    def valid(self) -> "AllSources":
        """The same; raises :class:`~etl.settings.ConfigurationError` with every problem at once."""
        if self.problems:
            raise ConfigurationError(self.problems)
        return self


class Saved(NamedTuple):
    """The names of the sources that were asked for, by what became of them."""

    added: list[str]
    changed: list[str]
    unchanged: list[str]


def version(connection: Connection) -> TableVersion:
    """The present version: in one short statement, so that a daemon can ask often."""
    return TableVersion(*fetch_one(connection, SQL.version))


def rows(connection: Connection, *, locked: bool = False) -> Sequence[Any]:
    """The sources of the database as they are stored; ``locked``: until the end of the transaction."""
    if locked:
        execute(connection, SQL.lock)
    return fetch_all(connection, SQL.all_rows)


def load(connection: Connection, settings: Settings) -> AllSources:
    """The sources of this machine's configuration, and those of the database, in one statement."""
    stored = rows(connection)
    parser, local = SourceParser(settings.context), {source.name for source in settings.local_sources}
    problems, unreadable = list[str](), set[str]()
    if settings.context.needs_keys and not settings.context.secret_keys:
        unreadable = {row.source for row in stored if row.api_key.startswith(encryption.PREFIX)}
    if unreadable:
        problems.append(
            f"ETL_SECRET_KEY is not set, and the keys of {_named(unreadable)} are encrypted with it: set it"
        )
    found = list(settings.local_sources)
    for row in stored:
        if row.source in local:
            problems.append(_stands_twice(row.source))
        elif row.source not in unreadable:
            source = parser.of_table(row.source, {**row.settings, "api_key": row.api_key}, PLACE)
            found += [source] if source else []
    logs.redact([source.api_key for source in found])
    referred = {row.api_key.removeprefix("env:") for row in stored}
    problems += [problem for name, problem in settings.context.unreferred.items() if name not in referred]
    warnings = dict.fromkeys([*parser.warnings, *source_warnings(found, datetime.now(UTC))])
    new = tuple(warning for warning in warnings if warning not in settings.warnings)
    latest = max((row.version for row in stored), default=0)
    invalid = frozenset(row.source for row in stored) - {source.name for source in found}
    return AllSources(tuple(found), TableVersion(len(stored), latest), (*problems, *parser.problems), new, invalid)


def _named(names: Iterable[str]) -> str:
    """``3 sources (a, b, c)``."""
    found = sorted(names)
    more = ", …" if len(found) > SHOWN_NAMES else ""
    return f"{counted(len(found), 'source')} ({', '.join(found[:SHOWN_NAMES])}{more})"


def _stands_twice(name: str) -> str:
    return (
        f"source {name} is configured twice, in etl.toml or the environment and in the database: remove it there, or "
        f"run `etl sources remove {name}`"
    )


def described(settings: Settings, stored: Sequence[Any]) -> list[dict[str, Any]]:
    """All sources as `etl sources list` shows them: where each is configured, and where its key is."""
    local: list[dict[str, Any]] = [
        {
            "source": source.name,
            "provider": source.provider,
            "configured_in": "etl.toml" if source.key_name.startswith("[") else "environment",
            "key": None,
            "settings": {},
        }
        for source in settings.local_sources
    ]
    return local + [
        {
            "source": row.source,
            "provider": row.settings.get("provider"),
            "configured_in": "database",
            "key": "encrypted" if row.api_key.startswith(encryption.PREFIX) else row.api_key,
            "settings": {name: value for name, value in row.settings.items() if name != "provider"},
        }
        for row in stored
    ]


def save(connection: Connection, settings: Settings, entries: Sequence[Entry], problems: Sequence[str] = ()) -> Saved:
    """Add sources, or replace their settings: all of them, or none, also where there are problems with their file.

    Raises :class:`~etl.settings.ConfigurationError` with every problem at once.
    """
    stored = {row.source: row for row in rows(connection, locked=True)}
    parser, found, problems = SourceParser(settings.context), list[tuple[Entry, Source]](), list(problems)
    if any(isinstance(entry.key, Secret) for entry in entries) and not settings.context.secret_keys:
        problems.append(encryption.MISSING)
    for entry in entries:
        before = stored.get(entry.name)
        objection = _objection(settings, entry, before)
        problems += [entry.place.format(entry.name) + " " + objection] if objection else []
        key = before.api_key if entry.key is None and before else entry.key
        source = None if objection else parser.of_table(entry.name, {**entry.settings, "api_key": key}, entry.place)
        found += [(entry, source)] if source else []
    problems += [*parser.problems, *_mismatches(connection, [source for _, source in found])]
    if problems:
        raise ConfigurationError(problems)
    saved, new = Saved([], [], []), list[tuple[str, str, str]]()
    for entry, source in found:
        before = stored.get(entry.name)
        if before and _is_stored(settings, before, entry, source):
            saved.unchanged.append(entry.name)
            continue
        (saved.changed if before else saved.added).append(entry.name)
        new.append((entry.name, json.dumps(entry.settings), _stored_key(settings, before, entry, source)))
    _write(connection, new)
    return saved


def _write(connection: Connection, new: Sequence[tuple[str, str, str]]) -> None:
    names, settings, keys = (list(column) for column in zip(*new, strict=True)) if new else ([], [], [])
    execute(connection, SQL.save, {"sources": names, "settings": settings, "api_keys": keys})


def _objection(settings: Settings, entry: Entry, before: Any) -> str | None:
    """Why an entry cannot be stored beside what is configured, if it cannot."""
    if any(source.name == entry.name for source in settings.local_sources):
        return "is configured in etl.toml or the environment; change it there, or choose another name"
    if before is None:
        return None
    if before.settings.get("provider") != entry.settings.get("provider"):
        return f"is a source of {before.settings.get('provider')}; give an account of another provider another name"
    if entry.key is None and before.settings.get("base_url") != entry.settings.get("base_url"):
        return "has another base_url, to which its key would be sent; give the key again, with --key"
    return None


def _mismatches(connection: Connection, sources: Sequence[Source]) -> list[str]:
    """The sources whose names belong to other accounts, by what the database has read."""
    asked = {source.name: source for source in sources}
    known = fetch_all(connection, SQL.known_accounts, {"sources": list(asked)})
    return [problem for row in known if (problem := registry.mismatch(asked[row.source], row.provider, row.host))]


def _is_stored(settings: Settings, before: Any, entry: Entry, source: Source) -> bool:
    """Whether an entry says what is stored."""
    if before.settings != entry.settings or isinstance(entry.key, str | None):
        return before.settings == entry.settings and entry.key in (None, before.api_key)
    row = {**before.settings, "api_key": before.api_key}
    stored = SourceParser(settings.context).of_table(before.source, row, PLACE)
    return before.api_key.startswith(encryption.PREFIX) and stored is not None and stored.api_key == source.api_key


def _stored_key(settings: Settings, before: Any, entry: Entry, source: Source) -> str:
    if isinstance(entry.key, Secret):
        return encryption.encrypt(settings.context.secret_keys, source.api_key, source.name, source.base_url)
    return entry.key or str(before.api_key)


def remove(connection: Connection, name: str) -> bool:
    """Remove a source from the configuration, not what is stored of it; whether it was there."""
    return bool(execute(connection, SQL.remove, {"source": name}))


def stored_calls(connection: Connection, name: str) -> int:
    """How many calls are stored of a source."""
    return int(fetch_value(connection, SQL.stored_calls, {"source": name}))


def rotate_key(connection: Connection, settings: Settings) -> int:
    """Encrypt every key with the first of ETL_SECRET_KEY; how many there are.

    Raises :class:`~etl.settings.ConfigurationError` where one cannot be decrypted.
    """
    encrypted = {row.source: row for row in rows(connection, locked=True) if row.api_key.startswith(encryption.PREFIX)}
    found = load(connection, settings).valid()
    keys = settings.context.secret_keys
    _write(
        connection,
        [
            (
                each.name,
                json.dumps(encrypted[each.name].settings),
                encryption.encrypt(keys, each.api_key, each.name, each.base_url),
            )
            for each in found.sources
            if each.name in encrypted
        ],
    )
    return len(encrypted)
