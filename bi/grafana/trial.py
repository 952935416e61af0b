"""``python -m bi.grafana.trial``: the dashboard against Grafana's own schema, and each query as its reader asks it.

Grafana is in no package index: its schema is, as the package of its makers. A panel is not drawn here.
"""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import psycopg

from bi import warehouse
from bi.environments import installed
from bi.grafana import dashboard

READ = """
import json, sys
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from grafana_foundation_sdk.cog.plugins import register_default_plugins
register_default_plugins()
print(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(json.load(sys.stdin))))
"""


def lost(given: object, read: object, path: str = "$") -> list[str]:
    """What the schema has no place for: it is in the document, and not in what was read of it."""
    if isinstance(given, dict) and isinstance(read, dict):
        return [line for key in given for line in lost(given[key], read.get(key), f"{path}.{key}")]
    if isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        return [line for at, each in enumerate(given) for line in lost(each, read[at], f"{path}[{at}]")]
    return [] if given == read else [f"{path}: {given!r} is read as {read!r}"]


def unanswered(uri: str, now: datetime) -> list[str]:
    """The panels whose query fails, or finds nothing."""
    found = []
    with psycopg.connect(uri, autocommit=True) as reader:
        sources = [row[0] for row in reader.execute(dashboard.SOURCES)]
        for panel in dashboard.PANELS:
            query = dashboard.expanded(panel.sql, now - timedelta(days=30), now, sources)
            try:
                if not reader.execute(query.encode()).fetchall():
                    found.append(f"{panel.title} finds nothing")
            except psycopg.Error as error:
                found.append(f"{panel.title} {error}")
    return found


def main() -> None:
    """Print what is wrong; the status is 1 where something is."""
    now = datetime.now(UTC)
    done = subprocess.run(
        [installed("grafana") / "bin" / "python", "-c", READ], input=dashboard.file(), capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    with warehouse.serving(now) as login:
        wrong = [*lost(dashboard.document(), json.loads(done.stdout)), *unanswered(login.uri(), now)]
    if wrong:
        sys.exit("\n".join(wrong))
    sys.stdout.write(f"{len(dashboard.PANELS)} panels fit the schema and were answered\n")


if __name__ == "__main__":
    main()
