"""Turns a command line and an environment of its own into a process, and into what it said."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ETL = (sys.executable, "-m", "etl")
ROOT = Path(__file__).resolve().parent.parent


def environment(home: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the test's own environment but what starts a process."""
    kept = {name: os.environ[name] for name in ("PATH", "PGBINDIR", "LANG") if name in os.environ}
    return {**kept, "HOME": str(home), "PYTHONPATH": str(ROOT), "ETL_HOME": str(home / "etl"), **given}


def run_etl(*words: str, cwd: Path, given: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`etl WORDS` at its end, which comes within a minute."""
    return subprocess.run(
        [*ETL, *words], cwd=cwd, env=environment(cwd, given or {}), capture_output=True, text=True, timeout=60,
        check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def start_etl(*words: str, cwd: Path, given: Mapping[str, str]) -> subprocess.Popen[str]:
    """`etl WORDS` under way."""
    return subprocess.Popen(
        [*ETL, *words], cwd=cwd, env=environment(cwd, given), text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def stop_etl(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
    """The status, the output and the log of a process that was sent a signal."""
    process.send_signal(number)
    try:
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    return process.returncode, out, err
