"""stdout and stderr on which no write fails: a full disk or a reader that has gone ends no work; and plain text."""

import errno
import io
import os
import select
import sys
import unicodedata
from collections.abc import Callable
from typing import Any

import click

LAYOUT = "\n\t"
JOINERS = "\u200c\u200d"  # invisible, and needed to write Indian scripts


class _Output(io.FileIO):
    """A descriptor that drops what cannot be written, and keeps the reason."""

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write, or drop: nobody above can do more about it."""
        try:
            while (written := super().write(data)) is None:  # not blocking, and full
                select.select([], [self], [])
            return written
        except OSError as error:
            self.failure = error
            return len(data)


def protect() -> Callable[[int], int]:
    """Replace stdout and stderr → the exit status of the process, given that of its work.

    A descriptor that is closed would become that of the next file or connection, and what is printed would go there.
    """
    while (unused := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(unused)
    answer = _Output(1, "w", closefd=False)
    sys.stdout, sys.stderr = _text(answer, sys.stdout), _text(_Output(2, "w", closefd=False), sys.stderr)

    def end(status: int) -> int:
        sys.stdout.flush()
        if answer.failure is None or answer.failure.errno == errno.EPIPE:  # whoever read it had enough
            return status
        click.echo(f"etl: stdout cannot be written ({answer.failure.strerror}): the output is incomplete", err=True)
        return status or 1

    return end


def _text(raw: _Output, before: Any) -> io.TextIOWrapper:
    """Text for a descriptor; a character that it cannot show is replaced."""
    encoding = getattr(before, "encoding", "utf-8")
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, "replace", line_buffering=raw.fileno() == 2)


def printable(text: str, kept: str = "") -> str:
    """A text from outside without what a terminal obeys and nobody sees; ``kept`` may be line breaks and tabs."""
    if text.isprintable():
        return text
    return "".join([char if _is_visible(char) or char in kept else "\ufffd" for char in text])


def _is_visible(char: str) -> bool:
    return char.isprintable() or char in JOINERS or unicodedata.category(char) == "Zs"


def echo(text: str, *, err: bool = False) -> None:
    """Print a line or several, which may quote what came from outside."""
    click.echo(printable(text, LAYOUT), err=err)
