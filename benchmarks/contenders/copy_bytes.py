"""The limits: the final bytes of Callhouse's tables, copied unchanged.

Into tables with primary keys alone, or into Callhouse's own with their indexes, search and rollups.
"""

import os
import sys
from pathlib import Path
from typing import Any

import psycopg

TABLES = ("warehouse.calls", "warehouse.transcripts", "raw.payloads")


def keep(url: str, folder: Path) -> None:
    """Write each table's bytes into a folder."""
    folder.mkdir(exist_ok=True)
    with psycopg.connect(url) as connection:
        for table in TABLES:
            with (
                connection.cursor().copy(f"COPY {table} TO STDOUT (FORMAT binary)") as copy,
                (folder / table).open("wb") as file,
            ):
                for chunk in copy:
                    file.write(chunk)


def main(folder: Path, into: str) -> None:
    """Load them again, into ``bare`` tables or into the original ones."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        for table in TABLES:
            target = _bare(connection, table) if into == "bare" else table
            with (
                connection.cursor().copy(f"COPY {target} FROM STDIN (FORMAT binary)") as copy,
                (folder / table).open("rb") as file,
            ):
                while chunk := file.read(1 << 20):
                    copy.write(chunk)
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
