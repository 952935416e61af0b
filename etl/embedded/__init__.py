"""Turns ETL_HOME into a real PostgreSQL on loopback, for those who have none: started once, up until `stop`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from etl.embedded import cluster as places
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
    psql_command,
)

__all__ = ["EmbeddedError", "Server", "drop_database", "ensure_database", "psql_command", "running", "start", "stop"]

PORTS_TO_TRY = 5
MOMENT_SECONDS = 1.0


def start(home: Path, settings: Mapping[str, str] | None = None) -> Server:
    """The server of `home`, which is started, and made, where needed; its database `callhouse` exists.

    `settings` go over the server's own, for the time until it is stopped. Raises EmbeddedError.
    """
    home = _resolved(home)
    server = _up(home, settings or {})
    try:
        ensure_database(server, DATABASE)
    except EmbeddedError:  # a server killed a moment ago is found once more before it is quite gone
        time.sleep(MOMENT_SECONDS)
        server = _up(home, settings or {})
        ensure_database(server, DATABASE)
    return server


def stop(home: Path) -> bool:
    """Stops the server of `home`; False where none was running. Raises EmbeddedError."""
    home = _resolved(home)
    with places.explained(home):
        if places.recall(home) is None:
            return False
        with places.locked(home):
            place = places.recall(home)
            return place is not None and postmaster.stop(_with_programs(place))


def running(home: Path) -> Server | None:
    """The server of `home` where it answers, else None. Raises EmbeddedError where it belongs to another user."""
    home = _resolved(home)
    with places.explained(home):
        return _running(home)


def _up(home: Path, settings: Mapping[str, str]) -> Server:
    with places.explained(home):
        if server := _running(home):
            return server
        with places.locked(home):
            return _running(home) or _started(home, settings)


def _running(home: Path) -> Server | None:
    place = places.recall(home)
    found = postmaster.find(place) if place else None
    if place is None or found is None or not found.is_ready:
        return None
    return Server(HOST, found.port, USER, places.password_of(place), _with_programs(place).bin_dir, place.data_dir)


def _started(home: Path, settings: Mapping[str, str]) -> Server:
    for _ in range(PORTS_TO_TRY):
        place = places.recall(home)
        unused = place is None or postmaster.find(place) is None
        place = places.settle(home, settings) if place is None or unused else _with_programs(place)
        try:
            place = postmaster.start(place)
        except postmaster.PortTakenError:
            continue
        return Server(HOST, place.port, USER, places.password_of(place), place.bin_dir, place.data_dir)
    raise EmbeddedError("The embedded PostgreSQL found no TCP port that stayed free: try again.")


def _with_programs(place: Cluster) -> Cluster:
    """The same place with programs that exist: the environment that started the server may be gone."""
    if place.bin_dir.is_absolute() and (place.bin_dir / "pg_ctl").exists():
        return place
    return places.with_programs(place)


def _resolved(home: Path) -> Path:
    try:
        return home.expanduser().resolve()
    except (OSError, RuntimeError) as error:
        raise EmbeddedError(f"ETL_HOME is {home}, which leads nowhere ({error}): correct it.") from None
