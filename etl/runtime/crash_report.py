"""An unexpected error → one line with its type and location, without its text, which may hold data."""

import traceback
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent


def one_line(error: BaseException) -> str:
    """Its type, and the last line of our code that it passed; its own text may hold a URL, a key or personal data."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(PACKAGE)]
    at = (ours or frames)[-1] if frames else None
    where = f" at {_module(at.filename)}:{at.lineno}" if at else ""
    return f"unexpected {type(error).__name__}{where}: this is a bug in Callhouse; `etl --debug` logs the stack trace"


def stack(error: BaseException) -> str:
    """The stack trace, with the type of the error and without its text."""
    return "".join([*traceback.format_tb(error.__traceback__), type(error).__name__])


def _module(filename: str) -> str:
    path = Path(filename)
    if not path.is_relative_to(PACKAGE):
        return path.stem
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")
