"""The yardstick: the least work that loads the data. Wide rows, turns, costs, raw payloads, and nothing else.

No sync state, no merge, no second run, no bad record: every list is read once and copied into new tables. One process:
a thread writes while the next pages are read, and four threads fetch transcripts that take a request each.
"""

import os
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
from api import COLUMNS, Api, Connection, Row, decode, spoken
from psycopg.types.json import set_json_dumps

TABLES = {
    "calls": ((*COLUMNS, ("turn_count", "integer")), "source, id"),
    "turns": (
        (("source", "text"), ("id", "text"), ("turn_index", "integer"), ("speaker", "text"), ("text", "text"),
         ("spoken_at", "timestamptz")),
        "source, id, turn_index",
    ),
    "records": ((("source", "text"), ("id", "text"), ("payload", "bytea")), "source, id"),
}  # fmt: skip
BATCH = 4000
AT_ONCE = 4

Batch = tuple[list[Row], list[Row], list[Row]]


def batches(api: Api) -> Iterator[Batch]:
    """The rows of the three tables, some thousand calls at a time."""
    calls: list[Row] = []
    turns: list[Row] = []
    records: list[Row] = []
    seen: set[str] = set()  # a call between two of the organisation's numbers is in both lists of Ravan
    for page in api.pages():
        for source, payload, read in page:
            row, transcript = read(decode(payload))
            if source == "ravan":
                if row[1] in seen:
                    continue
                seen.add(row[1])
            said = spoken(transcript)
            calls.append((*row, len(said)))
            records.append((row[0], row[1], payload))
            turns += [(row[0], row[1], index, *each) for index, each in enumerate(said)]
        if len(calls) >= BATCH:
            yield calls, turns, records
            calls, turns, records = [], [], []
    yield calls, turns, records


def with_transcripts(api: Api, batch: Batch) -> Batch:
    """A batch with the transcripts of its answered calls."""
    calls, turns, records = batch
    answered = [row[1] for row in calls if row[13]]
    local = threading.local()

    def fetch(call_id: str) -> list[Row]:
        if not hasattr(local, "connection"):
            local.connection = Connection(api.origin)
        said = spoken(api.transcript(local.connection, "apart", call_id))
        return [("vaani", call_id, index, *each) for index, each in enumerate(said)]

    with ThreadPoolExecutor(AT_ONCE) as threads:
        found = threads.map(fetch, answered, chunksize=1)
    return calls, [*turns, *(row for rows in found for row in rows)], records


def write(url: str, work: "queue.Queue[Batch | None]") -> None:
    """Copy each batch into the tables, as one transaction."""
    with psycopg.connect(url) as connection:
        set_json_dumps(str.encode, connection)  # it is JSON already
        while batch := work.get():
            for (table, (columns, _)), rows in zip(TABLES.items(), batch, strict=True):
                with connection.cursor().copy(f"COPY bare.{table} FROM STDIN (FORMAT binary)") as copy:
                    copy.set_types([kind for _, kind in columns])
                    for row in rows:
                        copy.write_row(row)
            connection.commit()


def main() -> None:
    """Make the tables, and fill them."""
    url, api = os.environ["DATABASE_URL"], Api()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE SCHEMA bare")
        for table, (columns, key) in TABLES.items():
            listed = ", ".join(f"{name} {kind}" for name, kind in columns)
            connection.execute(f"CREATE TABLE bare.{table} ({listed}, PRIMARY KEY ({key}))")
    work: queue.Queue[Batch | None] = queue.Queue(2)
    writer = threading.Thread(target=write, args=(url, work), daemon=True)  # an error ends the process
    writer.start()
    for batch in batches(api):
        work.put(with_transcripts(api, batch) if "apart" in api.sources else batch)
    work.put(None)
    writer.join()


if __name__ == "__main__":
    main()
