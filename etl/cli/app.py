"""All commands under one name; each error becomes one line and an exit status."""

import atexit
import gc
import sys
from typing import NoReturn

import click

from etl import __version__
from etl.cli import (
    context,
    db_commands,
    erase_command,
    exit_status,
    export_command,
    inspect_commands,
    output,
    quarantine_commands,
    rates_commands,
    run_commands,
    sandbox_command,
    sources_commands,
    verify_command,
)

HELP = """Every call that your voice agents ever made, in one PostgreSQL warehouse.

\b
Start without a key:   etl demo
With a key in .env:    etl check, etl migrate, etl sync, etl status
From then on:          etl daemon

`etl COMMAND -h` explains a command, with an example. Exit status: 0 success; 1 a source failed, the others succeeded,
or the output could not be written; 2 invalid command line; 78 invalid configuration or database.
"""

GC_THRESHOLD = 200_000  # objects


@click.group(cls=context.InOrder, help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="callhouse", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Add debug logs and stack traces.")
def app(debug: bool) -> None:
    context.is_debugging = debug
    context.logs()


app.add_command(run_commands.demo)
app.add_command(inspect_commands.check)
app.add_command(run_commands.migrate)
app.add_command(run_commands.sync)
app.add_command(run_commands.backfill)
app.add_command(run_commands.daemon)
app.add_command(run_commands.worker)
app.add_command(inspect_commands.status)
app.add_command(inspect_commands.why)
app.add_command(verify_command.verify)
app.add_command(run_commands.replay)
app.add_command(export_command.export)
app.add_command(sandbox_command.sandbox)
app.add_command(db_commands.db)
app.add_command(quarantine_commands.quarantine)
app.add_command(rates_commands.rates)
app.add_command(sources_commands.sources)
app.add_command(erase_command.erase)


def main() -> NoReturn:
    """Run the command line; each error that a person can cause becomes one line and an exit status."""
    tune_gc()
    end = output.protect()
    try:
        app(prog_name="etl")
    except SystemExit as done:
        status = done.code if isinstance(done.code, int) else 0
    except Exception as error:  # a traceback might show a URL, a key or personal data
        status = exit_status.handle_error(error)
    sys.exit(end(status))


def tune_gc() -> None:
    """Collect reference cycles rarely, and not at exit.

    Objects here live as long as the process, as modules do, or until their last reference, as records do. With Python's
    default threshold the collector took a fifth of a run with nothing new, and found next to nothing.
    """
    gc.set_threshold(GC_THRESHOLD)
    atexit.register(gc.freeze)
