"""A lock file → a virtual environment under benchmarks/.envs, rebuilt when the file changes."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
ENVS = HERE / ".envs"
UV = {"UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "1"}


def environment(name: str) -> Path:
    """The environment of a lock file; Callhouse's own is built from its own, and contains the current tree."""
    is_own = name == "callhouse"
    target = built(ENVS / name, ROOT / "requirements.lock" if is_own else HERE / "locks" / f"{name}.lock")
    if is_own:
        _install(target, "--compile-bytecode", "--no-deps", "--reinstall-package", "callhouse", str(ROOT))
    return target


def built(target: Path, lock: Path) -> Path:
    """The environment, rebuilt when its lock file changes."""
    stamp = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not (target / ".built").exists() or (target / ".built").read_text() != stamp:
        shutil.rmtree(target, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", target], check=True)
        _install(target, "--compile-bytecode", "--require-hashes", "-r", str(lock))
        (target / ".built").write_text(stamp)
    return target


def _install(target: Path, *arguments: str) -> None:
    uv = Path(sys.executable).parent / "uv"
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", target / "bin/python", *arguments],
        env={**os.environ, **UV}, check=True,
    )  # fmt: skip
