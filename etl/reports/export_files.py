"""A view → files: one for each day, with a manifest by which an export goes on and later ones write what changed."""

import csv
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Engine

from etl.db.view_reader import Column, Days, View, begin_snapshot, days, read

FORMATS = ("csv", "parquet")
FORMULA = tuple("=+-@\t\r＝＋－＠")  # a spreadsheet would take a text that begins so for a formula
PRECISION, SCALE = 38, 18  # digits of a number in Parquet: the most that DuckDB, Spark and BigQuery read
MANIFEST = "manifest.json"
EVERYTHING = "all"  # in place of a day, for a view that has none

OnRows = Callable[[float, int], None]
"""Called after each batch with the part of the days that is done, and the number of its rows."""


class ExportProblem(Exception):
    """Files that cannot be written; the message says why and what to do."""


class Exported(NamedTuple):
    """What an export did."""

    rows: int = 0
    written: int = 0  # files
    unchanged: int = 0
    removed: int = 0


class Writer(Protocol):
    """A file that is written in batches of rows."""

    def write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Append rows."""

    def close(self) -> None:
        """Finish the file."""


def export_to_file(db: Engine, view: View, asked: Days, path: Path, on_rows: Callable[[int], None]) -> int:
    """Write a range of days to one file, all of one moment → the number of rows; no half a file is ever left."""
    rows = 0
    with db.connect() as connection, _replacing(path) as unfinished:
        begin_snapshot(connection)
        writer = WRITERS[path.suffix[1:]](unfinished, view.columns)
        try:
            for batch in read(connection, view, asked):
                writer.write(batch)
                rows += len(batch)
                on_rows(len(batch))
        finally:
            writer.close()
    return rows


def export_to_directory(
    db: Engine, view: View, asked: Days, manifest: "Manifest", on_rows: OnRows, *, since_last: bool
) -> Exported:
    """Write a file for each day; one that the same export wrote before it was interrupted, or with ``since_last`` one
    whose rows did not change, stays. The file of a day that has no rows any more is removed.
    """
    with db.connect() as connection:
        found = {str(day): (day, mark) for day, mark in days(connection, view, asked).items()} if view.day else {}
    manifest.begin(asked)
    done = Exported()
    for n, (name, (day, fingerprint)) in enumerate(found.items() if view.day else [(EVERYTHING, (None, ""))]):
        if manifest.is_current(name, fingerprint, since_last=since_last):
            done = done._replace(unchanged=done.unchanged + 1)
            continue
        path = manifest.path(name)
        part = Days(day, day + timedelta(days=1)) if day else Days(None, None)
        rows = export_to_file(db, view, part, path, partial(on_rows, n / len(found) if found else 0.0))
        manifest.add(name, rows, fingerprint)
        done = done._replace(rows=done.rows + rows, written=done.written + 1)
    removed = manifest.remove(name for name in manifest.days(asked) if name not in found) if view.day else 0
    manifest.finish()
    return done._replace(removed=removed)


class Manifest:
    """``manifest.json`` beside the files: which days they have, and the export that wrote or is writing them."""

    def __init__(self, directory: Path, view: View, file_format: str) -> None:
        self._path, self._name, self._format = directory / MANIFEST, view.name, file_format
        new = {"view": str(view), "format": file_format, "export": {}, "files": {}}
        try:
            self._stored: dict[str, Any] = json.loads(self._path.read_text("utf-8")) if self._path.exists() else new
            stored_as = (self._stored["view"], self._stored["format"])
        except (ValueError, KeyError, TypeError):
            raise ExportProblem(
                f"{self._path} is no manifest of an export: choose another --out, or remove it"
            ) from None
        if stored_as != (str(view), file_format):
            raise ExportProblem(
                f"{directory} has {stored_as[0]} as {stored_as[1]}, not {view} as {file_format}: choose another --out"
            )

    def begin(self, asked: Days) -> None:
        """Go on with the last export where it is of the same days and did not finish, else begin anew."""
        last, days = self._stored["export"], [day and str(day) for day in asked]
        if last.get("days") != days or last.get("finished_at"):
            self._stored["export"] = {"days": days, "started_at": _now(), "finished_at": None}

    def path(self, name: str) -> Path:
        """The file of a day."""
        suffix = "" if name == EVERYTHING else f"-{name}"
        return self._path.parent / f"{self._name}{suffix}.{self._format}"

    def is_current(self, name: str, fingerprint: str, *, since_last: bool) -> bool:
        """Whether a day's file stands, from this export or, with ``since_last``, with the rows as they are now."""
        entry = self._stored["files"].get(name)
        if entry is None or not self.path(name).exists():
            return False
        is_of_this_export: bool = entry["written_at"] >= self._stored["export"]["started_at"]
        return is_of_this_export or (since_last and bool(fingerprint) and entry["fingerprint"] == fingerprint)

    def add(self, name: str, rows: int, fingerprint: str) -> None:
        """Enter a day's file as soon as it is written."""
        self._stored["files"][name] = {
            "file": self.path(name).name, "rows": rows, "fingerprint": fingerprint, "written_at": _now(),
        }  # fmt: skip
        self._save()

    def days(self, asked: Days) -> list[str]:
        """The days within a range that have a file."""
        first, end = str(asked.first or ""), str(asked.end or "9999")
        return [name for name in self._stored["files"] if name != EVERYTHING and first <= name < end]

    def remove(self, names: Iterator[str]) -> int:
        """Remove files → how many."""
        gone = list(names)
        for name in gone:
            self.path(name).unlink(missing_ok=True)
            del self._stored["files"][name]
        return len(gone)

    def finish(self) -> None:
        """Enter that the export is complete."""
        self._stored["export"]["finished_at"] = _now()
        self._save()

    def _save(self) -> None:
        with _replacing(self._path) as unfinished:
            unfinished.write_text(json.dumps(self._stored, indent=1), "utf-8")


