"""A command line and an environment → a process, and its output."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ETL = (sys.executable, "-m", "etl")
ROOT = Path(__file__).resolve().parent.parent


def environment(home: Path, given: Mapping[str, str]) -> dict[str, str]:
    """An environment with nothing from the test's own but what starting a process takes."""
    kept = {name: os.environ[name] for name in ("PATH", "PGBINDIR", "LANG") if name in os.environ}
    return {**kept, "HOME": str(home), "PYTHONPATH": str(ROOT), "ETL_HOME": str(home / "etl"), **given}


def run_etl(*words: str, cwd: Path, given: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `etl WORDS` to its end, within a minute."""
    return subprocess.run(
        [*ETL, *words], cwd=cwd, env=environment(cwd, given or {}), capture_output=True, text=True, timeout=60,
        check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def start_etl(*words: str, cwd: Path, given: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start `etl WORDS`."""
    return subprocess.Popen(
        [*ETL, *words], cwd=cwd, env=environment(cwd, given), text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # the tests may run under nohup
    )  # fmt: skip


def stop_etl(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
    """Send a process a signal; its exit status, stdout and stderr."""
    process.send_signal(number)
    try:
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    return process.returncode, out, err
