"""A command → its cost: wall time, processor time of client and database, peak memory of its processes."""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
EVERY_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one command; times in seconds, memory in MB."""

    wall: float
    client: float
    database: float
    memory: float


class Failed(Exception):
    """A command that failed."""


def measured(command: Sequence[str], environment: Mapping[str, str], postmaster: int, log: Path) -> Cost:
    """Run a command to its end; its output goes to ``log``."""
    before = server_seconds(postmaster)
    with log.open("wb") as out:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=dict(environment), stdout=out, stderr=subprocess.STDOUT)
        memory = _Memory(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    most = memory.stop()
    if process.returncode:
        raise Failed(f"{command[0]} ended with {process.returncode}: {log.read_text(errors='replace')[-2000:]}")
    time.sleep(0.3)  # its database sessions end later
    return Cost(
        wall,
        usage.ru_utime + usage.ru_stime,
        server_seconds(postmaster) - before,
        max(most, 0.0),
    )


def server_seconds(postmaster: int) -> float:
    """The processor time of a PostgreSQL so far: the postmaster, its children, and those that have exited."""
    ticks = 0
    for pid in (postmaster, *_children(postmaster)):
        fields = _stat(pid)
        ticks += sum(int(ticks_spent) for ticks_spent in fields[11 : 15 if pid == postmaster else 13])
    return ticks / TICK


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return ["0"] * 20


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


class _Memory:
    """Peak memory of a process tree, each shared page counted once (PSS)."""

    def __init__(self, root: int) -> None:
        self._root, self._most, self._over = root, 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(EVERY_SECONDS):
            self._most = max(self._most, sum(_pss(pid) for pid in _tree(self._root)))

    def stop(self) -> float:
        """The peak, in MB."""
        self._over.set()
        self._thread.join()
        return self._most


def _tree(root: int) -> list[int]:
    found = [root]
    for pid in found:
        for task in _tasks(pid):
            found += [int(child) for child in task]
    return found


def _tasks(pid: int) -> list[list[str]]:
    try:
        return [task.read_text().split() for task in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []


def _pss(pid: int) -> float:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0
