"""The commands `etl quarantine …`: records that could not be loaded, and retrying them."""

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from etl.cli import context
from etl.cli.exit_status import exit_with, print_json
from etl.cli.output import LAYOUT, echo, printable
from etl.cli.run_commands import run
from etl.runtime.humanize import counted

SHOWN = ("quarantine_id", "source", "reason", "provider_call_id", "first_seen_at", "last_seen_at", "resolved_at",
         "dismissed_at")  # fmt: skip


def record_number(text: str) -> int:
    """The number of a record; anything else is an invalid command line."""
    if text.isdecimal() and 0 < int(text) < 2**63:
        return int(text)
    raise click.BadParameter(f"{text!r} is no number of a record: `etl quarantine list` shows them in its first column")


@click.group(cls=context.InOrder)
def quarantine() -> None:
    """List, show, retry and dismiss records that could not be loaded."""


@quarantine.command("list")
@context.named
@click.option("--all", "everything", is_flag=True, help="Also those that were loaded since, or dismissed.")
@context.as_json
def list_(sources: Sequence[str], everything: bool, as_json: bool) -> None:
    """List the records in quarantine, newest first."""
    from etl.state import quarantine, registry

    with context.opened(context.settings()) as engine, engine.connect() as connection:
        context.require_known(sources, registry.known_sources(connection))
        rows = quarantine.listed(connection, sources, closed=everything)
    if as_json:
        print_json([{name: _plain(getattr(row, name)) for name in SHOWN} for row in rows])
        return
    for row in rows:
        done = " (resolved)" if row.resolved_at else " (dismissed)" if row.dismissed_at else ""
        seen = f"{row.last_seen_at:%Y-%m-%d %H:%M}"
        echo(f"{row.quarantine_id}  {row.source}  {seen}  {row.reason}{done}")
    next_step = "; `etl quarantine show N` prints one, `etl quarantine retry` tries to load them" if rows else ""
    echo(f"{counted(len(rows), 'record')}{next_step}", err=True)


@quarantine.command()
@click.argument("number", metavar="NUMBER", type=record_number, help="Its number in the list.")
def show(number: int) -> None:
    """Print one record: its bytes on stdout, the reason on stderr.

    On a terminal a replacement character stands for each control character and each byte that is no text.
    """
    from etl.state import quarantine

    with context.opened(context.settings()) as engine, engine.connect() as connection:
        row = quarantine.one(connection, number)
    if row is None:
        raise click.BadParameter(f"there is no record {number}: `etl quarantine list --all` lists them")
    echo(f"{row.source}: {row.reason}; first seen {row.first_seen_at:%Y-%m-%d %H:%M} UTC", err=True)
    payload = bytes(row.payload)
    if sys.stdout.isatty():
        payload = printable(payload.decode(errors="replace"), LAYOUT).encode()
    sys.stdout.buffer.write(payload + b"\n")


@quarantine.command()
@context.named
def retry(sources: Sequence[str]) -> None:
    """Try to load the records in quarantine with this version."""
    from etl.sync.replay import retry

    exit_with(run(sources, "replay", retry))


@quarantine.command()
@click.argument("numbers", metavar="NUMBER...", nargs=-1, required=True, type=record_number, help="Their numbers.")
def dismiss(numbers: Sequence[int]) -> None:
    """Dismiss records that are not needed.

    They leave the list, the counts and the alerts, and stay stored; `etl quarantine list --all` still shows them. A
    record that comes again with other content is a new one.

    \b
    Example:  etl quarantine dismiss 17 18
    """
    from datetime import UTC

    from etl.state import quarantine

    with context.opened(context.settings()) as engine, engine.begin() as connection:
        dismissed = quarantine.dismiss(connection, numbers, datetime.now(UTC))
    echo(f"{counted(len(dismissed), 'record')} dismissed")
    if unknown := sorted(set(numbers) - dismissed):
        names = ", ".join(map(str, unknown))
        raise click.BadParameter(f"not in quarantine: {names}; `etl quarantine list` lists those that are")


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
