"""The environment → what commands work with: settings, sources, the database, and the request to stop."""

import logging
import os
import signal
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etl.cli.exit_status import warn

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from etl.model import Source
    from etl.runtime.secret import Secret
    from etl.settings import ConfigurationError, Settings
    from etl.state.source_table import AllSources
    from etl.sync.run import RunDependencies

named = click.argument("sources", metavar="[SOURCE]...", nargs=-1, help="Only these sources; all by default.")
as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout and nothing else there.")

DAY = click.DateTime(["%Y-%m-%d"])
FIRST_YEAR = 2000

stop = threading.Event()
is_debugging = False


class InOrder(click.Group):
    """A group whose commands are listed in the order in which a user needs them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return list(self.commands)


def logs(secrets: Sequence["Secret"] = ()) -> None:
    """Send log lines to stderr with these secrets redacted."""
    from etl.runtime.logs import setup

    setup(logging.DEBUG if is_debugging else logging.INFO, secrets=secrets)


def home() -> Path:
    """The directory of the embedded PostgreSQL, even where the rest of the configuration is invalid."""
    from etl.settings import home

    return home(os.environ, Path.cwd())


def settings(*, needs_keys: bool = True) -> "Settings":
    """The configuration; raises :class:`~etl.settings.ConfigurationError`. What asks no provider needs no keys."""
    from etl.settings import load

    loaded = load(os.environ, Path.cwd(), needs_keys=needs_keys)
    logs(loaded.secrets)
    for warning in loaded.warnings:
        warn(warning)
    return loaded


def all_sources(engine: "Engine", settings: "Settings") -> "AllSources":
    """The sources of this machine's configuration and of the database, if there are any.

    Raises :class:`~etl.settings.ConfigurationError` where one is invalid.
    """
    from etl.state import source_table

    with engine.connect() as connection:
        found = source_table.load(connection, settings).valid()
    for warning in found.warnings:
        warn(warning)
    return found


def require_some(settings: "Settings") -> None:
    """Refuse to work where there can be no source: none is configured, and there is no database."""
    from etl import embedded

    if not settings.local_sources and settings.database_url is None and not embedded.exists(settings.home):
        raise no_sources()


def no_sources() -> "ConfigurationError":
    """The error of a command that has nothing to read."""
    from etl.settings import NO_SOURCES, ConfigurationError

    return ConfigurationError([f"{NO_SOURCES}; looked for both files in {Path.cwd()}"])


@dataclass(frozen=True, slots=True)
class Opened:
    """What a command works with: the configuration, the database, and the sources, at least one."""

    settings: "Settings"
    engine: "Engine"
    sources: Sequence["Source"]
    found: "AllSources"


@contextmanager
def opened_sources(names: Sequence[str] = (), *, may_start: bool = False) -> Iterator[Opened]:
    """The database and all sources, or those named; an unknown name is an invalid command line."""
    given = settings()
    require_some(given)
    with opened(given, may_start=may_start) as engine:
        found = all_sources(engine, given)
        if not found.sources:
            raise no_sources()
        known = {source.name: source for source in found.sources}
        require_known(names, known)
        chosen = tuple(known[name] for name in dict.fromkeys(names)) or found.sources
        yield Opened(given, engine, chosen, found)


def require_known(names: Sequence[str] | None, known: Collection[str]) -> None:
    """Reject an unknown source name, and suggest the nearest known one."""
    from etl.settings.parsers import nearest

    for name in names or ():
        if name not in known:
            raise click.BadParameter(f"unknown source {name!r}{nearest(name, known)}")


def days_asked(since: datetime | None, until: datetime | None) -> tuple[date | None, date | None]:
    """The days of --from and --to; implausible ones are an invalid command line."""
    for day, option in ((since, "--from"), (until, "--to")):
        if day is not None and not FIRST_YEAR <= day.year <= 9000:
            raise click.BadParameter(f"must be in the year {FIRST_YEAR} or later", param_hint=option)
    if since is not None and since.replace(tzinfo=UTC) > datetime.now(UTC) + timedelta(days=1):
        raise click.BadParameter("must not be in the future", param_hint="--from")
    if since is not None and until is not None and until <= since:
        raise click.BadParameter("must be later than --from: it is the day after the last one", param_hint="--to")
    return since.date() if since else None, until.date() if until else None


@contextmanager
def opened(settings: "Settings", *, may_start: bool = False) -> Iterator["Engine"]:
    """The database, reachable and at this version's revision; a question starts no server."""
    from etl.cli.database import opened

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler and not may_start:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a question has nothing to end in order
    with opened(settings, may_start=may_start) as engine:
        yield engine


def dependencies(engine: "Engine") -> "RunDependencies":
    """The system clock, the network, and who is told of runs; waits end as soon as the process is asked to stop."""
    from etl.ops.lineage import observer
    from etl.runtime.clock import SystemClock
    from etl.sync.run import RunDependencies

    return RunDependencies(engine, SystemClock(stop), observe=observer(engine.url, os.environ))
