"""The name of a lock file in bi/locks → the environment that is made of it, under bi/.envs."""

from pathlib import Path

from benchmarks.environments import built

HERE = Path(__file__).resolve().parent


def installed(name: str) -> Path:
    """The environment, rebuilt when the lock file changes."""
    return built(HERE / ".envs" / name, HERE / "locks" / f"{name}.lock")
