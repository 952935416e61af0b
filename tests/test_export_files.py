"""`etl export`: every row and value of a view in CSV and Parquet, day by day, resumed, and safe to open."""

import csv
import json
import stat
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pyarrow import parquet
from sqlalchemy import Engine

from etl.db import view_reader
from etl.db.view_reader import Days
from etl.model import Reporting
from etl.reports import export_files
from etl.reports.export_files import Exported, ExportProblem, Manifest, export_to_directory
from etl.sandbox.world import World
from tests.commands import run_etl
from tests.harness import Harness, make_harness

ALL = Days(None, None)


@pytest.fixture
def harness(db: Engine) -> Harness:
    """A warehouse with calls of all providers, whose local days are not those of UTC."""
    harness = make_harness(db, World(5, calls=60))
    for name, source in list(harness.sources.items()):
        harness.sources[name] = replace(source, reporting=Reporting(ZoneInfo("Asia/Kolkata")))
        harness.sync(name)
    return harness


def export(
    harness: Harness, out: Path, name: str = "calls", file_format: str = "csv", asked: Days = ALL, *,
    since_last: bool = False, on_rows: export_files.OnRows = lambda share, count: None,
) -> Exported:  # fmt: skip
    with harness.db.connect() as connection:
        view = view_reader.describe_view(connection, "bi", name)
    return export_to_directory(
        harness.db, view, asked, Manifest(out, view, file_format), on_rows, since_last=since_last
    )


def csv_rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def csv_rows(directory: Path) -> list[dict[str, str]]:
    return [row for path in sorted(directory.glob("*.csv")) for row in csv_rows_of(path)]


def parquet_rows(directory: Path) -> list[dict[str, Any]]:
    return [row for path in sorted(directory.glob("*.parquet")) for row in parquet.read_table(path).to_pylist()]


def days_of(harness: Harness) -> list[date]:
    return [row["day"] for row in harness.rows("SELECT DISTINCT local_date AS day FROM bi.calls ORDER BY 1")]


def every_view(harness: Harness) -> list[str]:
    return [row["name"] for row in harness.rows("SELECT viewname AS name FROM pg_views WHERE schemaname = 'bi'")]


def test_every_view_is_written_whole_in_both_formats(harness: Harness, tmp_path: Path) -> None:
    for name in every_view(harness):
        expected = harness.scalar(f"SELECT count(*) FROM bi.{name}")
        assert export(harness, tmp_path / "csv" / name, name).rows == expected, name
        assert export(harness, tmp_path / "parquet" / name, name, "parquet").rows == expected, name
        assert len(csv_rows(tmp_path / "csv" / name)) == expected, name
        assert len(parquet_rows(tmp_path / "parquet" / name)) == expected, name


def test_parquet_has_the_values_and_their_types(harness: Harness, tmp_path: Path) -> None:
    export(harness, tmp_path, file_format="parquet")
    columns = (
        "call_key::text, source, is_final, created_at, local_date, local_hour, duration_seconds, cost, quality_flags"
    )
    expected = harness.rows(f"SELECT {columns}, analysis::text AS analysis FROM bi.calls ORDER BY call_key")
    found = sorted(parquet_rows(tmp_path), key=lambda row: str(row["call_key"]))
    assert [{name: row[name] for name in expected[0]} for row in found] == expected
    assert {type(row["cost"]) for row in found} == {Decimal, type(None)}
    schema = parquet.read_schema(next(iter(tmp_path.glob("*.parquet"))))
    assert str(schema.field("created_at").type) == "timestamp[us, tz=UTC]"
    comment = harness.scalar("SELECT col_description('bi.calls'::regclass, 1)")
    assert schema.field("call_key").metadata[b"comment"].decode() == comment


def test_each_local_day_has_a_file(harness: Harness, tmp_path: Path) -> None:
    export(harness, tmp_path)
    files = [f"calls-{day}.csv" for day in days_of(harness)]
    assert sorted(path.name for path in tmp_path.glob("calls*")) == files
    for path in tmp_path.glob("*.csv"):
        assert {f"calls-{row['local_date']}.csv" for row in csv_rows_of(path)} == {path.name}


