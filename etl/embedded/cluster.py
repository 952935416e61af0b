"""Turns ETL_HOME into an initialised data directory, and remembers where it is, whose, and on which port."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from etl.embedded import binaries, data
from etl.embedded.account import Account, account_for, keep_owner
from etl.embedded.instance import HOST, EmbeddedError


@dataclass(frozen=True)
class Cluster:
    """Where the server of one home lives: `base` holds `data`, `settings.conf` and `server.log`."""

    home: Path
    base: Path
    bin_dir: Path
    port: int
    account: Account

    @property
    def data_dir(self) -> Path:
        return self.base / "data"

    @property
    def log(self) -> Path:
        return self.base / "server.log"


def room(home: Path) -> Path:
    """The embedded server's own directory in the home."""
    return home / "postgres"


@contextlib.contextmanager
def explained(home: Path) -> Iterator[None]:
    """Turns what the file system refuses into one clear EmbeddedError."""
    try:
        yield
    except OSError as error:
        raise EmbeddedError(
            f"The embedded PostgreSQL cannot use {error.filename or room(home)} ({error.strerror or error}): mend "
            "that, or set ETL_HOME to a directory that you may write to."
        ) from None


@contextlib.contextmanager
def locked(home: Path) -> Iterator[None]:
    """Makes the home's room where it is missing, and holds its lock: of two commands at once one waits."""
    if not home.exists():
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o711 if os.geteuid() == 0 else 0o700)  # the server's user passes through, but does not list
        keep_owner(home)
    if not room(home).exists():
        room(home).mkdir(exist_ok=True)
        keep_owner(room(home))
    handle = os.open(room(home) / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        keep_owner(room(home) / "lock")
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def recall(home: Path) -> Cluster | None:
    """The place that an earlier start chose, or None. Raises EmbeddedError where it belongs to another user."""
    base = _base_with_data(home)
    if base is None:
        return None
    noted = _note(home)
    account = account_for(home, base / "data")
    return Cluster(home, base, Path(str(noted.get("bin_dir", ""))), _noted_port(noted), account)


def settle(home: Path, extra: Mapping[str, str]) -> Cluster:
    """Chooses user, directory, programs and port, makes the cluster where there is none, writes its settings.

    The caller holds the lock, and the server does not run. Raises EmbeddedError.
    """
    base = _base_with_data(home)
    account = account_for(home, base / "data" if base else None)
    bin_dir = binaries.within_reach(binaries.locate(_release_of(base / "data") if base else None), account)
    base = base or _new_base(home, account)
    place = Cluster(home, base, bin_dir, _port(_noted_port(_note(home))), account)
    if not place.data_dir.exists():
        data.initialise(base, room(home), bin_dir, account)
    data.write(base / "settings.conf", data.configuration(place.port, extra), 0o644)
    note = {"base": str(base) if base != room(home) else None, "bin_dir": str(bin_dir), "port": place.port}
    data.write(room(home) / "place.json", json.dumps(note) + "\n", 0o600)
    return place


def with_programs(place: Cluster) -> Cluster:
    """The same place with the programs that are found now. Raises EmbeddedError."""
    bin_dir = binaries.locate(_release_of(place.data_dir))
    return replace(place, bin_dir=binaries.within_reach(bin_dir, place.account))


def password_of(place: Cluster) -> str:
    """The cluster's password. Raises EmbeddedError where it cannot be read."""
    for directory in (room(place.home), place.base):
        with contextlib.suppress(FileNotFoundError):
            if password := (directory / "password").read_text().strip():
                return password
    raise EmbeddedError(
        f"The embedded PostgreSQL's password is missing from {room(place.home) / 'password'}: put it back, "
        f"or start anew by moving {place.base} away."
    )


def _base_with_data(home: Path) -> Path | None:
    """The directory that holds this home's data: as noted, in the home, or elsewhere where the note was lost."""
    noted = _note(home).get("base")
    here = [Path(str(noted))] if noted else []
    elsewhere = [haven / _key(home) for haven in binaries.HAVENS] if os.geteuid() == 0 else []
    return next((base for base in [*here, room(home), *elsewhere] if (base / "data").is_dir()), None)


def _new_base(home: Path, account: Account) -> Path:
    """The home's room; or, where `account` cannot go there or own a file there, a directory outside that it can."""
    own = room(home)
    if account.uid is None:
        return own
    own.chmod(0o711)
    if account.reaches(own) and _can_own(account, own):
        return own
    for haven in binaries.havens(account):
        base = haven / _key(home)
        base.mkdir(exist_ok=True)
        base.chmod(0o711)
        return base
    raise EmbeddedError(
        f"The user that runs the embedded PostgreSQL cannot go into {own}, nor could a directory be made for it "
        f"below {binaries.HAVENS[0]}: set ETL_HOME to a directory outside private ones."
    )


def _can_own(account: Account, directory: Path) -> bool:
    probe = directory / f".probe-{secrets.token_hex(4)}"
    probe.touch(mode=0o600)
    try:
        account.take(probe)
        return True
    except OSError:
        return False
    finally:
        probe.unlink()


def _key(home: Path) -> str:
    return hashlib.sha256(os.fsencode(home)).hexdigest()[:16]


def _note(home: Path) -> Mapping[str, object]:
    """What an earlier start wrote down; a lost or damaged note costs nothing, for all of it can be found again."""
    path = room(home) / "place.json"
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, ValueError):
        note = json.loads(path.read_text())
        if isinstance(note, dict):
            # Root runs no program, and enters no directory, only because another user's file names it.
            is_trusted = os.geteuid() != 0 or path.stat().st_uid == 0
            return note if is_trusted else {"port": note.get("port")}
    return {}


def _noted_port(note: Mapping[str, object]) -> int:
    port = note.get("port")
    return port if isinstance(port, int) else 0


def _release_of(data_dir: Path) -> int | None:
    try:
        return int((data_dir / "PG_VERSION").read_text())
    except FileNotFoundError:
        return None
    except ValueError:
        raise EmbeddedError(f"{data_dir / 'PG_VERSION'} is damaged: restore {data_dir} or move it away.") from None


def _port(wanted: int) -> int:
    """`wanted` where it is free, so that a BI tool's connection stays valid; any free one elsewhere."""
    for port in (wanted, 0) if 0 < wanted < 65536 else (0,):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            with contextlib.suppress(OSError):
                probe.bind((HOST, port))
                return int(probe.getsockname()[1])
    raise EmbeddedError(f"No TCP port of {HOST} is free for the embedded PostgreSQL: end what holds them.")
