"""The limits: the final bytes of Callhouse's tables, copied as they are, with no work before it and none between.

Into tables with primary keys and no more, or into Callhouse's own, whose indexes, search and sums PostgreSQL keeps.
"""

import os
import sys
from pathlib import Path
from typing import Any

import psycopg

TABLES = ("warehouse.calls", "warehouse.transcripts", "raw.payloads")


def keep(url: str, folder: Path) -> None:
    """Write each table's bytes, and the statement that makes it, into a folder."""
    folder.mkdir(exist_ok=True)
    with psycopg.connect(url) as connection:
        for table in TABLES:
            with (
                connection.cursor().copy(f"COPY {table} TO STDOUT (FORMAT binary)") as copy,
                (folder / table).open("wb") as file,
            ):
                for piece in copy:
                    file.write(piece)


def main(folder: Path, into: str) -> None:
    """Load them again, into ``bare`` tables or into those that they are of."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        for table in TABLES:
            target = _bare(connection, table) if into == "bare" else table
            with (
                connection.cursor().copy(f"COPY {target} FROM STDIN (FORMAT binary)") as copy,
                (folder / table).open("rb") as file,
            ):
                while piece := file.read(1 << 20):
                    copy.write(piece)
            connection.commit()


def _bare(connection: psycopg.Connection[Any], table: str) -> str:
    """A table with the columns and the primary key of another."""
    bare = f"bare.{table.partition('.')[2]}"
    connection.execute("CREATE SCHEMA IF NOT EXISTS bare")
    connection.execute(f"CREATE TABLE {bare} (LIKE {table} INCLUDING DEFAULTS)")
    key = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'p'"
    (primary,) = connection.execute(key, [table]).fetchone()
    connection.execute(f"ALTER TABLE {bare} ADD {primary}")
    return bare


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
