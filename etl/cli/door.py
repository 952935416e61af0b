"""All commands under one name, and every error as one line and a status."""

import gc
import sys
from io import TextIOWrapper
from typing import Annotated, NoReturn

import typer

from etl.cli import endings, looking, proof, quarantine, sandbox, server, session, work

HELP = """Every call that your voice agents ever made, in one PostgreSQL warehouse.

\b
Start without a key:   etl demo
With a key in .env:    etl check, etl migrate, etl sync, etl status
From then on:          etl daemon

`etl COMMAND -h` explains each, with an example. Exit status: 0 all done; 1 a source failed, the others were done;
2 the command line is wrong; 78 the configuration or the database is.
"""

# What is made here lives as long as the program, as its modules do, or goes with its last reference, as records do: the
# search for cycles, a tenth of a run at Python's own threshold, finds next to nothing.
UNSEARCHED = 50_000

app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _everywhere(
    debug: Annotated[
        bool, typer.Option("--debug", help="Log more, and the way that led to an error nobody foresaw.")
    ] = False,
) -> None:
    session.is_debugging = debug
    session.logs()


app.command()(work.demo)
app.command()(looking.check)
app.command()(work.migrate)
app.command()(work.sync)
app.command()(work.backfill)
app.command()(work.daemon)
app.command()(looking.status)
app.command()(looking.why)
app.command()(proof.verify)
app.command()(work.replay)
app.command()(sandbox.sandbox)
app.add_typer(server.app, name="db")
app.add_typer(quarantine.app, name="quarantine")


def main() -> NoReturn:
    """Run the command line; every problem that a person can cause is said in a line, and the status says its kind."""
    gc.set_threshold(UNSEARCHED)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a letter that a terminal cannot show is no reason to end
    try:
        app(prog_name="etl")
    except Exception as error:  # whatever it is: a traceback might show a URL, a key or a person's data
        sys.exit(endings.explained(error))
    sys.exit(0)
