"""All commands under one name, and every error as one line and a status."""

import atexit
import gc
import sys
from io import TextIOWrapper
from typing import NoReturn

import click

from etl.cli import endings, looking, proof, quarantine, sandbox, server, session, work

HELP = """Every call that your voice agents ever made, in one PostgreSQL warehouse.

\b
Start without a key:   etl demo
With a key in .env:    etl check, etl migrate, etl sync, etl status
From then on:          etl daemon

`etl COMMAND -h` explains each, with an example. Exit status: 0 all done; 1 a source failed, the others were done;
2 the command line is wrong; 78 the configuration or the database is.
"""

UNSEARCHED = 200_000  # objects


@click.group(cls=session.InOrder, help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Log more, and the way that led to an error nobody foresaw.")
def app(debug: bool) -> None:
    session.is_debugging = debug
    session.logs()


app.add_command(work.demo)
app.add_command(looking.check)
app.add_command(work.migrate)
app.add_command(work.sync)
app.add_command(work.backfill)
app.add_command(work.daemon)
app.add_command(looking.status)
app.add_command(looking.why)
app.add_command(proof.verify)
app.add_command(work.replay)
app.add_command(sandbox.sandbox)
app.add_command(server.db)
app.add_command(quarantine.quarantine)


def main() -> NoReturn:
    """Run the command line; every problem that a person can cause is said in a line, and the status says its kind."""
    search_less()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a letter that a terminal cannot show is no reason to end
    try:
        app(prog_name="etl")
    except Exception as error:  # whatever it is: a traceback might show a URL, a key or a person's data
        sys.exit(endings.explained(error))
    sys.exit(0)


def search_less() -> None:
    """Look for cycles of references seldom, and not at the end, when all goes with the process.

    What is made here lives as long as the program, as modules do, or goes with its last reference, as records do: at
    Python's own threshold the search took a fifth of a run with nothing new, and found next to nothing.
    """
    gc.set_threshold(UNSEARCHED)
    atexit.register(gc.freeze)
