"""The commands `etl db …`: the embedded PostgreSQL."""

import os
from collections.abc import Sequence

import click

from etl.cli import context
from etl.cli.output import echo

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
    echo(f"running at {server.host}:{server.port}; `etl db url` prints its URL with the password")


@db.command()
def stop() -> None:
    """Stop it; the data are kept."""
    from etl import embedded

    home = context.home()
    echo("stopped; the data are kept" if embedded.stop(home) else f"none was running in {home}")


@db.command()
@in_database
def url(database: str) -> None:
    """Print its URL, password included, for a BI tool."""
    from etl.cli.database import running_server

    echo(running_server(context.home()).url(database))


@db.command()
@in_database
@click.option("-c", "--command", metavar="SQL", multiple=True, help="Run this and exit.")
def psql(database: str, command: Sequence[str]) -> None:
    """Open psql on it."""
    from etl import embedded
    from etl.cli.database import running_server

    argv, environment = embedded.psql_command(running_server(context.home()), database)
    argv += [f"--command={statement}" for statement in command]
    os.execvpe(argv[0], argv, environment)  # noqa: S606 - the process becomes psql
