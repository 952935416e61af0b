"""The commands `etl quarantine …`: records that could not become rows, why, and another try."""

import sys
from datetime import datetime
from typing import Annotated, Any

import typer

from etl.cli import session
from etl.cli.endings import end, print_json
from etl.cli.session import AsJson, Named
from etl.cli.work import run

SHOWN = ("quarantine_id", "source", "reason", "provider_call_id", "first_seen_at", "last_seen_at", "resolved_at")

app = typer.Typer(
    help="Records that could not become rows, and why.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
def list_(
    sources: Named = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that became rows since.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the records that wait, newest first."""
    from etl.state import quarantine
    from etl.status import sources_in_the_books

    with session.opened(session.settings()) as engine, engine.connect() as connection:
        session.require_known(sources, sources_in_the_books(connection))
        rows = quarantine.listed(connection, sources or [], resolved=everything)
    if as_json:
        print_json([{name: _plain(row[name]) for name in SHOWN} for row in rows])
        return
    for row in rows:
        done = " (resolved)" if row["resolved_at"] else ""
        seen = f"{row['last_seen_at']:%Y-%m-%d %H:%M}"
        typer.echo(f"{row['quarantine_id']}  {row['source']}  {seen}  {row['reason']}{done}")
    next_step = "; `etl quarantine show N` shows one, `etl quarantine retry` tries them again" if rows else ""
    typer.echo(f"{len(rows)} record{'s' if len(rows) != 1 else ''}{next_step}", err=True)


@app.command()
def show(number: Annotated[int, typer.Argument(help="Its number, from the list.", min=1, max=2**63 - 1)]) -> None:
    """Show one record: why it waits, and its exact bytes."""
    from etl.state import quarantine

    with session.opened(session.settings()) as engine, engine.connect() as connection:
        row = quarantine.one(connection, number)
    if row is None:
        raise typer.BadParameter(f"there is no record {number}: `etl quarantine list --all` lists them")
    typer.echo(f"{row['source']}: {row['reason']}; first seen {row['first_seen_at']:%Y-%m-%d %H:%M} UTC", err=True)
    sys.stdout.buffer.write(bytes(row["payload"]) + b"\n")


@app.command()
def retry(sources: Named = None) -> None:
    """Try the records that wait again, with today's program."""
    from etl.retry import retry

    settings = session.settings()
    end(run(settings, session.sources(settings, sources), "replay", retry))


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
