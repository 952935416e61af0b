"""``python -m bi.dbt.trial``: the package in a real dbt, over the sandbox's calls: built, tested, its sources fresh."""

import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from bi import warehouse
from bi.environments import installed

PACKAGE = Path(__file__).resolve().parent.parent.parent / "deploy" / "dbt"


def main() -> None:
    """Build everything; the status is dbt's."""
    program = installed("dbt") / "bin" / "dbt"
    with tempfile.TemporaryDirectory() as home, warehouse.serving(datetime.now(UTC)) as login:
        project = Path(home) / "callhouse"
        shutil.copytree(PACKAGE, project)
        with login.db.begin() as connection:
            connection.exec_driver_sql(f"CREATE SCHEMA analytics AUTHORIZATION {login.user}")
        given = {
            **os.environ, "PGPORT": str(login.port), "PGUSER": login.user, "PGPASSWORD": login.password,
            "PGDATABASE": login.database, "PGHOST": "127.0.0.1", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        }  # fmt: skip
        for command in (["build"], ["source", "freshness"]):
            done = subprocess.run([program, *command, "--profiles-dir", project], cwd=project, env=given, check=False)
            if done.returncode:
                sys.exit(f"dbt {' '.join(command)} failed")


if __name__ == "__main__":
    main()
