"""dlt, tuned: wide rows alone, their columns declared, no nested tables, appended by COPY of CSV; or through Arrow.

``python dlt_rows.py rows|arrow [same]``. Turns and raw payloads are left out: dlt is given the smaller job. With
``same`` it loads them too, and ``same_result.sql`` turns what it loaded into what Callhouse keeps.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import local

from api import COLUMNS, Api, Connection, Record, decode, encode

os.environ |= {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "DATA_WRITER__BUFFER_MAX_ITEMS": "20000",
    "NORMALIZE__LOADER_FILE_FORMAT": "csv",
    "LOAD__WORKERS": "2",
}

import dlt
import psycopg2

KINDS = {"timestamptz": "timestamp", "numeric": "decimal", "text": "text", "jsonb": "text"}
HINTS = {
    name: {"name": name, "data_type": KINDS[kind], "nullable": name not in ("source", "id")} for name, kind in COLUMNS
}
NAMES = [name for name, _ in COLUMNS]
RESULT = Path(__file__).with_name("same_result.sql")
SAME = ("detail", "transcript", "payload")  # what the same result takes beside the wide row


def wide(each: Record) -> dict[str, object]:
    """A record as one row."""
    return dict(zip(NAMES, each.read(decode(each.payload))[0], strict=True))


def whole(each: Record) -> dict[str, object]:
    """A record as one row, with its transcript and its bytes, and where Ringg says more than its status does."""
    record = decode(each.payload)
    row, transcript = each.read(record)
    detail = "voicemail" if record.get("voicemail_detected") else record.get("sub_status")
    text = transcript if isinstance(transcript, str | None) else encode(transcript).decode()
    return {
        **dict(zip(NAMES, row, strict=True)),
        "detail": detail,
        "transcript": text,
        "payload": each.payload.decode(),
    }


def rows(api: Api, read: Callable[[Record], dict[str, object]]) -> Iterator[list[dict[str, object]]]:
    """Pages of rows, of each list only what is newer than the newest of the run before."""
    newest = dlt.current.resource_state().setdefault("newest", {})
    before, fetch, seen = dict(newest), Transcripts(api), set()
    for page in api.pages():
        found = [read(each) for each in page]
        fresh = [row for row in found if row["created_at"].isoformat() > before.get(row["source"], "")]
        fresh = [row for row in fresh if row["id"] not in seen]  # some are in two of Ravan's lists
        seen.update(row["id"] for row in fresh)
        if fresh:
            source = fresh[0]["source"]
            newest[source] = max(newest.get(source, ""), fresh[0]["created_at"].isoformat())
            yield fetch(fresh) if "apart" in api.sources else fresh


class Transcripts:
    """Transcripts that take a request each, four at a time."""

    def __init__(self, api: Api) -> None:
        self._api, self._local, self._threads = api, local(), ThreadPoolExecutor(4)

    def __call__(self, page: list[dict[str, object]]) -> list[dict[str, object]]:
        said = self._threads.map(self._one, page)
        return [{**row, "transcript": text} for row, text in zip(page, said, strict=True)]

    def _one(self, row: dict[str, object]) -> str | None:
        if not row["answered_at"]:
            return None
        if not hasattr(self._local, "connection"):
            self._local.connection = Connection(self._api.origin)
        found = self._api.transcript(self._local.connection, "apart", str(row["id"]))
        return found if isinstance(found, str) or found is None else repr(found)


def tables(pages: Iterator[list[dict[str, object]]], more: Sequence[str]) -> Iterator[object]:
    """The same pages as Arrow tables, some thousand rows each."""
    import pyarrow as pa

    kinds = {"timestamptz": pa.timestamp("us", "UTC"), "numeric": pa.decimal128(38, 9)}
    schema = pa.schema(
        [(name, kinds.get(kind, pa.string())) for name, kind in COLUMNS] + [(name, pa.string()) for name in more]
    )
    held: list[dict[str, object]] = []
    for page in pages:
        held += page
        if len(held) >= 5000:
            yield pa.Table.from_pylist(held, schema)
            held = []
    if held:
        yield pa.Table.from_pylist(held, schema)


def main(way: str, more: Sequence[str]) -> None:
    """One run of one pipeline, and what is to be done in SQL."""
    api = Api()
    added = (*more, *(["transcript"] if "apart" in api.sources else []))
    columns = HINTS | {name: {"name": name, "data_type": "text"} for name in added}

    def calls() -> Iterator[object]:
        pages = rows(api, whole if more else wide)
        yield from tables(pages, more) if way == "arrow" else pages

    pipeline = dlt.pipeline(
        "bench", pipelines_dir=os.environ["BENCH_FOLDER"], dataset_name="dlt",
        destination=dlt.destinations.postgres(os.environ["DATABASE_URL"]),
    )  # fmt: skip
    pipeline.run(dlt.resource(calls, name="calls", columns=columns, max_table_nesting=0, write_disposition="append"))
    if more:
        with psycopg2.connect(os.environ["DATABASE_URL"]) as connection, connection.cursor() as cursor:
            cursor.execute(RESULT.read_text(), {"phones": api.phones})


if __name__ == "__main__":
    main(sys.argv[1], SAME if "same" in sys.argv[2:] else ())
