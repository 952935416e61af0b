"""The documents say what is true: every command, variable, column, flag and provider is in them."""

import os
import re
import subprocess
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from etl.db.masking import TABLE
from etl.extractors import providers
from etl.fields.vocabulary import FLAGS
from etl.ops.metrics import Metrics, exposition
from etl.sandbox.catalogue import CATALOGUE
from etl.settings import variables

ROOT = Path(__file__).resolve().parent.parent
DOCS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
WAREHOUSE = ROOT / "docs" / "warehouse.md"

COLUMNS = text("""
    SELECT c.table_schema AS schema, c.table_name AS name, c.column_name AS column,
           CASE WHEN c.data_type = 'ARRAY' THEN 'text[]' WHEN c.data_type LIKE 'timestamp with%' THEN 'timestamptz'
                ELSE c.data_type END AS type,
           obj_description(k.oid) AS meaning, col_description(k.oid, c.ordinal_position::int) AS comment
      FROM information_schema.columns c
      JOIN pg_class k ON k.oid = format('%I.%I', c.table_schema, c.table_name)::regclass
     WHERE c.table_schema = 'bi' OR (c.table_schema, c.table_name) IN (('ops', 'runs'), ('ops', 'quarantine'))
     ORDER BY c.table_schema, array_position(ARRAY['calls', 'transcript_turns', 'call_costs', 'call_changes',
              'daily_call_metrics', 'agents', 'campaigns', 'freshness'], c.table_name::text), c.table_name,
              c.ordinal_position
""")
SERIES = ("", "_bucket", "_count", "_sum", "_total")  # what Prometheus adds to the name of a histogram or a counter
NOT_METRICS = {"callhouse_postgres", "callhouse_sync", "callhouse_verify", "callhouse_backfill"}  # a volume, and DAGs
GENERATED = "<!-- from the comments in the database: `make regenerate` -->"


def test_every_link_leads_to_a_file() -> None:
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in DOCS
        for target in re.findall(r"\]\(([^)#\s]+)", document.read_text())
        if not target.startswith("http") and not (document.parent / target).exists()
    ]
    assert broken == []


def test_every_command_is_in_the_documents_and_every_documented_command_exists() -> None:
    from etl.cli import app

    everything = "\n".join(document.read_text() for document in DOCS) + (ROOT / "CHANGELOG.md").read_text()
    commands = set(app.commands)
    missing = {name for name in commands if not re.search(rf"\betl {name}\b|`{name}`", everything)}
    assert missing == set()
    named = set(re.findall(r"`(?:\.venv/bin/)?etl ([a-z]+)", everything))
    assert named - commands == set()


def test_every_table_and_column_named_in_the_documents_exists(db: Engine) -> None:
    named = {
        name
        for document in DOCS
        for name in re.findall(r"\b((?:bi|ops|raw|warehouse)\.[a-z_]+(?:\.[a-z_]+)?)\b(?!\.sql)", document.read_text())
        if not name.endswith(".md")
    }
    existing = text("""
        SELECT format('%s.%s', nspname, relname) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
         UNION
        SELECT format('%s.%s', nspname, proname) FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace
         UNION
        SELECT format('%s.%s', nspname, cfgname) FROM pg_ts_config JOIN pg_namespace n ON n.oid = cfgnamespace
         UNION
        SELECT format('%s.%s.%s', nspname, relname, attname)
          FROM pg_attribute JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace
    """)
    with db.connect() as connection:
        assert "bi.calls" in named
        assert named - set(connection.scalars(existing)) == set()


def test_every_query_in_the_documents_is_valid(db: Engine) -> None:
    blocks = [block for document in DOCS for block in re.findall(r"```sql\n(.*?)```", document.read_text(), re.DOTALL)]
    queries = [block for block in blocks if block.startswith(("SELECT", "WITH"))]
    assert queries
    with db.connect() as connection:
        for query in queries:
            connection.exec_driver_sql(f"EXPLAIN {query}", execution_options={"no_parameters": True})


def test_every_metric_named_in_the_documents_exists(db: Engine) -> None:
    named = {name for document in DOCS for name in re.findall(r"\bcallhouse_[a-z_]+", document.read_text())}
    exposed = exposition(Metrics(), db, [], datetime.now(UTC)).decode()
    series = {f"{name}{suffix}" for name in re.findall(r"# TYPE (\w+) ", exposed) for suffix in SERIES}
    assert named - NOT_METRICS - series == set()


def test_every_variable_is_explained() -> None:
    configuration = (ROOT / "docs" / "configuration.md").read_text()
    example = (ROOT / ".env.example").read_text()
    for name in variables(providers()):
        assert f"`{name}`" in configuration, name
        assert name in example, name


def test_every_provider_is_explained() -> None:
    providers_page = (ROOT / "docs" / "providers.md").read_text()
    for provider in providers().values():
        assert provider.title in providers_page
        assert provider.base_url in providers_page


