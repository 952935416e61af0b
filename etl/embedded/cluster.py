"""ETL_HOME → an initialised data directory; its location, programs and port are saved for later starts."""

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
from etl.embedded.account import Account, account_for, give_to_owner
from etl.embedded.instance import HOST, EmbeddedError


@dataclass(frozen=True)
class Cluster:
    """The server of one home: `base` contains `data`, `settings.conf` and `server.log`."""

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


def server_dir(home: Path) -> Path:
    """The embedded server's directory in the home."""
    return home / "postgres"


@contextlib.contextmanager
def wrap_os_errors(home: Path) -> Iterator[None]:
    """Raises EmbeddedError, with a hint, in place of an OSError."""
    try:
        yield
    except OSError as error:
        raise EmbeddedError(
            f"The embedded PostgreSQL cannot use {error.filename or server_dir(home)} ({error.strerror or error}): fix "
            "that, or set ETL_HOME to a directory that you may write to."
        ) from None


@contextlib.contextmanager
def locked(home: Path) -> Iterator[None]:
    """Creates the home's server directory where it is missing, and locks it against other processes."""
    if not home.exists():
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o711 if os.geteuid() == 0 else 0o700)  # the server's user can enter it, but not list it
        give_to_owner(home)
    if not server_dir(home).exists():
        server_dir(home).mkdir(exist_ok=True)
        give_to_owner(server_dir(home))
    handle = os.open(server_dir(home) / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        give_to_owner(server_dir(home) / "lock")
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def find(home: Path) -> Cluster | None:
    """The cluster that an earlier start created, or None. Raises EmbeddedError where it belongs to another user."""
    base = _base_with_data(home)
    if base is None:
        return None
    saved, account = _saved(home), account_for(home, base / "data")
    return Cluster(home, base, Path(str(saved.get("bin_dir", ""))), _saved_port(saved), account)


def provision(home: Path, extra: Mapping[str, str]) -> Cluster:
    """Chooses user, directory, programs and port, creates the cluster where there is none, and writes its settings.

    The caller holds the lock, and the server is not running. Raises EmbeddedError.
    """
    base = _base_with_data(home)
    account = account_for(home, base / "data" if base else None)
    bin_dir = binaries.reachable_by(binaries.find_binaries(_major_version_of(base / "data") if base else None), account)
    base = base or _new_base(home, account)
    cluster = Cluster(home, base, bin_dir, _port(_saved_port(_saved(home))), account)
    if not cluster.data_dir.exists():
        data.initialise(base, server_dir(home), bin_dir, account)
    data.write(base / "settings.conf", data.configuration(cluster.port, extra), 0o644)
    saved = {"base": str(base) if base != server_dir(home) else None, "bin_dir": str(bin_dir), "port": cluster.port}
    data.write(server_dir(home) / "cluster.json", json.dumps(saved) + "\n", 0o600)
    return cluster


def with_current_binaries(cluster: Cluster) -> Cluster:
    """The cluster with programs that exist: those that started it may be gone. Raises EmbeddedError."""
    if cluster.bin_dir.is_absolute() and (cluster.bin_dir / "pg_ctl").exists():
        return cluster
    bin_dir = binaries.find_binaries(_major_version_of(cluster.data_dir))
    return replace(cluster, bin_dir=binaries.reachable_by(bin_dir, cluster.account))


def password_of(cluster: Cluster) -> str:
    """The cluster's password. Raises EmbeddedError where it cannot be read."""
    for directory in (server_dir(cluster.home), cluster.base):
        with contextlib.suppress(FileNotFoundError):
            if password := (directory / "password").read_text().strip():
                return password
    raise EmbeddedError(
        f"The embedded PostgreSQL's password is missing from {server_dir(cluster.home) / 'password'}: put it back, "
        f"or start again by moving {cluster.base} away."
    )


def _base_with_data(home: Path) -> Path | None:
    """The directory with this home's data: as saved, in the home, or in a fallback directory."""
    saved = _saved(home).get("base")
    here = [Path(str(saved))] if saved else []
    elsewhere = [directory / _home_hash(home) for directory in binaries.FALLBACK_DIRS] if os.geteuid() == 0 else []
    return next((base for base in [*here, server_dir(home), *elsewhere] if (base / "data").is_dir()), None)


def _new_base(home: Path, account: Account) -> Path:
    """The home's server directory, or a fallback directory where `account` cannot enter it or own files in it."""
    own = server_dir(home)
    if account.uid is None:
        return own
    own.chmod(0o711)
    if account.can_enter(own) and _can_own(account, own):
        return own
    for directory in binaries.fallback_dirs(account):
        base = directory / _home_hash(home)
        base.mkdir(exist_ok=True)
        base.chmod(0o711)
        return base
    raise EmbeddedError(
        f"The user that runs the embedded PostgreSQL cannot enter {own}, and no directory could be created for it "
        f"below {binaries.FALLBACK_DIRS[0]}: set ETL_HOME to a directory outside private ones."
    )


def _can_own(account: Account, directory: Path) -> bool:
    probe = directory / f".probe-{secrets.token_hex(4)}"
    probe.touch(mode=0o600)
    try:
        account.own(probe)
        return True
    except OSError:
        return False
    finally:
        probe.unlink()


def _home_hash(home: Path) -> str:
    return hashlib.sha256(os.fsencode(home)).hexdigest()[:16]


def _saved(home: Path) -> Mapping[str, object]:
    """The values that an earlier start saved; lost or damaged ones can all be determined again."""
    path = server_dir(home) / "cluster.json"
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, ValueError):
        saved = json.loads(path.read_text())
        if isinstance(saved, dict):
            # As root, no program and no directory is used because another user's file names it.
            is_trusted = os.geteuid() != 0 or path.stat().st_uid == 0
            return saved if is_trusted else {"port": saved.get("port")}
    return {}


def _saved_port(saved: Mapping[str, object]) -> int:
    port = saved.get("port")
    return port if isinstance(port, int) else 0


def _major_version_of(data_dir: Path) -> int | None:
    try:
        return int((data_dir / "PG_VERSION").read_text())
    except FileNotFoundError:
        return None
    except ValueError:
        raise EmbeddedError(f"{data_dir / 'PG_VERSION'} is damaged: restore {data_dir} or move it away.") from None


def _port(wanted: int) -> int:
    """`wanted` if it is free, which keeps a BI tool's connection valid; else any free port."""
    for port in (wanted, 0) if 0 < wanted < 65536 else (0,):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            with contextlib.suppress(OSError):
                probe.bind((HOST, port))
                return int(probe.getsockname()[1])
    raise EmbeddedError(f"No TCP port of {HOST} is free for the embedded PostgreSQL: stop a program that uses one.")
