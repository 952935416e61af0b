"""A command line and an environment → a process, and its output."""

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

ETL = (sys.executable, "-m", "etl")
ROOT = Path(__file__).resolve().parent.parent


def environment(home: Path, given: Mapping[str, str]) -> dict[str, str]:
    """An environment with nothing from the test's own but what starting a process takes."""
    kept = {name: os.environ[name] for name in ("PATH", "PGBINDIR", "LANG") if name in os.environ}
    return {**kept, "HOME": str(home), "PYTHONPATH": str(ROOT), "ETL_HOME": str(home / "etl"), **given}


def run_etl(
    *words: str, cwd: Path, given: Mapping[str, str] | None = None, stdin: str | bytes = ""
) -> subprocess.CompletedProcess[str]:
    """Run `etl WORDS` to its end, within a minute, in a process that has its modules already."""
    server = _fork_server()
    assert server.stdin
    assert server.stdout
    with (
        tempfile.NamedTemporaryFile("r") as out,
        tempfile.NamedTemporaryFile("r") as err,
        tempfile.NamedTemporaryFile("wb") as read,
    ):
        read.write(stdin.encode() if isinstance(stdin, str) else stdin)
        read.flush()
        asked = {"words": words, "cwd": str(cwd), "environment": environment(cwd, given or {}), "stdin": read.name}
        server.stdin.write(json.dumps({**asked, "stdout": out.name, "stderr": err.name}) + "\n")
        server.stdin.flush()
        if not select.select([server.stdout], [], [], 60)[0]:
            _fork_server.cache_clear()
            raise TimeoutError(f"etl {' '.join(words)} takes more than a minute: {out.read()} {err.read()}")
        return subprocess.CompletedProcess(words, int(server.stdout.readline()), out.read(), err.read())


@cache
def _fork_server() -> subprocess.Popen[str]:
    """One for this process, which ends with it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.forked"], cwd=ROOT, env=environment(ROOT, {}), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    atexit.register(process.communicate)
    return process


def start_etl(*words: str, cwd: Path, given: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start `etl WORDS`."""
    return subprocess.Popen(
        [*ETL, *words], cwd=cwd, env=environment(cwd, given), text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=_default_signals,
    )  # fmt: skip


def _default_signals() -> None:
    """Ignore no signal, as a process does that runs under nohup or in the background of a script."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def stop_etl(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
    """Send a process a signal; its exit status, stdout and stderr."""
    process.send_signal(number)
    try:
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    return process.returncode, out, err
