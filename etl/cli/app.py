"""All commands under one name, and every error as one line and a status."""

import atexit
import gc
import sys
from io import TextIOWrapper
from typing import NoReturn

import click

from etl.cli import (
    context,
    db_commands,
    exit_status,
    inspect_commands,
    quarantine_commands,
    run_commands,
    sandbox_command,
    verify_command,
)

HELP = """Every call that your voice agents ever made, in one PostgreSQL warehouse.

\b
Start without a key:   etl demo
With a key in .env:    etl check, etl migrate, etl sync, etl status
From then on:          etl daemon

`etl COMMAND -h` explains each, with an example. Exit status: 0 all done; 1 a source failed, the others were done;
2 the command line is wrong; 78 the configuration or the database is.
"""

UNSEARCHED = 200_000  # objects


@click.group(cls=context.InOrder, help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Log more, and the way that led to an error nobody foresaw.")
def app(debug: bool) -> None:
    context.is_debugging = debug
    context.logs()


app.add_command(run_commands.demo)
app.add_command(inspect_commands.check)
app.add_command(run_commands.migrate)
app.add_command(run_commands.sync)
app.add_command(run_commands.backfill)
app.add_command(run_commands.daemon)
app.add_command(inspect_commands.status)
app.add_command(inspect_commands.why)
app.add_command(verify_command.verify)
app.add_command(run_commands.replay)
app.add_command(sandbox_command.sandbox)
app.add_command(db_commands.db)
app.add_command(quarantine_commands.quarantine)


def main() -> NoReturn:
    """Run the command line; every problem that a person can cause is said in a line, and the status says its kind."""
    tune_gc()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a letter that a terminal cannot show is no reason to end
    try:
        app(prog_name="etl")
    except Exception as error:  # whatever it is: a traceback might show a URL, a key or a person's data
        sys.exit(exit_status.handle_error(error))
    sys.exit(0)


def tune_gc() -> None:
    """Look for cycles of references seldom, and not at the end, when all goes with the process.

    What is made here lives as long as the program, as modules do, or goes with its last reference, as records do: at
    Python's own threshold the search took a fifth of a run with nothing new, and found next to nothing.
    """
    gc.set_threshold(UNSEARCHED)
    atexit.register(gc.freeze)
