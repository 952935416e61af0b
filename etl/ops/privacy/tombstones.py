"""The tokens of erased people in a file beside the database: a backup that is restored does not bring them back.

A line holds the fingerprint of the key by which a token was made, the token, and when the person was erased. Lines of
another fingerprint belong to another database and are left alone.
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import Connection, Engine

from etl.db.engine import uuid_array
from etl.db.statements import Statements, execute, fetch_all
from etl.ops.privacy.erasure import Erasure, Person
from etl.runtime.clock import Clock
from etl.runtime.humanize import counted
from etl.state import registry

SQL = Statements("removed_calls")
HEADER = (
    "# Tokens of erased people, without personal data. Keep this file when a backup is restored: see docs/privacy.md.\n"
)


class TombstoneFileError(Exception):
    """The file cannot be read or written; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class TombstoneFile:
    """The file, and the database whose tombstones are its own by the fingerprint of the key."""

    path: Path
    fingerprint: str

    def read(self) -> tuple[Mapping[UUID, datetime], int]:
        """The tombstones of this database, and how many there are of others."""
        own, others = dict[UUID, datetime](), 0
        try:
            lines = self.path.read_text("utf-8").splitlines()
        except FileNotFoundError:
            return {}, 0
        except (OSError, UnicodeDecodeError) as error:
            raise self._problem("cannot be read", error) from None
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            try:
                fingerprint, token, at = line.split()
                tombstone = UUID(token), datetime.fromisoformat(at).astimezone(UTC)
            except ValueError:
                raise TombstoneFileError(
                    f"line {number} of {self.path} is no tombstone: take the file from a copy, or remove the line"
                ) from None
            others += fingerprint != self.fingerprint
            own.update([tombstone] if fingerprint == self.fingerprint else [])
        return own, others

    def add(self, tombstones: Mapping[UUID, datetime]) -> None:
        """Append tombstones, on the disk before anything is removed."""
        lines = [f"{self.fingerprint} {token} {at.isoformat()}\n" for token, at in tombstones.items()]
        if not lines:
            return
        try:
            is_new = not self.path.exists()
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "a", encoding="utf-8") as stream:
                stream.write("".join([HEADER if is_new else "", *lines]))
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise self._problem("cannot be written", error) from None

    def _problem(self, what: str, error: Exception) -> TombstoneFileError:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        return TombstoneFileError(f"{self.path} {what} ({why}): fix its rights, or name another file in ETL_ERASURES")


def tombstone_file(connection: Connection, path: Path) -> TombstoneFile:
    """The file at a path, as this database's."""
    key = registry.masking_key(connection)
    return TombstoneFile(path, hashlib.sha256(b"callhouse.erasures" + key).hexdigest()[:16])


def add(connection: Connection, path: Path, tokens: Sequence[UUID], now: datetime) -> None:
    """Leave tombstones, first in the file, then in the database, where their people's calls are to be removed."""
    file = tombstone_file(connection, path)
    known, _ = file.read()
    file.add({token: now for token in tokens if token not in known})
    values = {"tokens": uuid_array(tokens), "times": [now for _ in tokens]}
    execute(connection, SQL.add_erasures, values)
    execute(connection, SQL.reopen_erasures, values)


def settle(db: Engine, clock: Clock, path: Path, say: Callable[[str], None]) -> None:
    """Bring file and database into agreement, and finish what was not finished, before anything is loaded.

    Tombstones that only the file has are of a restored backup: their people are erased again. Those that only the
    database has are added to the file. Raises :class:`TombstoneFileError`.
    """
    with db.begin() as connection:
        file = tombstone_file(connection, path)
        stored = {row.token: row for row in fetch_all(connection, SQL.erasures)}
        known, others = file.read()
        if missing := {token: at for token, at in known.items() if token not in stored}:
            values = {"tokens": uuid_array(missing), "times": list(missing.values())}
            execute(connection, SQL.add_erasures, values)
    try:
        file.add({token: row.erased_at for token, row in stored.items() if token not in known})
    except TombstoneFileError as error:
        say(f"{error}; until then a restored backup brings erased people back")
    open_ones = [*missing, *(token for token, row in stored.items() if row.completed_at is None)]
    if missing:
        say(f"the database was restored from before {counted(len(missing), 'erasure')}: erasing again")
    for token in open_ones:
        Erasure(db, clock, Person((token,))).run({})
    if others and not known and not stored:
        say(
            f"{path} has {counted(others, 'erasure')} of another database: nobody is erased in this one; "
            "`etl erase` erases them here too"
        )
