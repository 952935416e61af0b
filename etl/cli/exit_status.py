"""What a command came to → lines for a person, and the exit status that follows."""

import json
import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from etl.sync.run import RunResult

FAILED, CONFIGURATION = 1, 78
REFUSED = "42501"  # SQLSTATE insufficient_privilege

log = logging.getLogger("etl.cli")


def handle_error(error: Exception) -> int:
    """Say what keeps the program from running, line by line; the exit status."""
    from sqlalchemy.exc import SQLAlchemyError

    from etl.db.engine import DatabaseProblem, describe, sqlstate
    from etl.embedded import EmbeddedError
    from etl.runtime.crash_report import one_line, stack
    from etl.settings import ConfigurationError
    from etl.state.registry import SourceMismatch
    from etl.sync.parallel import Interrupted

    if isinstance(error, ConfigurationError):
        return _said(CONFIGURATION, *error.problems)
    if isinstance(error, DatabaseProblem | EmbeddedError | SourceMismatch):
        return _said(CONFIGURATION, str(error))
    if isinstance(error, Interrupted):
        return _said(FAILED, str(error))
    log.debug("stack trace:\n%s", stack(error))
    if isinstance(error, SQLAlchemyError) and sqlstate(error) == REFUSED:
        return _said(CONFIGURATION, f"{describe(error)}: the user of DATABASE_URL may not do this; grant it the right")
    if isinstance(error, SQLAlchemyError):
        return _said(FAILED, f"{describe(error)}; what was committed is kept, and the same command goes on from there")
    return _said(FAILED, one_line(error))


def _said(status: int, *lines: str) -> int:
    for line in lines:
        click.echo(f"etl: {line}", err=True)
    return status


def warn(text: str) -> None:
    """Say what may be wrong, and go on."""
    click.echo(f"etl: warning: {text}", err=True)


def exit_with(reports: Sequence["RunResult"]) -> NoReturn:
    """Name each source that failed, and end with the status that follows."""
    sys.exit(FAILED if print_failures(reports) else 0)


def print_failures(reports: Sequence["RunResult"]) -> bool:
    """Name each source that failed; whether there is any."""
    for report in reports:
        if report.error:
            click.echo(f"etl: {report.error}", err=True)
    return any(report.error for report in reports)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))
