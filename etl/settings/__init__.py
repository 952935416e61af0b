"""The environment, ``.env`` and a TOML file → one frozen value, or the list of all problems.

That is the configuration of this machine. The sources of the database come to it once that is connected:
:mod:`etl.state.source_table`.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from etl.model import Provider, Source
from etl.runtime import urls
from etl.runtime.secret import Secret
from etl.runtime.urls import Listen
from etl.settings import encryption, parsers
from etl.settings.source_tables import KEEP_KEYS, REPORTING_KEYS, SourceContext, SourceParser, source_warnings

T = TypeVar("T")

NO_SOURCES = (
    "no source is configured: set RINGG_API_KEY, RAVAN_API_KEY (with RAVAN_PHONES), AUTOCALLS_API_KEY or VAANI_API_KEY "
    "in .env or the environment, write [sources.NAME] into etl.toml, or run `etl sources add`; `etl demo` needs none"
)
_VARIABLES = ("DATABASE_URL", "ETL_HOME", "ETL_LISTEN", "ETL_TOKEN", "ETL_ALERT_URL", "ETL_CONFIG", "ETL_ERASURES",
              "ETL_SECRET_KEY", "ETL_WORKERS")  # fmt: skip
_KEY_VARIABLE = re.compile(r"[A-Z]+_[A-Z0-9_]+_KEY\Z")  # such as RINGG_SUPPORT_KEY


class ConfigurationError(Exception):
    """The configuration is invalid (exit status 78): every problem, with its location and how to fix it."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration of this machine.

    ``database_url`` is in SQLAlchemy's form, ``None`` for the embedded PostgreSQL; ``local_sources`` are those of the
    file or the environment; ``listen`` is ``None`` for off; ``erasures`` is the file of the tokens of erased people;
    ``context`` is what the sources of the database are parsed in; with ``has_workers`` the daemon only puts jobs into
    the queue.
    """

    database_url: Secret | None
    home: Path
    local_sources: tuple[Source, ...]
    listen: Listen | None
    token: Secret | None
    warnings: tuple[str, ...] = ()
    alert_url: Secret | None = None
    erasures: Path = Path("erasures.txt")
    context: SourceContext = field(default_factory=lambda: SourceContext({}, {}, Path()), compare=False)
    has_workers: bool = False

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Every secret of the configuration, the password of the database URL included."""
        password = unquote(urlsplit(self.database_url.reveal()).password or "") if self.database_url else ""
        found = (
            self.database_url,
            Secret(password),
            self.token,
            self.alert_url,
            *self.context.secret_keys,
            *(source.api_key for source in self.local_sources),
        )
        return tuple(secret for secret in found if secret)


def variables(providers: Mapping[str, Provider]) -> tuple[str, ...]:
    """The names of all environment variables that are read."""
    of_providers = [f"{name.upper()}_{kind}" for name in providers for kind in ("API_KEY", "BASE_URL")]
    phones = [f"{name.upper()}_PHONES" for name, provider in providers.items() if provider.is_partitioned]
    return (*_VARIABLES, *of_providers, *phones)


def load(
    environment: Mapping[str, str], directory: Path, now: datetime | None = None, *, needs_keys: bool = True
) -> Settings:
    """The settings of an environment, ``.env`` and ``etl.toml`` of this directory; the environment wins over ``.env``.

    Unless ``needs_keys``, sources may be without their keys: for commands that ask no provider.
    Raises :class:`ConfigurationError` with every problem at once.
    """
    from etl.extractors import providers

    return _Loading(providers(), environment, directory, needs_keys=needs_keys).settings(now or datetime.now(UTC))


def home(environment: Mapping[str, str], directory: Path) -> Path:
    """ETL_HOME alone, from the environment or ``.env``, even where other settings are invalid.

    Raises :class:`ConfigurationError`.
    """
    from dotenv import dotenv_values

    text = environment.get("ETL_HOME", "").strip()
    if not text:
        with suppress(OSError, UnicodeDecodeError):
            text = (dotenv_values(directory / ".env", interpolate=False).get("ETL_HOME") or "").strip()
    try:
        return _home_at(directory, text or ".etl")
    except ValueError as error:
        raise ConfigurationError([f"ETL_HOME {error}"]) from None


def _home_at(directory: Path, text: str) -> Path:
    try:
        home = (directory / Path(text).expanduser()).absolute()
        is_file = home.exists() and not home.is_dir()
    except (OSError, RuntimeError, ValueError):  # too long, or of a user that does not exist
        raise ValueError("is not a path that can be used; write the path of a directory") from None
    if is_file:
        raise ValueError("is a file; write the path of a directory")
    return home


def _is_near(name: str, known: Iterable[str], likeness: float) -> bool:
    return bool(difflib.get_close_matches(name, known, 1, likeness))


