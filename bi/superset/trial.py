"""``python -m bi.superset.trial``: the bundle in a real Superset, over the sandbox's calls, asked and seen.

Superset is installed from its lock file into an environment of its own. The pictures go to docs/dashboards.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Page, Response

from bi import browser, views, warehouse
from bi.environments import installed
from bi.superset import bundle
from bi.superset.dashboards import DASHBOARDS, Dashboard

PICTURES = Path(__file__).resolve().parent.parent.parent / "docs" / "dashboards"
ADMIN: dict[str, str | float | bool] = {"username": "admin", "password": "admin"}
CONFIG = """
SECRET_KEY = "of a server that lives for minutes, on loopback"
SQLALCHEMY_DATABASE_URI = "sqlite:///{home}/superset.db"
WTF_CSRF_ENABLED = False
TALISMAN_ENABLED = False
"""
CHART = ".dashboard-component-chart-holder"
DRAWN = f"{CHART} .slice_container canvas, {CHART} .slice_container table, {CHART} .header-line"
WRONG = re.compile("No results|Unexpected error|An error occurred|Data error")


class Superset:
    """An installed Superset whose data lies in a directory."""

    def __init__(self, installed: Path, home: Path, port: int = 18_088) -> None:
        (home / "superset_config.py").write_text(CONFIG.format(home=home))
        self.program, self.origin, self.port = installed / "bin" / "superset", f"http://127.0.0.1:{port}", port
        self.environment = {
            **os.environ, "SUPERSET_CONFIG_PATH": str(home / "superset_config.py"), "FLASK_APP": "superset",
            "SUPERSET_HOME": str(home),
        }  # fmt: skip
        self.log = home / "superset.log"

    def run(self, *words: str) -> None:
        """Run a command of Superset to its end."""
        done = subprocess.run([self.program, *words], env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"superset {words[0]} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")

    def prepare(self) -> None:
        """Make its own tables, roles and one user."""
        self.run("db", "upgrade")
        self.run("fab", "create-admin", "--firstname", "Ops", "--lastname", "Admin", "--email", "a@example.com",
                 "--username", "admin", "--password", "admin")  # fmt: skip
        self.run("init")

    @contextmanager
    def serving(self) -> Iterator[httpx.Client]:
        """A client of the API of the running server."""
        with self.log.open("w") as log:
            server = subprocess.Popen(
                [self.program, "run", "-p", str(self.port), "--with-threads"],
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        try:
            with httpx.Client(base_url=self.origin, timeout=60) as client:
                _wait_for(client)
                said = client.post("/api/v1/security/login", json={**ADMIN, "provider": "db", "refresh": True}).json()
                client.headers["Authorization"] = f"Bearer {said['access_token']}"
                yield client
        finally:
            server.terminate()
            server.wait()


def _wait_for(client: httpx.Client) -> None:
    for _ in range(240):
        try:
            client.get("/health").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.5)
        else:
            return
    raise TimeoutError("Superset did not start within two minutes")


def packed(files: dict[str, str], path: Path) -> Path:
    """The bundle as one file, as it is imported."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"callhouse/{name}", content)
    return path


def load(client: httpx.Client, file: Path, password: str) -> None:
    """Import the bundle, and say the password of its database when asked for it."""
    given = {"passwords": json.dumps({"databases/Callhouse.yaml": password}), "overwrite": "true"}
    answer = client.post("/api/v1/dashboard/import/", data=given, files={"formData": (file.name, file.read_bytes())})
    if answer.status_code != 200:
        raise RuntimeError(f"the import failed: {answer.text[:3000]}")


def unanswered(client: httpx.Client) -> list[str]:
    """The charts whose data Superset does not give, or gives without a row."""
    found = []
    for chart in client.get("/api/v1/chart/", params={"q": "(page_size:100)"}).json()["result"]:
        answer = client.get(f"/api/v1/chart/{chart['id']}/data/", params={"force": "true"})
        if answer.status_code != 200 or not _has_values(answer.json()):
            found.append(f"{chart['slice_name']}: {answer.status_code} {answer.text[:600]}")
    return found


