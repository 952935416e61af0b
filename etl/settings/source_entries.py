"""Sources as a person states them, in words of a command line or lines of a CSV file → entries, and back."""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from etl.runtime.secret import Secret
from etl.settings import encryption, parsers
from etl.settings.source_tables import KEYS

MAX_CSV_BYTES = 64 << 20
COLUMNS = ("source", *KEYS)
REFERENCES = ("env:", "file:", encryption.PREFIX)


class Entry(NamedTuple):
    """A source to store: its settings, and its key, a reference to one, or ``None`` for the one that is stored.

    ``place`` says in errors where it stands, with ``{}`` for its name.
    """

    name: str
    settings: Mapping[str, object]
    key: Secret | str | None
    place: str = "source {}:"


def value_of(setting: str, text: str) -> object:
    """What a word says of a setting → the value that a TOML file would have; the parser judges it."""
    if setting == "requests_per_minute" and re.fullmatch(r"[0-9]{1,9}", text, re.ASCII):
        return int(text)
    if setting == "phones":
        return [phone for part in re.split("[,;]", text) if (phone := part.strip())]
    if setting == "lookbacks":
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def text_of(value: object) -> str:
    """A setting as a word that :func:`value_of` reads."""
    if isinstance(value, list):
        return ",".join(value) if all(isinstance(part, str) for part in value) else json.dumps(value)
    return str(value)


def read_csv(text: str) -> tuple[list[Entry], list[str]]:
    """The entries of a CSV file, whose first line names the columns, and what is wrong with it."""
    header = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=header.count), strict=True)
    entries, problems = dict[str, Entry](), list[str]()
    try:
        columns = [column.strip() for column in next(reader, [])]
        problems += _column_problems(columns)
        for row in () if problems else reader:
            where = f"line {reader.line_num}"
            cells = {column: cell for column, text in zip(columns, row, strict=False) if (cell := text.strip())}
            if len(row) > len(columns):
                problems.append(f"{where} has {len(row)} cells, and the first line names {len(columns)} columns")
            elif cells.get("source", "") in entries:
                problems.append(f"{where}: the source {parsers.shown(cells['source'])} stands above already")
            elif cells:
                entries[cells.get("source", "")] = _entry(cells, f"{where}, {{}}:")
    except csv.Error as error:
        problems.append(f"line {reader.line_num} is not CSV: {error}")
    return list(entries.values()), problems


def _column_problems(columns: Sequence[str]) -> list[str]:
    missing = [name for name in ("source", "provider") if name not in columns]
    problems = [f"line 1 has no column {name}; it names the columns: source, provider, api_key, …" for name in missing]
    unknown = [name for name in columns if name not in COLUMNS]
    problems += [
        f"line 1: no setting is named {parsers.shown(name)}{parsers.nearest(name, COLUMNS)}" for name in unknown
    ]
    return problems + [f"line 1 names {name} twice" for name in COLUMNS if columns.count(name) > 1]


def _entry(cells: Mapping[str, str], place: str) -> Entry:
    settings = {name: value_of(name, text) for name, text in cells.items() if name not in ("source", "api_key")}
    key = cells.get("api_key")
    is_reference = key is None or key.startswith(REFERENCES)
    return Entry(cells.get("source", ""), settings, key if is_reference or key is None else Secret(key), place)


def write_csv(rows: Iterable[tuple[str, Mapping[str, object], str]]) -> str:
    """Sources with their settings and their keys as CSV, which :func:`read_csv` reads; no encrypted key is in it."""
    found = list(rows)
    used = [name for name in KEYS if name in ("provider", "api_key") or any(name in row[1] for row in found)]
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(["source", *used])
    for name, settings, key in found:
        cells = {**settings, "api_key": "" if key.startswith(encryption.PREFIX) else key}
        writer.writerow([name, *(text_of(cells.get(column, "")) for column in used)])
    return target.getvalue()
