"""Command lines on standard input → processes that have `etl` imported already: each a fork of this one.

`python -m tests.forked` answers each line of JSON (words, cwd, environment, paths for stdout and stderr) with its exit
status. Four fifths of the processor time of a short command are its imports.
"""

import importlib
import json
import os
import runpy
import sys
import time

HEAVY = ("etl.cli.app", "sqlalchemy.dialects.postgresql", "psycopg", "httpx", "etl.pipeline", "etl.db.revisions")


def main() -> None:
    """Serve until the end of standard input; in a fork, be `python -m etl` instead."""
    for module in HEAVY:
        importlib.import_module(module)
    for line in sys.stdin:
        asked = json.loads(line)
        if (child := os.fork()) == 0:
            _become(asked)
            runpy.run_module("etl", run_name="__main__", alter_sys=True)
            return
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _become(asked: dict[str, object]) -> None:
    os.chdir(str(asked["cwd"]))
    os.environ.clear()
    os.environ.update(asked["environment"])  # type: ignore[call-overload]
    time.tzset()
    for number, path in enumerate((asked["stdin"], asked["stdout"], asked["stderr"])):
        opened = os.open(str(path), os.O_WRONLY if number else os.O_RDONLY)
        os.dup2(opened, number)
        os.close(opened)
    sys.argv = ["etl", *asked["words"]]  # type: ignore[misc]


if __name__ == "__main__":
    main()
