"""Turns a data directory's postmaster.pid into a server that is found, started or stopped, and no other process."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path

from etl.embedded.cluster import Cluster
from etl.embedded.data import MEGABYTE
from etl.embedded.instance import EmbeddedError

PATIENCE_SECONDS = 600  # a crash recovery of several GB takes minutes
PAUSE_SECONDS = 0.1
LOG_LIMIT = 16 * MEGABYTE
PASSING = ('lock file "postmaster.pid" already exists', "pre-existing shared memory block")
PORT_TAKEN = "could not create any TCP/IP sockets"


@dataclass(frozen=True)
class Postmaster:
    """The server's first process, alive: `is_ready` once it answers, until it begins to stop."""

    pid: int
    port: int
    is_ready: bool


class PortTakenError(Exception):
    """Between the look for a free port and the start, another program took it."""


def find(place: Cluster) -> Postmaster | None:
    """The live postmaster of this data directory; None where its pid file is missing, cut off or of another process."""
    lines = _pid_file(place)
    if not lines or not lines[0].isdigit() or not _is_ours(place, int(lines[0])):
        return None
    port = int(lines[3]) if len(lines) > 3 and lines[3].isdigit() else place.port
    return Postmaster(int(lines[0]), port, is_ready=len(lines) > 7 and lines[7].strip() == "ready")


def start(place: Cluster) -> Cluster:
    """Starts the server and waits until it answers; the caller holds the lock. Raises EmbeddedError, PortTakenError."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = find(place)
        if found and found.is_ready:
            return replace(place, port=found.port)
        if found is None:
            _attempt(place)
        if found:
            time.sleep(PAUSE_SECONDS)
    raise EmbeddedError(
        f"The embedded PostgreSQL gave no answer in {PATIENCE_SECONDS // 60} minutes: see {place.log}, and try again."
    )


def stop(place: Cluster) -> bool:
    """Stops the server and waits for its end; False where none runs. Raises EmbeddedError where it does not stop."""
    found = find(place)
    if found is None:
        return False
    done = place.account.run(
        [place.bin_dir / "pg_ctl", "stop", "-w", "-m", "fast", "-t", "120"], env={"PGDATA": str(place.data_dir)}
    )
    if done.returncode != 0 and find(place):
        raise EmbeddedError(
            f"The embedded PostgreSQL, process {found.pid}, did not stop: see {place.log}, and try again."
        )
    return True


def _attempt(place: Cluster) -> None:
    """One `pg_ctl start`; returns where it is worth a further look at the pid file."""
    _clear_stale(place)
    with contextlib.suppress(FileNotFoundError):
        if place.log.stat().st_size > LOG_LIMIT:
            place.log.replace(place.log.with_name("server.log.1"))
    handle = os.open(place.log, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "r+b", buffering=0) as log:
        before = os.fstat(log.fileno()).st_size
        # The directory goes by PGDATA and the log by a file: on its command line pg_ctl hands both to a shell.
        argv = [str(place.bin_dir / "pg_ctl"), "start", "-w", "-t", "60"]
        done = place.account.run(argv, env={"PGDATA": str(place.data_dir)}, log=log)
        said = os.pread(log.fileno(), MEGABYTE, before).decode(errors="replace")
    if done.returncode != 0 and find(place) is None:
        _judge(place, said)


def _judge(place: Cluster, said: str) -> None:
    if PORT_TAKEN in said:
        raise PortTakenError
    if any(sign in said for sign in PASSING):  # a killed server's children need a moment to notice
        time.sleep(PAUSE_SECONDS)
        return
    fatal = [line.partition("FATAL:")[2].strip() for line in said.splitlines() if "FATAL:" in line]
    reason = fatal[-1] if fatal else "no reason given"
    raise EmbeddedError(
        f"The embedded PostgreSQL does not start ({reason}): see {place.log}, mend that, and try again."
    )


def _clear_stale(place: Cluster) -> None:
    """Removes a pid file that the server could not judge by itself: cut off, or of a process that is not this server.

    A dead process's file is left to the server, whose own checks are finer. Data that orphans of a killed server
    still use stays safe: the server finds their shared memory by the directory itself.
    """
    lines = _pid_file(place)
    if lines is None:
        return
    if not lines or not lines[0].isdigit() or _is_alive(int(lines[0])):
        (place.data_dir / "postmaster.pid").unlink(missing_ok=True)


def _pid_file(place: Cluster) -> list[str] | None:
    with contextlib.suppress(FileNotFoundError):
        return (place.data_dir / "postmaster.pid").read_text(errors="replace").splitlines()
    return None


def _is_alive(pid: int) -> bool:
    if pid < 1:
        return False
    try:
        os.kill(pid, 0)  # signal 0 is none: it only asks
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _is_ours(place: Cluster, pid: int) -> bool:
    """Whether `pid` is a PostgreSQL that works in this data directory: after a reboot the number is anybody's.

    Asked also as the server's user, for in a container even root may not look into another user's process.
    """
    if not Path("/proc/self/exe").exists():
        return _is_ours_by_lsof(place, pid)
    exe, cwd = _links(place, pid)
    return Path(exe.removesuffix(" (deleted)")).name == "postgres" and cwd == str(place.data_dir)


def _links(place: Cluster, pid: int) -> tuple[str, str]:
    """The program of `pid` and its directory; empty where there is none to see, as for a zombie."""
    with contextlib.suppress(OSError):
        return str(Path(f"/proc/{pid}/exe").readlink()), str(Path(f"/proc/{pid}/cwd").readlink())
    look = 'readlink "/proc/$1/exe" && readlink "/proc/$1/cwd"'
    exe, _, cwd = place.account.run(["/bin/sh", "-c", look, "sh", str(pid)]).stdout.rstrip("\n").partition("\n")
    return exe, cwd


def _is_ours_by_lsof(place: Cluster, pid: int) -> bool:
    lsof = shutil.which("lsof", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if lsof is None:
        raise EmbeddedError("Without /proc, the embedded PostgreSQL needs lsof to know its own process: install lsof.")
    argv = [lsof, "-a", "-p", str(pid), "-d", "cwd,txt", "-Fn"]
    lines = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines()
    return f"n{place.data_dir}" in lines and any(line.endswith("/postgres") for line in lines)
