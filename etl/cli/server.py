"""The commands `etl db …`: the embedded PostgreSQL, for those who have none."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from etl.cli import session

if TYPE_CHECKING:
    from etl.embedded import Server

app = typer.Typer(help="The embedded PostgreSQL, for those who have none.", no_args_is_help=True, rich_markup_mode=None)
Database = Annotated[str, typer.Argument(help="Which database of it; `demo` is the demo's.")]


@app.command()
def start() -> None:
    """Start it; it stays up until `etl db stop`."""
    from etl import embedded

    server = embedded.start(session.home())
    typer.echo(f"up at {server.host}:{server.port}; `etl db url` prints the whole URL, password included")


@app.command()
def stop() -> None:
    """Stop it; the data stay."""
    from etl import embedded

    typer.echo("stopped; the data stay" if embedded.stop(session.home()) else "it was not running")


@app.command()
def url(database: Database = "callhouse") -> None:
    """Print its URL for a BI tool, password included."""
    typer.echo(_running().url(database))


@app.command()
def psql(database: Database = "callhouse") -> None:
    """Open psql on it."""
    from etl import embedded

    argv, environment = embedded.psql_command(_running(), database)
    os.execvpe(argv[0], argv, environment)  # noqa: S606 - the program becomes psql


def _running() -> "Server":
    from etl import embedded

    server = embedded.running(session.home())
    if server is None:
        raise embedded.EmbeddedError("the embedded PostgreSQL is not up: run `etl db start`")
    return server
