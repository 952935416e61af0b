"""An error that nobody foresaw → one line that says its kind and its place, and shows none of the data in its text."""

import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent


def one_line(error: BaseException) -> str:
    """Its kind, and the last place of ours that it came through; its own text may hold a URL, a key or a person."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(HERE)]
    at = (ours or frames)[-1] if frames else None
    where = f" at {_module(at.filename)}:{at.lineno}" if at else ""
    return f"unforeseen {type(error).__name__}{where}: this is a defect of Callhouse; `etl --debug` logs the way to it"


def stack(error: BaseException) -> str:
    """The lines of code that led to it, and its kind; without its text."""
    return "".join([*traceback.format_tb(error.__traceback__), type(error).__name__])


def _module(filename: str) -> str:
    path = Path(filename)
    if not path.is_relative_to(HERE):
        return path.stem
    parts = path.relative_to(HERE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")
