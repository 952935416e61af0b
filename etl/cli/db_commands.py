"""The commands `etl db …`: the embedded PostgreSQL."""

import os
from typing import TYPE_CHECKING

import click

from etl.cli import context

if TYPE_CHECKING:
    from etl.embedded import Server

in_database = click.argument(
    "database", metavar="[DATABASE]", default="callhouse", help="The database; `demo` is that of `etl demo`."
)


@click.group(cls=context.InOrder)
def db() -> None:
    """Start, stop and open the embedded PostgreSQL."""


@db.command()
def start() -> None:
    """Start it; it runs until `etl db stop`."""
    from etl import embedded

    server = embedded.start(context.home())
    click.echo(f"running at {server.host}:{server.port}; `etl db url` prints its URL with the password")


@db.command()
def stop() -> None:
    """Stop it; the data are kept."""
    from etl import embedded

    click.echo("stopped; the data are kept" if embedded.stop(context.home()) else "it was not running")


@db.command()
@in_database
def url(database: str) -> None:
    """Print its URL, password included, for a BI tool."""
    click.echo(_running().url(database))


@db.command()
@in_database
def psql(database: str) -> None:
    """Open psql on it."""
    from etl import embedded

    argv, environment = embedded.psql_command(_running(), database)
    os.execvpe(argv[0], argv, environment)  # noqa: S606 - the process becomes psql


def _running() -> "Server":
    from etl import embedded

    server = embedded.running(context.home())
    if server is None:
        raise embedded.EmbeddedError("the embedded PostgreSQL is not running: run `etl db start`")
    return server