class CsvWriter:
    """RFC 4180 in UTF-8 with Excel's byte order mark; a text that a spreadsheet would compute gets an apostrophe."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._file = path.open("w", encoding="utf-8-sig", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow([column.name for column in columns])

    def write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Append rows."""
        self._writer.writerows([[_cell(value) for value in row] for row in rows])

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        value = ", ".join(value)
    if isinstance(value, str):
        return f"'{value}" if value.lstrip(" ").startswith(FORMULA) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(value, "f") if isinstance(value, Decimal) else value


class ParquetWriter:
    """Typed columns with their comments; a row group for each batch."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise ExportProblem(
                "Parquet needs pyarrow: pip install 'callhouse[parquet]', or use --format csv"
            ) from None
        self._arrow = pyarrow
        types = {
            "smallint": pyarrow.int16(), "integer": pyarrow.int32(), "bigint": pyarrow.int64(),
            "numeric": pyarrow.decimal128(PRECISION, SCALE), "double precision": pyarrow.float64(),
            "boolean": pyarrow.bool_(), "date": pyarrow.date32(), "text[]": pyarrow.list_(pyarrow.string()),
            "timestamp with time zone": pyarrow.timestamp("us", "UTC"),
            "timestamp without time zone": pyarrow.timestamp("us"),
        }  # fmt: skip
        fields = [
            pyarrow.field(column.name, types.get(column.type, pyarrow.string()), metadata={"comment": column.comment})
            for column in columns
        ]
        self._schema = pyarrow.schema(fields)
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd")

    def write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Append rows."""
        columns = [
            self._column(field, values) for field, values in zip(self._schema, zip(*rows, strict=True), strict=True)
        ]
        self._writer.write_batch(self._arrow.record_batch(columns, schema=self._schema))

    def _column(self, field: Any, values: tuple[Any, ...]) -> Any:
        if self._arrow.types.is_decimal(field.type):
            values = tuple([None if value is None else _rounded(value) for value in values])
        try:
            return self._arrow.array(values, type=field.type)
        except self._arrow.ArrowInvalid:
            way_out = "--format csv keeps every number"
            raise ExportProblem(
                f"a number in {field.name} has more than {PRECISION - SCALE} digits before its point: {way_out}"
            ) from None

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


WRITERS: dict[str, Callable[[Path, Sequence[Column]], Writer]] = {"csv": CsvWriter, "parquet": ParquetWriter}


def _rounded(value: Decimal) -> Decimal:
    exponent = value.as_tuple().exponent
    return round(value, SCALE) if isinstance(exponent, int) and exponent < -SCALE else value


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A file beside ``path`` that takes its place once it is complete; only its owner may read it."""
    unfinished = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(unfinished, os.O_CREAT | os.O_WRONLY, 0o600))
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        reason = f"{error.strerror or 'the disk refuses'}{f': {error.filename}' if error.filename else ''}"
        raise ExportProblem(f"{path} cannot be written: {reason}") from None
    finally:
        with suppress(OSError):
            unfinished.unlink()


def _now() -> str:
    return datetime.now(UTC).isoformat()