@pytest.mark.parametrize("name", ["calls", "transcript_turns", "daily_call_metrics"])
def test_a_range_of_days_is_exclusive_of_its_end(harness: Harness, tmp_path: Path, name: str) -> None:
    days = days_of(harness)
    first, end = days[1], days[-2]
    done = export(harness, tmp_path, name, asked=Days(first, end))
    condition = {
        "calls": f"local_date >= '{first}' AND local_date < '{end}'",
        "transcript_turns": "call_key IN (SELECT call_key FROM bi.calls"
        f" WHERE local_date >= '{first}' AND local_date < '{end}')",
        "daily_call_metrics": f"day >= '{first}' AND day < '{end}'",
    }[name]
    assert done.rows == harness.scalar(f"SELECT count(*) FROM bi.{name} WHERE {condition}") > 0


def test_an_interrupted_export_goes_on_where_it_was(harness: Harness, tmp_path: Path) -> None:
    total = len(days_of(harness))

    def stop_in_the_third(share: float, count: int) -> None:
        if share >= 2 / total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(harness, tmp_path, on_rows=stop_in_the_third)
    assert len(list(tmp_path.iterdir())) == 3  # two days and the manifest: no half a file
    assert export(harness, tmp_path)[1:] == (total - 2, 2, 0)
    assert len(csv_rows(tmp_path)) == harness.scalar("SELECT count(*) FROM bi.calls")
    assert export(harness, tmp_path)[1:] == (total, 0, 0)  # that one was complete: this one is another


def test_since_last_writes_the_days_that_changed(harness: Harness, tmp_path: Path) -> None:
    total, day = len(days_of(harness)), days_of(harness)[1]
    export(harness, tmp_path, since_last=True)
    assert export(harness, tmp_path, since_last=True)[1:] == (0, total, 0)
    harness.execute(
        "UPDATE warehouse.calls SET campaign_name = 'Other', changed_at = changed_at + interval '1 day'"
        f" WHERE call_key = (SELECT call_key FROM bi.calls WHERE local_date = '{day}' LIMIT 1)"
    )
    assert export(harness, tmp_path, since_last=True)[1:] == (1, total - 1, 0)
    assert sum(row["campaign_name"] == "Other" for row in csv_rows(tmp_path)) == 1
    harness.execute(
        f"DELETE FROM warehouse.calls c USING bi.calls b WHERE c.call_key = b.call_key AND b.local_date = '{day}'"
    )
    assert export(harness, tmp_path, since_last=True)[1:] == (0, total - 1, 1)
    assert not (tmp_path / f"calls-{day}.csv").exists()


def test_since_last_sees_a_metric_that_changed(harness: Harness, tmp_path: Path) -> None:
    export(harness, tmp_path, "daily_call_metrics")
    assert export(harness, tmp_path, "daily_call_metrics", since_last=True).written == 0
    harness.execute(
        "UPDATE warehouse.call_rollup SET busy = busy + 1 WHERE day = (SELECT max(day) FROM warehouse.call_rollup)"
    )
    assert export(harness, tmp_path, "daily_call_metrics", since_last=True).written == 1


def test_a_view_without_days_is_one_file_and_always_new(harness: Harness, tmp_path: Path) -> None:
    export(harness, tmp_path, "agents")
    assert (tmp_path / "agents.csv").exists()
    assert export(harness, tmp_path, "agents", since_last=True).written == 1


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1", "  =HYPERLINK(1)", '=cmd|" /C calc"!A0']
)
def test_a_spreadsheet_computes_no_text(harness: Harness, tmp_path: Path, text: str) -> None:
    harness.execute("UPDATE warehouse.calls SET campaign_name = :text", text=text)
    export(harness, tmp_path)
    assert {row["campaign_name"] for row in csv_rows(tmp_path)} == {f"'{text}"}


def test_csv_keeps_texts_that_need_quoting_and_numbers_as_they_are(harness: Harness, tmp_path: Path) -> None:
    harness.execute("UPDATE warehouse.calls SET campaign_name = 'a,\"b\"\nü', cost = -1.50, duration_seconds = 0.00001")
    export(harness, tmp_path)
    rows = csv_rows(tmp_path)
    assert {(row["campaign_name"], row["cost"], row["duration_seconds"]) for row in rows} == {
        ('a,"b"\nü', "-1.50", "0.00001")
    }


