"""The commands `etl db …`: the embedded PostgreSQL, for those who have none."""

import os
from typing import TYPE_CHECKING

import click

from etl.cli import context

if TYPE_CHECKING:
    from etl.embedded import Server

in_database = click.argument(
    "database", metavar="[DATABASE]", default="callhouse", help="Which database of it; `demo` is the demo's."
)


@click.group(cls=context.InOrder)
def db() -> None:
    """The embedded PostgreSQL, for those who have none."""


@db.command()
def start() -> None:
    """Start it; it stays up until `etl db stop`."""
    from etl import embedded

    server = embedded.start(context.home())
    click.echo(f"up at {server.host}:{server.port}; `etl db url` prints the whole URL, password included")


@db.command()
def stop() -> None:
    """Stop it; the data stay."""
    from etl import embedded

    click.echo("stopped; the data stay" if embedded.stop(context.home()) else "it was not running")


@db.command()
@in_database
def url(database: str) -> None:
    """Print its URL for a BI tool, password included."""
    click.echo(_running().url(database))


@db.command()
@in_database
def psql(database: str) -> None:
    """Open psql on it."""
    from etl import embedded

    argv, environment = embedded.psql_command(_running(), database)
    os.execvpe(argv[0], argv, environment)  # noqa: S606 - the program becomes psql


def _running() -> "Server":
    from etl import embedded

    server = embedded.running(context.home())
    if server is None:
        raise embedded.EmbeddedError("the embedded PostgreSQL is not up: run `etl db start`")
    return server
