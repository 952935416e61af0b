"""Tombstones beside the database: a restored backup brings nobody back, and no file of another database harms."""

import os
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from etl.db.connections import open_engine
from etl.embedded import Server
from etl.ops.privacy.tombstones import HEADER, TombstoneFileError, settle, tombstone_file
from tests.commands import run_etl
from tests.harness import PROVIDERS, Harness, make_harness
from tests.postgres import database_copy
from tests.test_deployment import dumped, program
from tests.test_erasure import PERSON, WORDS, calls_of, crowded, erase, traces


def settled(harness: Harness, file: Path) -> list[str]:
    said: list[str] = []
    settle(harness.db, harness.clock, file, said.append)
    return said


def tokens(db: Engine) -> list[str]:
    with db.connect() as connection:
        return [str(token) for token in connection.scalars(text("SELECT token FROM ops.erasures ORDER BY 1"))]


def test_a_backup_from_before_an_erasure_brings_nobody_back(
    server: Server, db: Engine, database_url: str, tmp_path: Path
) -> None:
    harness, file = make_harness(db, crowded()), tmp_path / "erasures.txt"
    for name in PROVIDERS:
        harness.sync(name)
    dumped(server, database_url, tmp_path / "backup")
    erase(harness, PERSON, file)
    with database_copy(server, "template0") as empty:
        program(server, "pg_restore", "--no-owner", "--no-privileges", "--exit-on-error",
                f"--dbname={server.url(empty)}", str(tmp_path / "backup"))  # fmt: skip
        made = open_engine(server.url(empty))
        restored = Harness(made, harness.world, harness.clock, harness.transport)
        assert traces(made, WORDS)
        assert settled(restored, file) == [
            "the database was restored from before 1 erasure: erasing again"
        ]  # nothing but the token is known
        assert traces(made, WORDS) == set()
        assert settled(restored, file) == []
        for name in PROVIDERS:
            before = restored.stored_ids(name)
            assert before == harness.stored_ids(name)
            restored.sync(name)
            assert restored.stored_ids(name) == before
        assert traces(made, WORDS) == set()
        assert tokens(made) == tokens(db)
        made.dispose()


def test_a_command_that_loads_applies_the_file_first_and_says_so(db: Engine, database_url: str, tmp_path: Path) -> None:
    harness, file = make_harness(db, crowded()), tmp_path / "erasures.txt"
    harness.sync("ringg")
    erase(harness, "+919876599999", file)
    with db.begin() as connection:
        known = tombstone_file(connection, file)
        connection.execute(text("TRUNCATE ops.erasures"))
    given = {**harness.transport.environment(), "DATABASE_URL": f"{database_url}?sslmode=disable"}  # type: ignore[attr-defined]
    said = run_etl("replay", "ringg", cwd=tmp_path, given=given)
    assert said.returncode == 0, said.stderr
    assert "restored from before 1 erasure" in said.stderr
    assert tokens(db) == [str(token) for token in known.read()[0]]


def test_a_file_that_is_lost_is_written_again(db: Engine, tmp_path: Path) -> None:
    harness, file = make_harness(db, crowded()), tmp_path / "erasures.txt"
    erase(harness, PERSON, file)
    before = file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    file.unlink()
    assert settled(harness, file) == []
    assert file.read_text() == before
    file.write_text(HEADER)
    file.chmod(0o400)
    if os.geteuid():
        (said,) = settled(harness, file)
        assert "cannot be written" in said


def test_nothing_is_written_where_nobody_was_erased(db: Engine, tmp_path: Path) -> None:
    assert settled(make_harness(db, crowded()), tmp_path / "erasures.txt") == []
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_another_database_is_left_alone(server: Server, template: str, db: Engine, tmp_path: Path) -> None:
    harness, file = make_harness(db, crowded()), tmp_path / "erasures.txt"
    erase(harness, PERSON, file)
    with database_copy(server, template) as name:
        made = open_engine(server.url(name))
        with made.begin() as connection:
            connection.execute(text("UPDATE ops.masking_key SET key = sha256(key)"))
        other = make_harness(made, crowded())
        (said,) = settled(other, file)
        assert said == (
            f"{file} has 1 erasure of another database: nobody is erased in this one; `etl erase` erases them here too"
        )
        assert tokens(made) == []
        erase(other, PERSON, file)
        assert settled(other, file) == []
        assert len(tokens(made)) == 1
        made.dispose()
    assert settled(harness, file) == []
    assert len(tokens(db)) == 1


@pytest.mark.parametrize("line", ["+919876543210", "a b c", "00 00000000-0000-0000-0000-000000000000 yesterday"])
def test_a_line_that_is_none_stops_before_anything_is_loaded(
    db: Engine, database_url: str, tmp_path: Path, line: str
) -> None:
    file = tmp_path / "erasures.txt"
    file.write_text(f"{HEADER}\n{line}\n")
    with pytest.raises(TombstoneFileError, match=r"line 3 of .* is no tombstone: take the file from a copy, or remove"):
        settled(make_harness(db, crowded()), file)
    given = {"DATABASE_URL": f"{database_url}?sslmode=disable"}
    said = run_etl("erase", "--phone", PERSON, cwd=tmp_path, given=given)
    assert (said.returncode, said.stdout) == (78, "")
    assert said.stderr.count("\n") == 1


def test_a_file_that_cannot_be_written_stops_an_erasure(db: Engine, database_url: str, tmp_path: Path) -> None:
    harness = make_harness(db, crowded())
    harness.sync("ringg")
    given = {"DATABASE_URL": f"{database_url}?sslmode=disable", "ETL_ERASURES": str(tmp_path / "missing" / "file")}
    said = run_etl("erase", "--phone", PERSON, cwd=tmp_path, given=given)
    assert (said.returncode, said.stdout) == (78, "")
    assert "cannot be written (No such file or directory): fix its rights, or name another file in ETL_ERASURES" in (
        said.stderr
    )
    assert calls_of(harness.world, "ringg") <= harness.stored_ids("ringg")
    assert tokens(db) == []
