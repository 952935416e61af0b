"""A data directory's postmaster.pid → its server process, found, started or stopped; never another process."""

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

START_TIMEOUT_SECONDS = 600  # a crash recovery of several GB takes minutes
POLL_SECONDS = 0.1
LOG_LIMIT = 16 * MEGABYTE
TEMPORARY = ('lock file "postmaster.pid" already exists', "pre-existing shared memory block")
PORT_TAKEN = "could not create any TCP/IP sockets"


@dataclass(frozen=True)
class Postmaster:
    """The server's main process; `is_ready` while it accepts connections."""

    pid: int
    port: int
    is_ready: bool


class PortTakenError(Exception):
    """Another program took the port between the search for a free one and the start."""


def find(cluster: Cluster) -> Postmaster | None:
    """The running postmaster of a data directory; None where its pid file is missing, truncated or stale."""
    lines = _pid_file(cluster)
    if not lines or not lines[0].isdigit() or not _is_ours(cluster, int(lines[0])):
        return None
    port = int(lines[3]) if len(lines) > 3 and lines[3].isdigit() else cluster.port
    return Postmaster(int(lines[0]), port, is_ready=len(lines) > 7 and lines[7].strip() == "ready")


def start(cluster: Cluster) -> Cluster:
    """Starts the server and waits until it is ready, under the lock. Raises EmbeddedError, PortTakenError."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        found = find(cluster)
        if found and found.is_ready:
            return replace(cluster, port=found.port)
        if found is None:
            _attempt(cluster)
        if found:
            time.sleep(POLL_SECONDS)
    raise EmbeddedError(
        f"The embedded PostgreSQL was not ready after {START_TIMEOUT_SECONDS // 60} minutes: see {cluster.log}, "
        "and try again."
    )


def stop(cluster: Cluster) -> bool:
    """Stops the server and waits for its end; False where none is running. Raises EmbeddedError."""
    found = find(cluster)
    if found is None:
        return False
    done = cluster.account.run(
        [cluster.bin_dir / "pg_ctl", "stop", "-w", "-m", "fast", "-t", "120"], env={"PGDATA": str(cluster.data_dir)}
    )
    if done.returncode != 0 and find(cluster):
        raise EmbeddedError(
            f"The embedded PostgreSQL, process {found.pid}, did not stop: see {cluster.log}, and try again."
        )
    return True


def _attempt(cluster: Cluster) -> None:
    """Runs `pg_ctl start` once; raises unless another look at the pid file may succeed."""
    _clear_stale(cluster)
    with contextlib.suppress(FileNotFoundError):
        if cluster.log.stat().st_size > LOG_LIMIT:
            cluster.log.replace(cluster.log.with_name("server.log.1"))
    handle = os.open(cluster.log, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "r+b", buffering=0) as log:
        before = os.fstat(log.fileno()).st_size
        # PGDATA and a log file instead of options, which pg_ctl would pass to a shell.
        argv = [str(cluster.bin_dir / "pg_ctl"), "start", "-w", "-t", "60"]
        done = cluster.account.run(argv, env={"PGDATA": str(cluster.data_dir)}, log=log)
        output = os.pread(log.fileno(), MEGABYTE, before).decode(errors="replace")
    if done.returncode != 0 and find(cluster) is None:
        _raise_unless_temporary(cluster, output)


def _raise_unless_temporary(cluster: Cluster, output: str) -> None:
    if PORT_TAKEN in output:
        raise PortTakenError
    if any(text in output for text in TEMPORARY):  # the children of a killed server need a moment to exit
        time.sleep(POLL_SECONDS)
        return
    fatal = [line.partition("FATAL:")[2].strip() for line in output.splitlines() if "FATAL:" in line]
    reason = fatal[-1] if fatal else "no reason given"
    raise EmbeddedError(
        f"The embedded PostgreSQL does not start ({reason}): see {cluster.log}, fix that, and try again."
    )


def _clear_stale(cluster: Cluster) -> None:
    """Removes a pid file that would keep the server from starting: truncated, or of a process that is not this server.

    The server itself handles the file of a dead process, and detects orphans of a killed server by their shared memory.
    """
    lines = _pid_file(cluster)
    if lines is None:
        return
    if not lines or not lines[0].isdigit() or _is_alive(int(lines[0])):
        (cluster.data_dir / "postmaster.pid").unlink(missing_ok=True)


def _pid_file(cluster: Cluster) -> list[str] | None:
    with contextlib.suppress(FileNotFoundError):
        return (cluster.data_dir / "postmaster.pid").read_text(errors="replace").splitlines()
    return None


def _is_alive(pid: int) -> bool:
    if pid < 1:
        return False
    try:
        os.kill(pid, 0)  # signal 0 only tests for the process
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _is_ours(cluster: Cluster, pid: int) -> bool:
    """Whether `pid` is a PostgreSQL on this data directory: after a reboot it may be the pid of any process."""
    if not Path("/proc/self/exe").exists():
        return _is_ours_by_lsof(cluster, pid)
    exe, cwd = _links(cluster, pid)
    return Path(exe.removesuffix(" (deleted)")).name == "postgres" and cwd == str(cluster.data_dir)


def _links(cluster: Cluster, pid: int) -> tuple[str, str]:
    """The program of `pid` and its working directory; empty for a zombie.

    A container may hide another user's process even from root, so the server's user looks too.
    """
    with contextlib.suppress(OSError):
        return str(Path(f"/proc/{pid}/exe").readlink()), str(Path(f"/proc/{pid}/cwd").readlink())
    look = 'readlink "/proc/$1/exe" && readlink "/proc/$1/cwd"'
    exe, _, cwd = cluster.account.run(["/bin/sh", "-c", look, "sh", str(pid)]).stdout.rstrip("\n").partition("\n")
    return exe, cwd


def _is_ours_by_lsof(cluster: Cluster, pid: int) -> bool:
    lsof = shutil.which("lsof", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if lsof is None:
        raise EmbeddedError("Without /proc, the embedded PostgreSQL needs lsof to know its own process: install lsof.")
    argv = [lsof, "-a", "-p", str(pid), "-d", "cwd,txt", "-Fn"]
    lines = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines()
    return f"n{cluster.data_dir}" in lines and any(line.endswith("/postgres") for line in lines)
