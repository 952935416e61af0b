"""Events → log lines: key=value on a terminal, JSON elsewhere, secrets redacted in both."""

import json
import logging
import math
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TextIO

from etl.runtime.redaction import Redaction
from etl.runtime.secret import Secret

_VERBOSE_LOGGERS = ("httpx", "httpcore", "sqlalchemy", "alembic", "apscheduler")
_FIELDS = "event_fields"
_PLAIN = re.compile(r"[\w.:/+*@%,-]+\Z")
# control characters, and those that change the direction of writing; line breaks may stay in a traceback
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def event(logger: logging.Logger, message: str, /, *, level: int = logging.INFO, **fields: object) -> None:
    """Log one event: ``message`` is the name of its kind, ``fields`` are its values."""
    logger.log(level, "%s", message, extra={_FIELDS: fields}, stacklevel=2)


def setup(level: int = logging.INFO, stream: TextIO | None = None, secrets: Iterable[Secret] = ()) -> None:
    """Send the log of this process to ``stream`` (stderr by default), redacted; another call replaces the first."""
    target = stream or sys.stderr
    handler = _Handler(stream)
    handler.setFormatter(Lines(Redaction(secrets)) if target.isatty() else Objects(Redaction(secrets)))
    root = logging.getLogger()
    for old in [found for found in root.handlers if isinstance(found, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _VERBOSE_LOGGERS:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(True)


def redact(secrets: Iterable[Secret]) -> None:
    """Redact these secrets, too, in the log of this process."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, Lines | Objects):
            handler.formatter.redaction = handler.formatter.redaction.extended(secrets)


class _Handler(logging.StreamHandler[TextIO]):
    """Ignores a stream that is closed or full; logging's default reaction would print unredacted values.

    Without a stream of its own it writes to the current stderr, which progress bars replace while they are shown.
    """

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__(stream)
        self._follows_stderr = stream is None

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        if self._follows_stderr:
            self.stream = sys.stderr
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """A line that cannot be written is dropped."""


class Lines(logging.Formatter):
    """For people: time, level, message and key=value on one line; a traceback below it."""

    def __init__(self, redaction: Redaction) -> None:
        super().__init__()
        self.redaction = redaction

    def format(self, record: logging.LogRecord) -> str:
        """One line without control characters; only a traceback has line breaks."""
        at = datetime.fromtimestamp(record.created, UTC)
        words = [f"{at:%H:%M:%S}", f"{record.levelname.lower():<7}", _one_line(_message(record))]
        words += [f"{name}={_shown(value)}" for name, value in _fields(record).items()]
        trace = _traceback(self, record)
        text = _CONTROLS.sub("", " ".join(words) + (f"\n{trace}" if trace else ""))
        return self.redaction(text)


class Objects(logging.Formatter):
    """For programs: one JSON object a line: ``at`` in UTC, ``level``, ``logger``, ``event`` and the event's fields."""

    def __init__(self, redaction: Redaction) -> None:
        super().__init__()
        self.redaction = redaction

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON; its texts are redacted before they are escaped."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line: dict[str, Any] = {"at": at, "level": record.levelname.lower(), "logger": record.name}
        line["event"] = self.redaction(_message(record))
        line |= {name: self._plain(value) for name, value in _fields(record).items() if name not in line}
        if trace := _traceback(self, record):
            line["traceback"] = self.redaction(trace)
        return json.dumps(line, ensure_ascii=True)

    def _plain(self, value: object) -> object:
        is_number = isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))
        return value if value is None or is_number else self.redaction(str(value))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):  # arguments that do not match the message
        return str(record.msg)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields = getattr(record, _FIELDS, {})
    return fields if isinstance(fields, dict) else {}


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = [formatter.formatException(record.exc_info)] if record.exc_info and record.exc_info[0] else []
    return "\n".join([*parts, record.stack_info] if record.stack_info else parts)


def _one_line(text: str) -> str:
    return re.sub(r"\s*[\r\n]+\s*", " ", text)


def _shown(value: object) -> str:
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    return text if _PLAIN.match(text) else json.dumps(_one_line(text), ensure_ascii=False)
