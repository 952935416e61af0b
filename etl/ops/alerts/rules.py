"""The sync state of one source → the alerts that fire now. Pure: no clock and no database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from etl.client.errors import PauseReason
from etl.model import Source
from etl.ops.health import freshness_deadline

FAILED_RUNS = 3
NEW_REJECTS = 10  # records a day
MIN_CALLS = 20  # of a day, before an empty column means anything
USUALLY_FILLED = 0.9
WEEKS = 4
USUAL_CALLS, LEAST_CALLS = 10, 3  # in the mean of the weeks, and in each of them


class AlertKind(StrEnum):
    """What can be wrong with a source; the value is what the database, the webhook and the metrics say."""

    FAILING = "failing"
    STALE = "stale"
    INCOMPLETE = "incomplete"
    CREDENTIALS = "credentials"
    QUARANTINE = "quarantine"
    DRIFT = "drift"
    NO_CALLS = "no_calls"


# How long a problem must last before anybody is notified: what the next runs fix is no news.
GRACE_PERIOD: Mapping[AlertKind, timedelta] = dict.fromkeys(AlertKind, timedelta(0)) | {
    AlertKind.STALE: timedelta(minutes=5),
    AlertKind.INCOMPLETE: timedelta(hours=6),
}
HINTS: Mapping[AlertKind, str] = {
    AlertKind.FAILING: "run `etl check` to find the cause; the next run resumes where the last one stopped",
    AlertKind.STALE: "check that the daemon and the provider are up; `etl status` shows the last run and the next",
    AlertKind.INCOMPLETE: "run `etl verify {source} --heal`; if that does not help, "
    "`etl backfill {source} --from DATE --again`",
    AlertKind.CREDENTIALS: "replace the key, or pay the provider; then run `etl sync {source}`. "
    "Other sources are not affected",
    AlertKind.QUARANTINE: "`etl quarantine list {source}` shows why. Nothing is lost: upgrade, then run "
    "`etl quarantine retry`",
    AlertKind.DRIFT: "the table `ops.schema_drift` shows what changed. Nothing is lost: upgrade, then run `etl replay`",
    AlertKind.NO_CALLS: "look at the provider's dashboard. If it shows calls, is the key that of this account? "
    "If not, ask who runs the agents",
}


@dataclass(frozen=True, slots=True)
class Period:
    """The number of calls in the last ``hours``, and in the same hours of the weeks before, the latest first."""

    hours: int
    now: int
    before: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EmptyColumn:
    """A column without a value in the calls of one day, and in how many of the days before it has one."""

    column: str
    calls: int
    calls_before: int
    filled_before: int


@dataclass(frozen=True, slots=True)
class AlertInputs:
    """What is known of one source. ``runs`` are its last runs' ``(status, error)``, the newest first."""

    source: Source
    now: datetime
    read_at: datetime
    runs: Sequence[tuple[str, str | None]] = ()
    pause: PauseReason | None = None
    incomplete: str | None = None  # the sentence of a stream that is incomplete
    new_rejects: int = 0
    new_drift: Sequence[tuple[str, str]] = ()  # field and kind
    periods: Sequence[Period] = ()
    columns: Sequence[EmptyColumn] = ()


@dataclass(frozen=True, slots=True)
class Alert:
    """What is wrong with a source, in a sentence that shows none of its data."""

    source: str
    kind: AlertKind
    message: str

    @property
    def hint(self) -> str:
        """What to do about it."""
        return HINTS[self.kind].format(source=self.source)


def evaluate(inputs: AlertInputs) -> list[Alert]:
    """The alerts that fire now. Of a cause and its consequences only the cause is reported."""
    causes = {
        AlertKind.CREDENTIALS: _credentials(inputs),
        AlertKind.FAILING: _failing(inputs),
        AlertKind.STALE: _stale(inputs),
        AlertKind.NO_CALLS: _no_calls(inputs.periods),
    }
    first = next((kind for kind, message in causes.items() if message), None)
    found = {
        AlertKind.INCOMPLETE: inputs.incomplete,
        AlertKind.QUARANTINE: _quarantine(inputs),
        AlertKind.DRIFT: _drift(inputs),
    }
    if first is not None:
        found[first] = causes[first]
    return [Alert(inputs.source.name, kind, message) for kind, message in found.items() if message]


def _credentials(inputs: AlertInputs) -> str | None:
    return f"paused: {inputs.pause.problem}" if inputs.pause and inputs.pause.needs_action else None


def _failing(inputs: AlertInputs) -> str | None:
    last = [run for run in inputs.runs if run[0] != "interrupted"][:FAILED_RUNS]
    if len(last) < FAILED_RUNS or any(status != "failed" for status, _ in last):
        return None
    return f"the last {FAILED_RUNS} runs failed, the newest with: {last[0][1] or 'no error message'}"


def _stale(inputs: AlertInputs) -> str | None:
    if inputs.now <= freshness_deadline(inputs.source, inputs.read_at):
        return None
    return f"last read {inputs.read_at:%Y-%m-%d %H:%M} UTC; its schedule is {inputs.source.schedule}"


def _quarantine(inputs: AlertInputs) -> str | None:
    if inputs.new_rejects < NEW_REJECTS:
        return None
    return f"{inputs.new_rejects} records of the last day could not be loaded"


def _drift(inputs: AlertInputs) -> str | None:
    new = [f"{field} ({kind.replace('_', ' ')})" for field, kind in inputs.new_drift]
    empty = [f"{column.column} (empty)" for column in inputs.columns if went_empty(column)]
    changes = [*new, *empty]
    more = f" and {len(changes) - 5} more" if len(changes) > 5 else ""
    return f"the provider's records changed: {', '.join(changes[:5])}{more}" if changes else None


def went_empty(column: EmptyColumn) -> bool:
    """Whether an empty column nearly always had a value before."""
    if column.calls < MIN_CALLS or column.calls_before < MIN_CALLS:
        return False
    return column.filled_before >= USUALLY_FILLED * column.calls_before


def _no_calls(periods: Sequence[Period]) -> str | None:
    silent = [period for period in periods if is_silent(period)]
    if not silent:
        return None
    longest = max(silent, key=lambda period: period.hours)
    usual = sum(longest.before) // len(longest.before)
    return f"no call in the last {longest.hours} h; the same hours of the last {WEEKS} weeks had {usual} on average"


def is_silent(period: Period) -> bool:
    """Whether there is no call now, although each of the weeks before had enough to rule out chance."""
    if period.now or len(period.before) < WEEKS:
        return False
    return min(period.before) >= LEAST_CALLS and sum(period.before) >= USUAL_CALLS * len(period.before)
