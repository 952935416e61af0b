"""The documents say what is true: every command, variable, column, flag and provider is in them."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from etl.extractors import providers
from etl.fields.vocabulary import FLAGS
from etl.settings import variables

ROOT = Path(__file__).resolve().parent.parent
DOCS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
WAREHOUSE = ROOT / "docs" / "warehouse.md"

COLUMNS = text("""
    SELECT c.table_schema AS schema, c.table_name AS name, c.column_name AS column,
           CASE WHEN c.data_type = 'ARRAY' THEN 'text[]' WHEN c.data_type LIKE 'timestamp with%' THEN 'timestamptz'
                ELSE c.data_type END AS type,
           obj_description(k.oid) AS meaning, col_description(k.oid, c.ordinal_position::int) AS said
      FROM information_schema.columns c
      JOIN pg_class k ON k.oid = format('%I.%I', c.table_schema, c.table_name)::regclass
     WHERE c.table_schema = 'bi' OR (c.table_schema, c.table_name) IN (('ops', 'runs'), ('ops', 'quarantine'))
     ORDER BY c.table_schema, array_position(ARRAY['calls', 'transcript_turns', 'call_costs', 'call_changes',
              'daily_call_metrics', 'agents', 'campaigns', 'freshness'], c.table_name::text), c.table_name,
              c.ordinal_position
""")
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


def test_every_variable_is_explained() -> None:
    configuration = (ROOT / "docs" / "configuration.md").read_text()
    example = (ROOT / ".env.example").read_text()
    for name in variables(providers()):
        assert f"`{name}`" in configuration, name
        assert name in example, name


def test_every_provider_is_explained() -> None:
    said = (ROOT / "docs" / "providers.md").read_text()
    for provider in providers().values():
        assert provider.title in said
        assert provider.base_url in said


def test_every_public_column_and_flag_is_explained(db: Engine) -> None:
    with db.connect() as connection:
        rows = connection.execute(COLUMNS).all()
    lines, last = [GENERATED], None
    for row in rows:
        if (row.schema, row.name) != last:
            lines += ["", f"## `{row.schema}.{row.name}`", "", f"{row.meaning}."]
            lines += ["", "| column | type | meaning |", "|---|---|---|"]
            last = (row.schema, row.name)
        lines.append(f"| `{row.column}` | {row.type} | {row.said} |")
    lines += ["", "## Quality flags", "", "| flag | meaning |", "|---|---|"]
    lines += [f"| `{flag}` | {said} |" for flag, said in sorted(FLAGS.items())]
    generated = "\n".join(lines) + "\n"
    written = WAREHOUSE.read_text()
    if os.environ.get("ETL_REGENERATE"):
        WAREHOUSE.write_text(written.partition(GENERATED)[0] + generated)
        pytest.skip("written anew")
    assert written.partition(GENERATED)[1] + written.partition(GENERATED)[2] == generated


def test_no_host_of_a_registry_is_named() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    hosts = re.compile("files\\.python" + "hosted|py" + "pi\\.org|registry\\.npm" + "js|deb\\.deb" + "ian")
    named = [name for name in listed if name and hosts.search((ROOT / name).read_text(errors="replace"))]
    assert len(listed) > 1
    assert named == []
