"""Turns an empty directory into a PostgreSQL data directory, and settings into its configuration."""

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from etl.embedded import binaries
from etl.embedded.account import Account, give_to_owner
from etl.embedded.instance import HOST, USER, EmbeddedError

MEGABYTE = 1024 * 1024
# The server's log must not contain values of rows: no statements, no details, no messages of failed statements.
SETTINGS: Mapping[str, str] = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_wal_size": "4GB",
    "wal_compression": "on",
    "checkpoint_timeout": "15min",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] ",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_checkpoints": "off",
}


def initialise(base: Path, server_dir: Path, bin_dir: Path, account: Account) -> None:
    """Creates `base/data` and a new password, which is also written to `server_dir`. Raises EmbeddedError.

    initdb works in another directory, which is renamed at the end: an interrupted run leaves no cluster.
    """
    draft, secret = base / "data.new", base / "password.new"
    shutil.rmtree(draft, ignore_errors=True)
    password = _new_password({server_dir, base})
    draft.mkdir(mode=0o700)
    account.own(draft)
    try:
        write(secret, password, 0o600)  # readable for the server's user while initdb runs
        account.own(secret)
        _initdb(bin_dir, account, draft, secret)
    finally:
        secret.unlink(missing_ok=True)
    include = 'printf "\\ninclude \'../settings.conf\'\\n" >> "$1"'  # by the owner of the directory
    if account.run(["/bin/sh", "-c", include, "sh", draft / "postgresql.conf"]).returncode != 0:
        raise EmbeddedError(f"The settings in {draft} could not be written: is the disk full?")
    draft.rename(base / "data")


def configuration(port: int, extra: Mapping[str, str]) -> str:
    """The text of `settings.conf`; `extra` overrides the default settings."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MEGABYTE
    values = {"port": str(port), "shared_buffers": f"{max(32, min(256, memory // 8))}MB", **SETTINGS, **extra}
    lines = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in values.items()]
    return "\n".join(["# Written at each start; ALTER SYSTEM SET overrides a line permanently.", *lines, ""])


def write(path: Path, text: str, mode: int) -> None:
    """Writes a file atomically, with `mode` whatever the umask is."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
        os.fchmod(handle, mode)
        file.flush()
        os.fsync(handle)  # a password lost in a power failure would lock everybody out
    give_to_owner(draft)
    draft.rename(path)


def _new_password(directories: set[Path]) -> str:
    password = secrets.token_urlsafe(24)
    for directory in directories:  # also beside the data, which may survive the home
        write(directory / "password", password + "\n", 0o600)
    return password


def _initdb(bin_dir: Path, account: Account, data_dir: Path, secret: Path) -> None:
    output = ""
    for locale in _locales(binaries.major_of(bin_dir)):
        done = account.run(
            [*account.initdb_prefix(), bin_dir / "initdb", "-D", data_dir, "-U", USER, "-E", "UTF8",
             "-A", "scram-sha-256", f"--pwfile={secret}", "--data-checksums", *locale]
        )  # fmt: skip
        if done.returncode == 0:
            return
        output = next((line for line in done.stdout.splitlines() if "error:" in line), output)
    raise EmbeddedError(
        f"initdb could not make the embedded PostgreSQL's data in {data_dir.parent}"
        f" ({output.partition('error: ')[2] or 'no reason given'}): fix that, set PGBINDIR, or set DATABASE_URL."
    )


def _locales(major: int) -> list[list[str]]:
    """Options for UTF-8 with a stable sort order, best first: not every system has a C.UTF-8 locale."""
    if major >= 17:
        return [["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]]
    return [["--locale=C.UTF-8"], ["--locale=C"]]
