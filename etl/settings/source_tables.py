"""Tables of settings, or the API keys of the environment → sources, with a list of problems."""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from etl.model import Lookback, Provider, Reporting, Retention, Source
from etl.runtime.secret import Secret
from etl.settings import encryption, parsers, schedule
from etl.settings.schedule import Every

T = TypeVar("T")
Access = tuple[str, Secret | None]  # the base URL and the API key, empty where they are invalid

KEYS = (
    "provider", "api_key", "base_url", "phones", "requests_per_minute", "schedule", "timezone", "region", "since",
    "cost_unit", "lookbacks", "report_timezone", "keep_calls", "keep_transcripts", "keep_raw",
)  # fmt: skip
REPORTING_KEYS = ("report_timezone", "report_currency", "business_hours")
KEEP_KEYS = ("keep_calls", "keep_transcripts", "keep_raw")
LOOKBACKS: tuple[Lookback, ...] = (
    Lookback(timedelta(hours=6), timedelta(hours=1)),
    Lookback(timedelta(days=2), timedelta(hours=6)),
    Lookback(timedelta(days=7), timedelta(days=1)),
)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}\Z")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+\Z")
MIN_INTERVAL = timedelta(seconds=10)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What the settings of a source may refer to, and what they are where the source has none of its own.

    ``folder`` is the base of ``api_key = "file:…"``; ``secret_keys`` decrypt the keys that the database holds;
    ``unreferred`` has the problem of each variable that is of no use unless a source of the database refers to it;
    unless ``needs_keys``, a source may be without its key.
    """

    providers: Mapping[str, Provider]
    environment: Mapping[str, str] = field(repr=False)
    folder: Path
    reporting: Reporting = field(default_factory=Reporting)
    kept: Mapping[str, timedelta | None] = field(default_factory=dict)
    secret_keys: tuple[Secret, ...] = ()
    unreferred: Mapping[str, str] = field(default_factory=dict)
    needs_keys: bool = True


class SourceParser:
    """Parses sources; ``problems`` collects what is wrong, one sentence each, ``warnings`` what is only unwise.

    ``referred`` are the variables that API keys refer to.
    """

    def __init__(self, context: SourceContext) -> None:
        self.context = context
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.referred: set[str] = set()

    def read_reporting(self, document: Mapping[str, object]) -> None:
        """Take the settings of all sources' reports from the top of the document."""
        readers: dict[str, Callable[[object], Any]] = dict(
            zip(REPORTING_KEYS, (parsers.zone, parsers.currency, parsers.business_hours), strict=True)
        )
        found = {name: self._at(name, read, document[name]) for name, read in readers.items() if name in document}
        named = {name.removeprefix("report_"): value for name, value in found.items() if value is not None}
        self.context = replace(self.context, reporting=replace(self.context.reporting, **named))

    def read_retention(self, document: Mapping[str, object]) -> None:
        """Take from the top of the document how long what is kept of all sources."""
        kept = {name: self._at(name, parsers.kept, document[name]) for name in KEEP_KEYS if name in document}
        self.context = replace(self.context, kept=kept)

    def from_environment(self) -> tuple[Source, ...]:
        """One source for each provider whose API key is set, named after the provider."""
        named = [(name, name.upper()) for name in self.context.providers if self._value(f"{name.upper()}_API_KEY")]
        return tuple(source for name, prefix in named if (source := self._of_keys(name, prefix)))

    def from_tables(self, tables: object) -> tuple[Source, ...]:
        """The sources of the ``[sources.NAME]`` tables."""
        if not isinstance(tables, Mapping):
            self.problems.append("sources is not a table; write [sources.NAME] above the settings of each source")
            return ()
        return tuple(source for name, table in tables.items() if (source := self.of_table(name, table, "[sources.{}]")))

    def _value(self, name: str) -> str:
        """The value of a variable; a blank one counts as not set."""
        value = self.context.environment.get(name, "")
        return value if value.strip() else ""

    def _of_keys(self, name: str, prefix: str) -> Source | None:
        phones = [phone.strip() for phone in self._value(f"{prefix}_PHONES").split(",") if phone.strip()]
        table: dict[str, object] = {"phones": phones} if phones else {}
        labels = {key: f"{prefix}_{key.upper()}" for key in KEYS}
        provider = self.context.providers[name]
        base_url = self._base_url(provider, table, labels)
        key = self._at(labels["api_key"], parsers.key, self._value(labels["api_key"]))
        return self._source(name, provider, table, labels, (base_url, key))

    def of_table(self, name: str, table: object, place: str) -> Source | None:
        """The source of one table of settings; ``place`` says where it stands, with ``{}`` for its name."""
        where = place.format(name if _NAME.match(name) else parsers.shown(name))
        if not _NAME.match(name):
            rule = "a name starts with a letter and has only letters, digits, - and _"
            self.problems.append(f"{where.rstrip(':')}: {rule}")
            return None
        if not isinstance(table, Mapping):
            self.problems.append(f"sources.{name} is not a table; write [sources.{name}] above its settings")
            return None
        for key in table.keys() - set(KEYS):
            self.problems.append(f"{where} has no setting {parsers.shown(key)}{parsers.nearest(key, KEYS)}")
        labels = {setting: f"{where} {setting}" for setting in KEYS}
        provider = self._at(labels["provider"], self._provider, table.get("provider"))
        base_url = self._base_url(provider, table, labels) if provider else ""
        before = len(self.problems)
        key = self._at(labels["api_key"], lambda value: self._key(name, base_url, where, value), table.get("api_key"))
        if not self.context.needs_keys:
            del self.problems[before:]
        return self._source(name, provider, table, labels, (base_url, key)) if provider else None

    def _base_url(self, provider: Provider, table: Mapping[str, object], labels: Mapping[str, str]) -> str:
        """Where the API lies, as in the table, else in the environment, else in the provider's own documentation."""
        variable = f"{provider.name.upper()}_BASE_URL"
        label = labels["base_url"] if "base_url" in table else variable
        value = table.get("base_url", self._value(variable) or provider.base_url)
        return self._at(label, parsers.base_url, value) or ""

    def _source(
        self, name: str, provider: Provider, table: Mapping[str, object], labels: Mapping[str, str], access: Access
    ) -> Source | None:
        """A source, or ``None`` where a setting is invalid; ``labels`` name the location of each setting."""
        before, (base_url, key) = len(self.problems), access

        def setting(key: str, read: Callable[[Any], T], default: T) -> T:
            found = self._at(labels[key], read, table[key]) if key in table else default
            return default if found is None else found

        kept = {key: setting(key, parsers.kept, self.context.kept.get(key)) for key in KEEP_KEYS}
        zone, reporting = setting("timezone", parsers.zone, ZoneInfo("UTC")), self.context.reporting
        region = setting("region", parsers.region, None)
        source = Source(
            name=name,
            provider=provider.name,
            base_url=base_url,
            api_key=key or Secret(""),
            cost_unit=setting("cost_unit", parsers.cost_unit, provider.cost_unit),
            partitions=setting("phones", lambda value: parsers.phones(value, region), ()),
            timezone=zone,
            region=region,
            requests_per_minute=setting("requests_per_minute", parsers.rate, 60),
            schedule=setting("schedule", parsers.schedule, "every 5m"),
            since=setting("since", lambda value: parsers.since(value, zone), None),
            lookbacks=(lookbacks := setting("lookbacks", parsers.lookbacks, LOOKBACKS)),
            key_name=labels["api_key"],
            retention=self._retention(name, kept, lookbacks),
            reporting=replace(reporting, timezone=setting("report_timezone", parsers.zone, reporting.timezone)),
        )
        if provider.is_partitioned and "phones" not in table:
            self.problems.append(
                f"{labels['phones']} is not set: {provider.title} lists calls by the organisation's own "
                "numbers; give them all, each with + and its country code"
            )
        has_access = base_url and (key or not self.context.needs_keys)
        return source if has_access and len(self.problems) == before else None

    def _retention(self, name: str, kept: Mapping[str, timedelta | None], lookbacks: Sequence[Lookback]) -> Retention:
        """How long what is kept: at least what lookbacks read again, and nothing longer than what has it in it."""
        where = f"source {name}"
        least = max(lookback.window for lookback in lookbacks) + timedelta(days=1)
        self.problems += [
            f"{where}: {key} is shorter than what lookbacks read again; write at least {math.ceil(least / DAY)}d"
            for key, value in kept.items()
            if value is not None and value < least
        ]
        calls, transcripts, raw = (kept[key] or timedelta.max for key in KEEP_KEYS)
        if transcripts < raw:
            self.problems.append(
                f"{where}: the raw payloads hold the transcripts; set keep_raw too, to no more than keep_transcripts"
            )
        if calls < max(value for value in (timedelta(0), *kept.values()) if value is not None):
            self.problems.append(f"{where}: keep_calls is shorter than another; nothing outlives its call")
        return Retention(*(kept[key] for key in KEEP_KEYS))

    def _at(self, where: str, read: Callable[[Any], T], value: object) -> T | None:
        try:
            return read(value)
        except ValueError as error:
            self.problems.append(f"{where} {error}")
            return None

    def _provider(self, value: object) -> Provider:
        known = self.context.providers
        if not isinstance(value, str):
            raise ValueError(f"is not set; write one of {', '.join(sorted(known))}")
        if value not in known:
            raise ValueError(f"{parsers.shown(value)} is not known{parsers.nearest(value.lower(), known)}")
        return known[value]

    def _key(self, name: str, base_url: str, where: str, value: object) -> Secret | None:
        if isinstance(value, Secret):  # as it was typed, or stood in a file that is imported
            return parsers.key(value.reveal())
        if isinstance(value, str) and value.startswith(encryption.PREFIX):
            return encryption.decrypt(self.context.secret_keys, value, name, base_url) if base_url else None
        kind, colon, target = value.partition(":") if isinstance(value, str) else ("", "", "")
        if kind == "env" and colon:
            return self._variable(target)
        if kind == "file" and colon:
            return self._key_file(where, target)
        raise ValueError('does not name the key; write "env:NAME" or "file:PATH", never the key itself')

    def _key_file(self, where: str, name: str) -> Secret:
        try:
            path = self.context.folder / Path(name).expanduser()
        except RuntimeError:  # ~user of a user that does not exist
            raise ValueError("refers to a user that does not exist; write an absolute path after file:") from None
        warning = f"the file that {where} api_key refers to is readable by other users; run chmod 600 on it"
        return parsers.key_file(path, lambda: self.warnings.append(warning))

    def _variable(self, name: str) -> Secret:
        if name.startswith("ETL_") or name == "DATABASE_URL":  # whoever may write a source would have it sent anywhere
            raise ValueError("refers to a setting of Callhouse itself; name the variable that holds the API key")
        self.referred.add(name)
        if self._value(name):
            return parsers.key(self._value(name))
        named = f"the variable {name}" if _VARIABLE.match(name) else "a variable"  # the name may be the key by mistake
        raise ValueError(
            f"refers to {named}, which is not set; set it, or write the name of the one that holds the key"
        )


def source_warnings(sources: Sequence[Source], now: datetime) -> list[str]:
    """What of valid settings can hardly be meant."""
    warnings, accounts = list[str](), defaultdict[tuple[object, ...], list[str]](list)
    for source in sources:
        when = schedule.parse(source.schedule)
        if isinstance(when, Every) and when.interval < MIN_INTERVAL:
            warnings.append(
                f"source {source.name}: its schedule is shorter than ten seconds: runs follow each other without a "
                "pause, and the provider may refuse them"
            )
        if source.since and source.since > now:
            warnings.append(f"source {source.name}: its since is in the future: no call before it is read")
        for partition in (source.partitions or ("",)) if source.api_key else ():
            accounts[source.base_url, source.api_key, partition].append(source.name)
    doubles = dict.fromkeys(" and ".join(names) for names in accounts.values() if len(names) > 1)
    return warnings + [f"sources {names} are the same account: each call is stored once for each" for names in doubles]
