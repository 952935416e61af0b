"""The commands `etl sources …`: the sources of the database, beside those of etl.toml and the environment."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etl.cli import context
from etl.cli.exit_status import print_json
from etl.cli.output import echo

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from etl.runtime.secret import Secret
    from etl.settings import Settings
    from etl.state.source_table import Saved

NOW = "a daemon takes it up within half a minute"
source_name = click.argument("name", metavar="NAME", help="The name of the source.")
KEY_HELP = "Where its API key is: env:VARIABLE, file:PATH, prompt, or stdin. Never the key itself."


@click.group(cls=context.InOrder)
def sources() -> None:
    """Add, change, list and remove sources in the database.

    For more accounts than a file is good for. Sources of etl.toml or of the environment are read beside them; a name
    stands for one account, and in one place.
    """


@sources.command()
@source_name
@click.option("--provider", metavar="PROVIDER", required=True, help="ringg, ravan, autocalls or vaani.")
@click.option("--key", metavar="WHERE", default="prompt", show_default=True, help=KEY_HELP)
@click.option("--set", "words", metavar="SETTING=VALUE", multiple=True, help="A setting, as in etl.toml; repeatable.")
def add(name: str, provider: str, key: str, words: Sequence[str]) -> None:
    """Add a source.

    A key that is typed or read from stdin is encrypted with ETL_SECRET_KEY, for this source and its host alone. A name
    that was removed goes on where it was, if it is the same account.

    \b
    Example:  etl sources add support --provider ringg --set timezone=Asia/Kolkata
              etl sources add sales --provider ravan --key env:SALES_KEY --set phones=+919876543210,+918037565218
    Next:     etl check
    """
    from etl.settings.source_entries import Entry
    from etl.state import source_table

    settings = context.settings()
    given = {"provider": provider, **_settings(words)}
    typed = _key(key, name)
    with _writing(settings) as connection:
        if any(row.source == name for row in source_table.rows(connection, locked=True)):
            raise click.BadParameter(f"there is a source {name}: `etl sources set {name}` changes it")
        source_table.save(connection, settings, [Entry(name, given, typed)])
    echo(f"{name}: added; {NOW}, and `etl sync {name}` reads it now")


@sources.command("set")
@source_name
@click.argument("words", metavar="[SETTING=VALUE]...", nargs=-1, help="Settings, as in etl.toml.")
@click.option("--key", metavar="WHERE", help=KEY_HELP)
def set_(name: str, words: Sequence[str], key: str | None) -> None:
    """Change settings of a source, or its key.

    With another base_url the key has to be given again: it is never sent to another host than the one it was given for.

    \b
    Example:  etl sources set support schedule="every 15m" requests_per_minute=30
              etl sources set support --key stdin < new-key
    """
    if not words and key is None:
        raise click.BadParameter("nothing to change: write SETTING=VALUE, or --key", param_hint="SETTING")
    given = _settings(words)
    _change(name, given, (), None if key is None else _key(key, name))


@sources.command()
@source_name
@click.argument("names", metavar="SETTING...", nargs=-1, required=True, help="Settings that get their default back.")
def unset(name: str, names: Sequence[str]) -> None:
    """Give settings of a source their defaults back.

    \b
    Example:  etl sources unset support schedule
    """
    for setting in names:
        _require_setting(setting)
    _change(name, {}, names, None)


@sources.command()
@source_name
def remove(name: str) -> None:
    """Stop reading a source, and forget its key.

    Its calls and its history stay in the warehouse. A run that is under way ends at its next batch. To go on with the
    same account later, add it under the same name.

    \b
    Example:  etl sources remove support
    """
    from etl.runtime.humanize import counted
    from etl.state import source_table

    settings = context.settings()
    with _writing(settings) as connection:
        _stored(connection, settings, name)
        source_table.remove(connection, name)
        calls = source_table.stored_calls(connection, name)
    echo(f"{name}: removed; nothing reads it any more, its key is gone, and its {counted(calls, 'call')} stay")


@sources.command("list")
@context.as_json
@click.option("--csv", "as_csv", is_flag=True, help="The sources of the database, as `etl sources import` reads them.")
def list_(as_json: bool, as_csv: bool) -> None:
    """List the sources, where they are configured, and where their keys are; never a key."""
    from etl.settings.source_entries import text_of, write_csv
    from etl.state import source_table

    settings = context.settings()
    with context.opened(settings) as engine, engine.connect() as connection:
        rows = source_table.rows(connection)
    if as_csv:
        click.echo(write_csv((row.source, row.settings, row.api_key) for row in rows), nl=False)
        return
    found = source_table.described(settings, rows)
    if as_json:
        print_json(found)
        return
    for each in found:
        shown = " ".join(f"{name}={text_of(value)}" for name, value in sorted(each["settings"].items()))
        echo("  ".join(filter(None, (each["source"], each["provider"], each["configured_in"], each["key"], shown))))
    if not found:
        echo("no sources; `etl sources add` adds one", err=True)


@sources.command("import")
@click.argument("file", metavar="FILE", help="A CSV file; - is stdin.")
@click.option("--dry-run", is_flag=True, help="Say what would change; write nothing.")
def import_(file: str, dry_run: bool) -> None:
    """Add and change sources from a CSV file: all of them, or none.

    The first line names the columns: source, provider, api_key, and any setting of etl.toml. An api_key is env:NAME,
    file:PATH, or the key itself, which is encrypted with ETL_SECRET_KEY; where it is blank, a source that is stored
    keeps its own. Sources that are not in the file stay as they are. `etl sources list --csv` writes such a file.

    \b
    Example:  etl sources import accounts.csv --dry-run
              etl sources import - < accounts.csv
    """
    from etl.settings import ConfigurationError
    from etl.settings.source_entries import read_csv
    from etl.state import source_table

    settings = context.settings()
    entries, problems = read_csv(_text(file))
    where = "stdin" if file == "-" else Path(file).name
    with _writing(settings) as connection:
        try:
            saved = source_table.save(connection, settings, entries, problems)
        except ConfigurationError as error:
            raise ConfigurationError(f"{where}: {problem}" for problem in error.problems) from None
        if dry_run:
            connection.rollback()
    _print_saved(saved, dry_run=dry_run)


@sources.command("rotate-key")
def rotate_key() -> None:
    """Encrypt every stored key with the first key of ETL_SECRET_KEY.

    Write ETL_SECRET_KEY=new,old everywhere, restart the daemons, run this, and then take the old one away.

    \b
    Example:  etl sources rotate-key
    """
    from etl.runtime.humanize import counted
    from etl.state import source_table

    settings = context.settings()
    with _writing(settings) as connection:
        done = source_table.rotate_key(connection, settings)
    echo(f"{counted(done, 'key')} encrypted with the first key of ETL_SECRET_KEY; the others are not needed any more")


@contextmanager
def _writing(settings: "Settings") -> "Iterator[Connection]":
    with context.opened(settings, may_start=True) as engine, engine.connect() as connection, connection.begin() as done:
        yield connection
        if done.is_active:
            done.commit()


def _change(name: str, given: Mapping[str, object], unset: Sequence[str], key: "Secret | str | None") -> None:
    from etl.settings.source_entries import Entry
    from etl.state import source_table

    settings = context.settings()
    with _writing(settings) as connection:
        before = _stored(connection, settings, name)
        after = {setting: value for setting, value in {**before, **given}.items() if setting not in unset}
        saved = source_table.save(connection, settings, [Entry(name, after, key)])
    echo(f"{name}: changed; {NOW}" if saved.changed else f"{name}: nothing changed")


def _stored(connection: "Connection", settings: "Settings", name: str) -> Mapping[str, object]:
    """The settings of a source of the database, locked until they are changed."""
    from etl.state import source_table

    stored = {row.source: row.settings for row in source_table.rows(connection, locked=True)}
    if name not in stored and any(source.name == name for source in settings.local_sources):
        raise click.BadParameter(f"{name} is configured in etl.toml or the environment; change it there")
    context.require_known([name], stored)
    found: Mapping[str, object] = stored[name]
    return found


def _settings(words: Sequence[str]) -> dict[str, object]:
    """``SETTING=VALUE`` → settings, as a TOML file has them."""
    from etl.settings.source_entries import value_of

    found = dict[str, object]()
    for word in words:
        setting, equals, text = word.partition("=")
        if not equals:
            raise click.BadParameter("write SETTING=VALUE, such as requests_per_minute=30", param_hint="SETTING=VALUE")
        _require_setting(setting)
        found[setting] = value_of(setting, text)
    return found


def _require_setting(setting: str) -> None:
    from etl.settings.parsers import nearest, shown
    from etl.settings.source_tables import KEYS

    if setting == "api_key":
        raise click.BadParameter("the key is given by --key: env:VARIABLE, file:PATH, prompt, or stdin")
    if setting == "provider":
        raise click.BadParameter("a source keeps its provider; give an account of another one another name")
    if setting not in KEYS:
        raise click.BadParameter(f"no setting is named {shown(setting)}{nearest(setting, {*KEYS} - {'api_key'})}")


def _key(where: str, name: str) -> "Secret | str":
    """What --key says → a reference to the key, or the key itself as it was typed or read."""
    from etl.runtime.secret import Secret
    from etl.settings.parsers import MAX_KEY_FILE

    if where.startswith(("env:", "file:")):
        return where
    if where == "stdin":
        found = sys.stdin.read(MAX_KEY_FILE).strip()
    elif where != "prompt":
        raise click.BadParameter(
            "write env:VARIABLE, file:PATH, prompt, or stdin; never the key itself", param_hint="--key"
        )
    elif sys.stdin.isatty():
        found = click.prompt(f"API key of {name}", hide_input=True, err=True).strip()
    else:
        raise click.BadParameter("no terminal to ask on: write env:VARIABLE, file:PATH, or stdin", param_hint="--key")
    if not found:
        raise click.BadParameter("stdin is empty; the key is read from it", param_hint="--key")
    return Secret(found)


def _text(file: str) -> str:
    """The text of a file, which is bounded; of another encoding than UTF-8 it says so."""
    from etl.settings.source_entries import MAX_CSV_BYTES

    try:
        with sys.stdin.buffer if file == "-" else Path(file).open("rb") as stream:
            data = stream.read(MAX_CSV_BYTES + 1)
    except OSError as error:
        raise click.BadParameter(f"cannot be read: {error.strerror}", param_hint="FILE") from None
    if len(data) > MAX_CSV_BYTES:
        raise click.BadParameter("is too large for a list of accounts", param_hint="FILE")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise click.BadParameter('is not UTF-8; save it as "CSV UTF-8"', param_hint="FILE") from None


def _print_saved(saved: "Saved", *, dry_run: bool) -> None:
    verb = "would be " if dry_run else ""
    for names, word in ((saved.added, "added"), (saved.changed, "changed")):
        for name in names:
            echo(f"{name}: {verb}{word}")
    counts = f"{len(saved.added)} {verb}added, {len(saved.changed)} {verb}changed, {len(saved.unchanged)} unchanged"
    echo(counts if dry_run or not (saved.added or saved.changed) else f"{counts}; {NOW}")
