"""The command `etl export`: a view of the warehouse as CSV or Parquet files."""

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etl.cli import context
from etl.cli.exit_status import FAILED
from etl.cli.output import echo
from etl.runtime.humanize import counted

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from etl.db.view_reader import Days, View
    from etl.reports.export_files import Exported


@click.command()
@click.argument("view", metavar="VIEW", help="A view of bi, such as calls; an unknown one lists them.")
@click.option("--format", "file_format", type=click.Choice(["csv", "parquet"]), help="csv by default.")
@click.option(
    "--from", "first", type=context.DAY, metavar="DATE", help="The first local day; by default all are written."
)
@click.option("--to", "end", type=context.DAY, metavar="DATE", help="The day after the last one.")
@click.option("--since-last", is_flag=True, help="Write only the days that changed since the last export there.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("export"), show_default=True,
    help="A directory, which gets VIEW/VIEW-DAY.csv, or one file that ends in .csv or .parquet.",
)  # fmt: skip
@click.option(
    "--personal-data",
    is_flag=True,
    help="Write numbers, names and texts as they are (bi_pii), for users who may read it.",
)
def export(
    view: str,
    file_format: str | None,
    first: datetime | None,
    end: datetime | None,
    since_last: bool,
    out: Path,
    personal_data: bool,
) -> None:
    """Write a view of the warehouse to files.

    Personal data is masked. A directory gets one file for each day; an interrupted export goes on where it was, and
    --since-last replaces the files of the days that have new or changed calls. Files are whole or not there.

    \b
    Example:  etl export calls --format parquet --since-last
              etl export daily_call_metrics --from 2026-11-01 --out november.csv
    """
    from etl.cli.stopping import stop_on_signal
    from etl.db.view_reader import Days

    is_file = out.suffix in (".csv", ".parquet")
    if is_file and (since_last or file_format not in (None, out.suffix[1:])):
        problem = "--since-last needs a directory" if since_last else f"does not fit --format {file_format}"
        raise click.BadParameter(f"{out} is one file: {problem}", param_hint="--out")
    asked = Days(*context.days_asked(first, end))
    settings = context.settings(needs_keys=False)
    stop_on_signal(context.stop)
    with context.opened(settings) as engine:
        found = _view(engine, "bi_pii" if personal_data else "bi", view, asked)
        if is_file:
            done = _written(engine, found, asked, out)
        else:
            done = _written(engine, found, asked, out / view, file_format or "csv", since_last=since_last)
    unchanged = f", {done.unchanged:,} unchanged" if done.unchanged else ""
    removed = f", {done.removed:,} removed" if done.removed else ""
    files = "" if is_file else f" in {counted(done.written, 'file')}{unchanged}{removed}"
    echo(f"{found}: {counted(done.rows, 'row')}{files}; {out if is_file else out / view}")


def _view(engine: "Engine", schema: str, name: str, asked: "Days") -> "View":
    """A view that exists and, where days are asked for, has them."""
    from etl.db.view_reader import describe_view, views
    from etl.settings.parsers import nearest

    with engine.connect() as connection:
        known = views(connection, schema)
        if name not in known:
            choices = nearest(name, known) or f"; it has {', '.join(known)}"
            raise click.BadParameter(f"{schema} has no view {name!r}{choices}", param_hint="VIEW")
        view = describe_view(connection, schema, name)
    if view.day is None and any(asked):
        raise click.BadParameter(f"the rows of {view} have no day: leave --from and --to out", param_hint="VIEW")
    return view


def _written(
    engine: "Engine",
    view: "View",
    asked: "Days",
    out: Path,
    file_format: str | None = None,
    *,
    since_last: bool = False,
) -> "Exported":
    """Write the files with progress; ends at the next batch when asked to stop."""
    from etl.cli.parallel_runs import Interrupted
    from etl.cli.terminal import progress
    from etl.reports.export_files import Exported, ExportProblem, Manifest, export_to_directory, export_to_file
    from etl.sync.run import Progress

    rows = 0
    with progress([str(view)]) as report:

        def on_rows(share: float, count: int) -> None:
            nonlocal rows
            rows += count
            report(Progress(str(view), "rows", rows, round(rows / share) if share else None, 0))
            if context.stop.is_set():
                raise Interrupted("stopped; files that were written stay, and the same command goes on")

        try:
            if file_format is None:
                return Exported(export_to_file(engine, view, asked, out, lambda count: on_rows(0.0, count)), 1)
            manifest = Manifest(out, view, file_format)
            return export_to_directory(engine, view, asked, manifest, on_rows, since_last=since_last)
        except ExportProblem as problem:
            echo(f"etl: {problem}", err=True)
            sys.exit(FAILED)