def unseen(page: Page, dashboard: Dashboard, origin: str, picture: Path) -> list[str]:
    """What goes wrong where a dashboard is looked at: charts without data, and errors that are shown."""
    asked: list[Response] = []
    page.on("response", lambda response: asked.append(response) if "/api/v1/chart/data" in response.url else None)
    page.set_viewport_size({"width": 1280, "height": 2400})
    page.goto(f"{origin}/superset/dashboard/{dashboard.slug}/")
    charts = [chart for row in dashboard.rows for chart in row]
    for chart in charts:
        page.locator(CHART).filter(has_text=chart.title).first.wait_for(timeout=60_000)
    page.wait_for_function(f"document.querySelectorAll('{DRAWN}').length >= {len(charts)}", timeout=90_000)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(2000)  # charts are drawn in steps
    found = [
        f"{answer.status} {answer.text()[:600]}"
        for answer in asked
        if answer.status != 200 or not _has_values(answer.json())
    ]
    shown = page.locator(CHART).filter(has_text=WRONG).or_(page.locator(f"{CHART} .ant-alert-error"))
    found += [f"shows {text!r}" for text in shown.all_inner_texts()]
    if len(asked) < len(charts):
        found.append(f"{len(charts)} charts asked {len(asked)} times for data")
    page.locator(CHART).last.scroll_into_view_if_needed()
    bottom = max(box["y"] + box["height"] for chart in page.locator(CHART).all() if (box := chart.bounding_box()))
    page.screenshot(path=picture, clip={"x": 0, "y": 0, "width": 1280, "height": bottom + 16})
    return [f"{dashboard.title}: {line}" for line in found]


def _has_values(document: dict[str, Any]) -> bool:
    """Whether each result has a value beside its first column, which may be an axis."""
    return all(
        any(value is not None for row in result["data"] for value in [*row.values()][1:] or row.values())
        for result in document["result"]
    )


def unfiltered(client: httpx.Client) -> list[str]:
    """The filters on columns of every kind of type that fail, or find nothing."""
    listed = client.get("/api/v1/dataset/", params={"q": "(page_size:100)"}).json()["result"]
    (calls,) = [dataset["id"] for dataset in listed if dataset["table_name"] == "calls"]

    def ask(columns: list[str], *filters: dict[str, Any]) -> httpx.Response:
        query = {"columns": columns, "metrics": ["calls"], "filters": filters, "row_limit": 10}
        context = {"datasource": {"id": calls, "type": "table"}, "queries": [query], "force": True}
        return client.post("/api/v1/chart/data", json={**context, "result_format": "json", "result_type": "full"})

    known = {"col": "customer_id", "op": "IS NOT NULL"}
    (row, *_) = ask(["call_key", "customer_id", "created_at"], known).json()["result"][0]["data"]
    filters: list[dict[str, Any]] = [
        *({"col": column, "op": operator, "val": [row[column]] if operator == "IN" else row[column]}
          for column in ("call_key", "customer_id") for operator in ("==", "IN")),
        {"col": "quality_flags", "op": "ILIKE", "val": "%duration_differs%"},
        {"col": "quality_flags", "op": "IN", "val": ["duration_differs"]},
        {"col": "analysis", "op": "ILIKE", "val": "%positive%"},
        {"col": "metadata", "op": "IS NOT NULL"},
        {"col": "is_answered", "op": "IN", "val": [True]},
        {"col": "local_hour", "op": "IN", "val": [10, 11]},
        {"col": "created_at", "op": "TEMPORAL_RANGE", "val": "Last week"},
    ]  # fmt: skip
    answers = [(each, ask(["source"], each)) for each in filters]
    return [
        f"filter {each}: {answer.status_code} {answer.text[:300]}"
        for each, answer in answers
        if answer.status_code != 200 or not answer.json()["result"][0]["rowcount"]
    ]


def main() -> None:
    """Print what is wrong; the status is 1 where something is."""
    installation = installed("superset")
    with tempfile.TemporaryDirectory() as directory, warehouse.serving(datetime.now(UTC)) as login:
        home = Path(directory)
        superset = Superset(installation, home)
        superset.prepare()
        made = bundle.files(views.read(login.db), login.uri("+psycopg2").replace(login.password, "X" * 10))
        with superset.serving() as client, browser.page() as page:
            load(client, packed(made, home / "callhouse.zip"), login.password)
            wrong = [*unanswered(client), *unfiltered(client)]
            page.request.post(f"{superset.origin}/login/", form=ADMIN)
            for dashboard in DASHBOARDS:
                picture = PICTURES / f"{dashboard.slug}.png"
                wrong += unseen(page, dashboard, superset.origin, picture)
                browser.reduce(picture, installation / "bin" / "python")
    charts = sum(len(row) for dashboard in DASHBOARDS for row in dashboard.rows)
    if wrong:
        sys.exit("\n".join(wrong))
    sys.stdout.write(f"{charts} charts on {len(DASHBOARDS)} dashboards were asked and seen\n")


if __name__ == "__main__":
    main()