class _Loading:
    """Loads one configuration and collects its problems."""

    def __init__(
        self, providers: Mapping[str, Provider], environment: Mapping[str, str], directory: Path, *, needs_keys: bool
    ) -> None:
        self._providers, self._needs_keys = providers, needs_keys
        self._directory = self._folder = directory
        self._problems: list[str] = []
        self._warnings: list[str] = []
        self._process = dict(environment)
        self._file = self._dotenv(directory / ".env")
        self._environment = {**self._file, **self._process}

    def settings(self, now: datetime) -> Settings:
        sources, context = self._sources()
        self._warnings += source_warnings(sources, now)
        listen = self._at("ETL_LISTEN", urls.listen, "127.0.0.1:8787")
        token = self._at("ETL_TOKEN", parsers.token, "")
        if listen and not urls.is_loopback(listen.host) and not token:
            self._problems.append(
                "ETL_LISTEN is not a loopback address, so others could read the page; set ETL_TOKEN, which they then "
                "have to present, or listen on 127.0.0.1"
            )
        database_url = self._at("DATABASE_URL", lambda text: Secret(urls.database_url(text)), "")
        home = self._at("ETL_HOME", self._home, ".etl")
        alert_url = self._at("ETL_ALERT_URL", lambda text: Secret(urls.webhook(text)), "")
        secret_keys = self._at("ETL_SECRET_KEY", encryption.secret_keys, "") or ()
        erasures = self._folder / Path(self._environment.get("ETL_ERASURES", "").strip() or "erasures.txt").expanduser()
        has_workers = self._at("ETL_WORKERS", parsers.workers, "")
        if self._problems:
            raise ConfigurationError(self._problems)
        return Settings(
            database_url,
            home or self._directory,
            sources,
            listen,
            token,
            tuple(self._warnings),
            alert_url,
            erasures,
            replace(context, secret_keys=secret_keys),
            bool(has_workers),
        )

    def _at(self, name: str, read: Callable[[str], T], default: str) -> T | None:
        """A variable's parsed value; ``None`` where it is not set and has no default, or is invalid."""
        text = self._environment.get(name, "").strip() or default
        try:
            return read(text) if text else None
        except ValueError as error:
            self._problems.append(f"{name} {error}")
            return None

    def _home(self, text: str) -> Path:
        return _home_at(self._directory, text)

    def _sources(self) -> tuple[tuple[Source, ...], SourceContext]:
        document, self._folder = self._document()
        context = SourceContext(self._providers, self._environment, self._folder, needs_keys=self._needs_keys)
        reader = SourceParser(context)
        known = {"sources", *REPORTING_KEYS, *KEEP_KEYS}
        for key in document.keys() - known:
            self._problems.append(f"the configuration file has no {parsers.shown(key)}{parsers.nearest(key, known)}")
        reader.read_reporting(document)
        reader.read_retention(document)
        named = document.get("sources", {})
        sources = reader.from_tables(named) if named != {} else reader.from_environment()
        self._problems.extend(reader.problems)
        self._warnings.extend(reader.warnings)
        unreferred = self._check_names(reader.referred)
        if named == {}:
            self._warn_of_phones()
        return sources, replace(reader.context, unreferred=unreferred)

    def _document(self) -> tuple[dict[str, Any], Path]:
        """The TOML file and its directory."""
        configured = self._environment.get("ETL_CONFIG", "").strip()
        path = self._directory / (configured or "etl.toml")
        try:
            path = self._directory / Path(configured or "etl.toml").expanduser()
            text = path.read_text("utf-8-sig") if configured or path.exists() else ""
        except (OSError, RuntimeError, ValueError):
            self._problems.append(f"ETL_CONFIG: the file {path.name} cannot be read; check its path and its rights")
            return {}, path.parent
        try:
            return parsers.toml(text), path.parent
        except ValueError as error:
            self._problems.append(f"{path.name} is not valid TOML: {error}")
        return {}, path.parent

    def _check_names(self, referred: set[str]) -> dict[str, str]:
        """Report variables with misspelt names, which would be ignored silently.

        Returns the problem of each that is none if a source of the database refers to it.
        """
        unreferred = dict[str, str]()
        known = {*variables(self._providers), *referred}
        prefixes = ("ETL_", *(f"{name.upper()}_" for name in self._providers))
        for name in sorted(self._environment.keys() - known):
            ours = name.upper().startswith(prefixes)
            is_near = _is_near(name.upper(), known, 0.8 if ours else 0.85)
            # .env is ours alone; the environment of the process has variables of other tools too
            if (ours or is_near) if name in self._file else (ours and is_near):
                problem = f"{name} is not a known variable{parsers.nearest(name.upper(), known)}"
                if ours and _KEY_VARIABLE.match(name):
                    unreferred[name] = problem
                else:
                    self._problems.append(problem)
        return unreferred

    def _warn_of_phones(self) -> None:
        for prefix in (name.upper() for name, provider in self._providers.items() if provider.is_partitioned):
            phones, key = (self._environment.get(f"{prefix}_{kind}", "").strip() for kind in ("PHONES", "API_KEY"))
            if phones and not key:
                self._warnings.append(
                    f"{prefix}_PHONES is set and {prefix}_API_KEY is not: this provider is not synced"
                )

    def _dotenv(self, path: Path) -> dict[str, str]:
        """The variables of ``.env``; references to variables are not expanded."""
        found: dict[str, str] = {}
        try:
            with path.open(encoding="utf-8-sig") as stream:
                if parsers.is_open_to_others(stream.fileno()):
                    self._warnings.append(".env is readable by other users; run: chmod 600 .env")
                from dotenv.parser import parse_stream  # imported only if there is a file

                bindings = list(parse_stream(stream))
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError):
            self._problems.append(".env cannot be read as text; check its rights, and that it is UTF-8")
            return {}
        for binding in bindings:
            if binding.error or (binding.key is not None and binding.value is None):
                text = binding.original.string
                line = binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
                self._problems.append(f".env line {line} is not NAME=value; fix it or comment it out with #")
            elif binding.key is not None and binding.value is not None:
                found[binding.key] = binding.value
        return found
