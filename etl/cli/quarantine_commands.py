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

SHOWN = ("quarantine_id", "source", "reason", "provider_call_id", "first_seen_at", "last_seen_at", "resolved_at")


@click.group(cls=context.InOrder)
def quarantine() -> None:
    """List, show and retry records that could not be loaded."""


@quarantine.command("list")
@context.named
@click.option("--all", "everything", is_flag=True, help="Also those that were loaded since.")
@context.as_json
def list_(sources: Sequence[str], everything: bool, as_json: bool) -> None:
    """List the records in quarantine, newest first."""
    from etl.state import quarantine, registry

    with context.opened(context.settings()) as engine, engine.connect() as connection:
        context.require_known(sources, registry.known_sources(connection))
        rows = quarantine.listed(connection, sources, resolved=everything)
    if as_json:
        print_json([{name: _plain(getattr(row, name)) for name in SHOWN} for row in rows])
        return
    for row in rows:
        done = " (resolved)" if row.resolved_at else ""
        seen = f"{row.last_seen_at:%Y-%m-%d %H:%M}"
        echo(f"{row.quarantine_id}  {row.source}  {seen}  {row.reason}{done}")
    next_step = "; `etl quarantine show N` prints one, `etl quarantine retry` tries to load them" if rows else ""
    echo(f"{len(rows)} record{'s' if len(rows) != 1 else ''}{next_step}", err=True)


@quarantine.command()
@click.argument("number", metavar="NUMBER", type=click.IntRange(1, 2**63 - 1), help="Its number in the list.")
def show(number: int) -> None:
    """Print one record: the reason on stderr, its exact bytes on stdout.

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
    from etl.sync.retry_quarantine import retry

    settings = context.settings()
    exit_with(run(settings, context.sources(settings, sources), "replay", retry))


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