def test_files_are_readable_by_their_owner_alone(harness: Harness, tmp_path: Path) -> None:
    export(harness, tmp_path)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_a_number_that_parquet_cannot_have_is_named(harness: Harness, tmp_path: Path) -> None:
    harness.execute("UPDATE warehouse.calls SET cost = 1e25")
    with pytest.raises(ExportProblem, match=r"a number in cost has more than 20 digits before its point: --format csv"):
        export(harness, tmp_path, file_format="parquet")
    harness.execute("UPDATE warehouse.calls SET cost = 0.1234567890123456789")
    export(harness, tmp_path, file_format="parquet")
    assert {row["cost"] for row in parquet_rows(tmp_path)} == {Decimal("0.123456789012345679")}


def test_a_directory_has_one_kind_of_files(harness: Harness, tmp_path: Path) -> None:
    export(harness, tmp_path)
    with pytest.raises(ExportProblem, match=r"has bi\.calls as csv, not bi\.calls as parquet: choose another --out"):
        export(harness, tmp_path, file_format="parquet")
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(ExportProblem, match="is no manifest of an export"):
        export(harness, tmp_path)


def test_what_was_written_is_in_the_manifest(harness: Harness, tmp_path: Path) -> None:
    export(harness, tmp_path)
    stored = json.loads((tmp_path / "manifest.json").read_text())
    assert stored["view"] == "bi.calls"
    assert datetime.fromisoformat(stored["export"]["finished_at"]) <= datetime.now(UTC)
    assert sum(entry["rows"] for entry in stored["files"].values()) == harness.scalar("SELECT count(*) FROM bi.calls")


class TestCommand:
    def run(self, harness: Harness, where: Path, *words: str) -> tuple[int, str, str]:
        url = harness.db.url.render_as_string(hide_password=False)
        done = run_etl("export", *words, cwd=where, given={"DATABASE_URL": url.replace("+psycopg", "")})
        return done.returncode, done.stdout, done.stderr

    def test_a_directory_and_then_what_changed(self, harness: Harness, tmp_path: Path) -> None:
        total = harness.scalar("SELECT count(*) FROM bi.calls")
        days = len(days_of(harness))
        status, out, _ = self.run(harness, tmp_path, "calls", "--format", "parquet", "--since-last")
        assert (status, out) == (0, f"bi.calls: {total} rows in {days} files; export/calls\n")
        assert len(parquet_rows(tmp_path / "export" / "calls")) == total
        status, out, _ = self.run(harness, tmp_path, "calls", "--format", "parquet", "--since-last")
        assert (status, out) == (0, f"bi.calls: 0 rows in 0 files, {days} unchanged; export/calls\n")

    def test_one_file(self, harness: Harness, tmp_path: Path) -> None:
        total = harness.scalar("SELECT count(*) FROM bi.daily_call_metrics")
        status, out, _ = self.run(harness, tmp_path, "daily_call_metrics", "--out", "metrics.csv")
        assert (status, out) == (0, f"bi.daily_call_metrics: {total} rows; metrics.csv\n")
        assert len(csv_rows_of(tmp_path / "metrics.csv")) == total

    @pytest.mark.parametrize(
        ("words", "problem"),
        [
            (("call",), "bi has no view 'call'; did you mean calls?"),
            (("pg_class; DROP TABLE x",), "bi has no view"),
            (("agents", "--from", "2026-01-01"), "the rows of bi.agents have no day: leave --from and --to out"),
            (("calls", "--out", "x.csv", "--format", "parquet"), "x.csv is one file: does not fit --format parquet"),
            (("calls", "--out", "x.csv", "--since-last"), "x.csv is one file: --since-last needs a directory"),
            (("calls", "--from", "2026-02-01", "--to", "2026-01-01"), "must be later than --from"),
            (("calls", "--from", "tomorrow"), "does not match the format"),
        ],
    )
    def test_an_invalid_command_line_is_one_line(
        self, harness: Harness, tmp_path: Path, words: tuple[str, ...], problem: str
    ) -> None:
        status, out, err = self.run(harness, tmp_path, *words)
        assert (status, out) == (2, "")
        assert problem in err
        assert list(tmp_path.glob("*.csv")) == []

    def test_a_directory_that_cannot_be_written_is_one_line(self, harness: Harness, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        status, _, err = self.run(harness, tmp_path, "calls", "--out", "file/x.csv")
        assert status == 1
        assert err.splitlines()[-1] == "etl: file/x.csv cannot be written: File exists: file"
