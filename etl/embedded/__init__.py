"""ETL_HOME → a real PostgreSQL on loopback, for those without a server; it runs until `stop`."""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from etl.embedded import cluster as clusters
from etl.embedded import postmaster
from etl.embedded.cluster import Cluster
from etl.embedded.instance import (
    DATABASE,
    HOST,
    USER,
    EmbeddedError,
    Server,
    drop_database,
    ensure_database,
    ignore_libpq_environment,
    psql_command,
)

__all__ = [
    "EmbeddedError",
    "Server",
    "drop_database",
    "ensure_database",
    "exists",
    "psql_command",
    "running",
    "start",
    "stop",
]

PORTS_TO_TRY = 5
RETRY_SECONDS = 1.0


def start(home: Path, settings: Mapping[str, str] | None = None) -> Server:
    """The server of `home` with a database `callhouse`; creates and starts it where needed.

    `settings` override the server's configuration until it is stopped. Raises EmbeddedError.
    """
    home = _resolve(home)
    server = _running_or_started(home, settings or {})
    try:
        ensure_database(server, DATABASE)
    except EmbeddedError:  # a killed server may still be found for a moment
        time.sleep(RETRY_SECONDS)
        server = _running_or_started(home, settings or {})
        ensure_database(server, DATABASE)
    return server


def stop(home: Path) -> bool:
    """Stops the server of `home`; False where none is running. Raises EmbeddedError."""
    home = _resolve(home)
    with clusters.wrap_os_errors(home):
        if clusters.find(home) is None:
            return False
        with clusters.locked(home):
            cluster = clusters.find(home)
            return cluster is not None and postmaster.stop(clusters.with_current_binaries(cluster))


def exists(home: Path) -> bool:
    """Whether there is a server of `home`, running or not. Raises EmbeddedError where it belongs to another user."""
    home = _resolve(home)
    with clusters.wrap_os_errors(home):
        return clusters.find(home) is not None


def running(home: Path) -> Server | None:
    """The server of `home` if it accepts connections. Raises EmbeddedError where it belongs to another user."""
    home = _resolve(home)
    with clusters.wrap_os_errors(home):
        return _running(home)


def _running_or_started(home: Path, settings: Mapping[str, str]) -> Server:
    with clusters.wrap_os_errors(home):
        if server := _running(home):
            return server
        with clusters.locked(home):
            return _running(home) or _started(home, settings)


def _running(home: Path) -> Server | None:
    cluster = clusters.find(home)
    found = postmaster.find(cluster) if cluster else None
    if cluster is None or found is None or not found.is_ready:
        return None
    return _server(replace(clusters.with_current_binaries(cluster), port=found.port))


def _started(home: Path, settings: Mapping[str, str]) -> Server:
    for _ in range(PORTS_TO_TRY):
        cluster = clusters.find(home)
        if cluster is not None and postmaster.find(cluster):  # it is starting
            cluster = clusters.with_current_binaries(cluster)
        else:
            cluster = clusters.provision(home, settings)
        with contextlib.suppress(postmaster.PortTakenError):
            return _server(postmaster.start(cluster))
    raise EmbeddedError("The embedded PostgreSQL found no TCP port that stayed free: try again.")


def _server(cluster: Cluster) -> Server:
    ignore_libpq_environment()
    return Server(HOST, cluster.port, USER, clusters.password_of(cluster), cluster.bin_dir, cluster.data_dir)


def _resolve(home: Path) -> Path:
    try:
        return home.expanduser().resolve()
    except (OSError, RuntimeError) as error:
        raise EmbeddedError(f"ETL_HOME is {home}, which leads nowhere ({error}): correct it.") from None
