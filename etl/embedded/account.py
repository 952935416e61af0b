"""The user of this process → the user that PostgreSQL runs as, for it refuses to run as root."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from etl.embedded.instance import EmbeddedError

UNPRIVILEGED = ("postgres", "nobody", "daemon")


@dataclass(frozen=True)
class Account:
    """The user of the server's processes; `uid` and `gid` are None for the user of this process."""

    uid: int | None = None
    gid: int | None = None

    def run(
        self, argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, log: IO[bytes] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs `argv` as this user; its output is captured or appended to `log`.

        The environment is a new one, because the caller's holds API keys and the server outlives the caller. Messages
        are in English, because they are parsed. Raises OSError where the program cannot be started.
        """
        return subprocess.run(
            [str(part) for part in argv],
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else [],
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=log or subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )

    def can_run(self, program: Path) -> bool:
        """Whether this user can start `program`, which permissions and mount options decide."""
        try:
            return self.run([program, "--version"]).returncode == 0
        except OSError:
            return False

    def can_enter(self, directory: Path) -> bool:
        """Whether this user can enter `directory`."""
        return self.run(["/bin/sh", "-c", 'cd -- "$1"', "sh", directory]).returncode == 0

    def own(self, path: Path) -> None:
        """Makes this user the owner of `path`. Raises OSError where the file system does not support that."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def initdb_prefix(self) -> list[str]:
        """The prefix of an initdb command for a user that is not in /etc/passwd, as in a container with `--user 12345`.

        initdb needs the name of its user; in a user namespace the same user is `nobody`.
        """
        uid = os.geteuid() if self.uid is None else self.uid
        try:
            pwd.getpwuid(uid)
        except KeyError:
            unshare = shutil.which("unshare")
            return [unshare, "--user", f"--map-user={_nobody()}", "--"] if unshare else []
        return []


def account_for(home: Path, data_dir: Path | None) -> Account:
    """The user that owns `data_dir`, else one for `home`. Raises EmbeddedError where there is none."""
    if os.geteuid() != 0:
        if data_dir is not None and data_dir.stat().st_uid != os.geteuid():
            raise EmbeddedError(
                f"The embedded PostgreSQL of {home} belongs to {_name(data_dir.stat().st_uid)}, and you are "
                f"{_name(os.geteuid())}: run the command as that user, or set ETL_HOME to a directory of your own."
            )
        return Account()
    account = _for_root(home, data_dir)
    try:
        account.run(["/bin/sh", "-c", ":"])
    except OSError:
        raise EmbeddedError(
            f"PostgreSQL refuses to run as root, and this process may not become {_name(account.uid or 0)}: run the "
            "command as an ordinary user, or set DATABASE_URL to a server of yours."
        ) from None
    return account


def give_to_owner(path: Path) -> None:
    """Gives a file that root wrote to the owner of its directory, who must be able to use it later."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _for_root(home: Path, data_dir: Path | None) -> Account:
    if data_dir is not None:
        owner = data_dir.stat()
        if owner.st_uid == 0:
            raise EmbeddedError(
                f"{data_dir} belongs to root, and PostgreSQL refuses to run as root: chown it to another user."
            )
        return Account(owner.st_uid, owner.st_gid)
    names = [_name(home.stat().st_uid), *UNPRIVILEGED]
    for entry in (entry for name in names if (entry := _user(name)) and entry.pw_uid != 0):
        return Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedError(
        "PostgreSQL refuses to run as root, and there is no user postgres or nobody: add one (useradd postgres)."
    )


def _user(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _nobody() -> int:
    entry = _user("nobody")
    return entry.pw_uid if entry else 65534


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
