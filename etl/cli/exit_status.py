"""The outcome of a command → lines on stderr and an exit status."""

import json
import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from etl.cli.output import JOINERS, echo

if TYPE_CHECKING:
    from etl.sync.run import RunResult

FAILED, CONFIGURATION = 1, 78

log = logging.getLogger("etl.cli")


def handle_error(error: Exception) -> int:
    """Print an error, one line for each problem; returns the exit status."""
    from sqlalchemy.exc import SQLAlchemyError

    from etl.cli.parallel_runs import Interrupted
    from etl.db.engine import INSUFFICIENT_PRIVILEGE, DatabaseProblem, describe, sqlstate
    from etl.embedded import EmbeddedError
    from etl.ops.privacy.tombstones import TombstoneFileError
    from etl.runtime.crash_report import one_line, stack
    from etl.settings import ConfigurationError
    from etl.state.registry import SourceMismatch

    if isinstance(error, ConfigurationError):
        return _print(CONFIGURATION, *error.problems)
    if isinstance(error, DatabaseProblem | EmbeddedError | SourceMismatch | TombstoneFileError):
        return _print(CONFIGURATION, str(error))
    if isinstance(error, Interrupted):
        return _print(FAILED, str(error))
    log.debug("stack trace:\n%s", stack(error))
    if isinstance(error, SQLAlchemyError) and sqlstate(error) == INSUFFICIENT_PRIVILEGE:
        return _print(CONFIGURATION, describe(error))
    if isinstance(error, SQLAlchemyError):
        return _print(FAILED, f"{describe(error)}; what was committed is kept; run the same command again to resume")
    return _print(FAILED, one_line(error))


def _print(status: int, *lines: str) -> int:
    for line in lines:
        echo(f"etl: {line}", err=True)
    return status


def warn(text: str) -> None:
    """Print a warning."""
    echo(f"etl: warning: {text}", err=True)


def exit_with(results: Sequence["RunResult"]) -> NoReturn:
    """Print the failures, and exit with the status that follows."""
    sys.exit(FAILED if print_failures(results) else 0)


def print_failures(results: Sequence["RunResult"]) -> bool:
    """Print the error of each source that failed; whether there is one."""
    for result in results:
        if result.error:
            echo(f"etl: {result.source}: {result.error}", err=True)
    return any(result.error for result in results)


def print_json(value: Any) -> None:
    """Print one JSON document on stdout; what a terminal would obey is escaped, as JSON allows anywhere in a text."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    echo("".join([char if char.isprintable() or char in f"\n{JOINERS}" else json.dumps(char)[1:-1] for char in text]))