def test_every_public_column_and_flag_is_explained(db: Engine) -> None:
    with db.connect() as connection:
        rows = connection.execute(COLUMNS).all()
    lines, last = [GENERATED, "", *diagram(rows)], None
    for row in rows:
        if (row.schema, row.name) != last:
            lines += ["", f"## `{row.schema}.{row.name}`", "", f"{row.meaning}."]
            lines += ["", "| column | type | meaning |", "|---|---|---|"]
            last = (row.schema, row.name)
        lines.append(f"| `{row.column}` | {row.type} | {row.comment} |")
    lines += ["", "## Quality flags", "", "| flag | meaning |", "|---|---|"]
    lines += [f"| `{flag}` | {meaning} |" for flag, meaning in sorted(FLAGS.items())]
    generated = "\n".join(lines) + "\n"
    written = WAREHOUSE.read_text()
    if os.environ.get("ETL_REGENERATE"):
        WAREHOUSE.write_text(written.partition(GENERATED)[0] + generated)
        pytest.skip("written anew")
    assert written.partition(GENERATED)[1] + written.partition(GENERATED)[2] == generated


def test_every_masked_column_is_explained() -> None:
    page = ROOT / "docs" / "privacy.md"
    written, heading = page.read_text(), "| view | masked |\n|---|---|\n"
    lines = [
        (view, "; ".join(f"{kind}: {', '.join(names.split())}" for kind, names in kinds.items() if kind != "plain"))
        for view, kinds in TABLE["views"].items()
    ]
    generated = "".join(f"| `bi.{view}` | {masked} |\n" for view, masked in lines if masked)
    if os.environ.get("ETL_REGENERATE"):
        page.write_text(written.partition(heading)[0] + heading + generated)
        pytest.skip("written anew")
    assert written.partition(heading)[2] == generated
    assert set(TABLE["kinds"]) - {"plain"} <= set(re.findall(r"\w+", written.partition("## Tokens")[0]))


JOINS = {
    "calls": ("call_key",), "customers": ("customer_id",), "agents": ("source", "agent_id"),
    "campaigns": ("source", "campaign_name"), "freshness": ("source",),
}  # fmt: skip


def diagram(columns: Sequence[Any]) -> list[str]:
    """How the views join: each by the key of one that has one row per key."""
    views: dict[str, set[str]] = {}
    for row in columns:
        if row.schema == "bi":
            views.setdefault(row.name, set()).add(row.column)
    lines = [
        f'    {one} ||--{"o|" if many in ("transcripts", "conversation_metrics") else "o{"} {many} : "{", ".join(key)}"'
        for one, key in JOINS.items()
        if one in views
        for many, names in views.items()
        if one != many and names >= {*key} and (key == ("call_key",) or "call_key" not in names or many == "calls")
        and not (one == "freshness" and names & {"call_key", "agent_id"})
    ]  # fmt: skip
    return ["## How the views join", "", "```mermaid", "erDiagram", *lines, "```"]


def test_no_host_of_a_registry_is_named() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    hosts = re.compile("files\\.python" + "hosted|py" + "pi\\.org|registry\\.npm" + "js|deb\\.deb" + "ian")
    named = [name for name in listed if name and hosts.search((ROOT / name).read_text(errors="replace"))]
    assert len(listed) > 1
    assert named == []


LISTED_FAULTS = tomllib.loads((ROOT / "tests" / "faults.toml").read_text("utf-8"))
COUNTS = {"H": 30, "G": 20, "V": 20, "P": 20, "K": 20, "O": 12}  # what was thought of first; N is what was found
PAGE_OF_FAULTS = ROOT / "docs" / "reliability.md"
FAULTS_BEGIN, FAULTS_END = "<!-- from tests/faults.toml: `make regenerate` -->", "<!-- end of the faults -->"


def test_every_fault_and_rule_has_its_tests() -> None:
    known = {f"{kind}{number:02d}" for kind, count in COUNTS.items() for number in range(1, count + 1)}
    rules = {f"SEC{number:02d}" for number in range(1, 25)}
    assert known | rules <= LISTED_FAULTS.keys() >= CATALOGUE.keys()
    assert {each for each in LISTED_FAULTS.keys() - known - rules if not re.fullmatch(r"N\d\d", each)} == set()
    defined = {
        f"{path.stem.removeprefix('test_')}::{name}"
        for path in (ROOT / "tests").glob("test_*.py")
        for name in re.findall(r"^def test_(\w+)\(", path.read_text("utf-8"), re.M)
    }
    named = {name: set(listed["tests"]) for name, listed in LISTED_FAULTS.items()}
    assert {name: tests - defined for name, tests in named.items() if not tests or tests - defined} == {}


def test_the_document_lists_every_fault() -> None:
    faults = [
        f"| {name} | {each['fault']} | {each['expected']} |" for name, each in LISTED_FAULTS.items() if "fault" in each
    ]
    rules = [f"| {name} | {each['rule']} |" for name, each in LISTED_FAULTS.items() if "rule" in each]
    tables = [
        "| | what happens | what Callhouse does |",
        "|---|---|---|",
        *faults,
        "",
        "| | rule |",
        "|---|---|",
        *rules,
    ]
    document = PAGE_OF_FAULTS.read_text("utf-8")
    before, (_, after) = document.partition(FAULTS_BEGIN)[0], document.partition(FAULTS_END)[1:]
    made = "\n".join([before.rstrip("\n"), "", FAULTS_BEGIN, "", *tables, "", FAULTS_END]) + after
    if os.environ.get("ETL_REGENERATE"):
        PAGE_OF_FAULTS.write_text(made, "utf-8")
        pytest.skip("regenerated")
    assert document == made, "run `make regenerate`"
