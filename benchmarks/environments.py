"""A lock file → a virtual environment of its own under benchmarks/.envs, built once for each state of the file."""

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
    """The environment of a lock file; Callhouse's own is built from its own, and holds the tree as it stands."""
    lock = ROOT / "requirements.lock" if name == "callhouse" else HERE / "locks" / f"{name}.lock"
    place, stamp = ENVS / name, hashlib.sha256(lock.read_bytes()).hexdigest()
    if not (place / ".built").exists() or (place / ".built").read_text() != stamp:
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
        _install(place, "--compile-bytecode", "--require-hashes", "-r", str(lock))
        (place / ".built").write_text(stamp)
    if name == "callhouse":
        _install(place, "--compile-bytecode", "--no-deps", "--reinstall-package", "callhouse", str(ROOT))
    return place


def _install(place: Path, *arguments: str) -> None:
    uv = Path(sys.executable).parent / "uv"
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", place / "bin/python", *arguments],
        env={**os.environ, **UV}, check=True,
    )  # fmt: skip
