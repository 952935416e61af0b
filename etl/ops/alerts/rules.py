"""What the books say of one source → the alerts that stand, as values; no clock and no database is looked at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from etl.model import Source
from etl.ops.health import freshness_deadline

FAILED_RUNS = 3
NEW_REJECTS = 10  # records a day
FEWEST_CALLS = 20  # of a day, before an empty field says anything
USUALLY = 0.9
WEEKS = 4
USUAL_CALLS, LEAST_CALLS = 10, 3  # in the mean of the weeks, and in each of them

# How long a state has to last before anybody is told: what the next runs mend is no news.
PATIENCE: Mapping[str, timedelta] = {
    "failing": timedelta(0),
    "stale": timedelta(minutes=5),
    "incomplete": timedelta(hours=6),
    "credentials": timedelta(0),
    "quarantine": timedelta(0),
    "drift": timedelta(0),
    "silence": timedelta(0),
}
DO: Mapping[str, str] = {
    "failing": "`etl check` says what to mend; the next run goes on from where the last came",
    "stale": "is the daemon up, and the provider? `etl status` shows the last run and the next",
    "incomplete": "`etl verify {source} --heal`; if it stays, `etl backfill {source} --from DAY --again`",
    "credentials": "put a new key in place, or pay; then `etl sync {source}` tries at once. The other sources go on",
    "quarantine": "`etl quarantine list {source}` says why; nothing is lost: upgrade, then `etl quarantine retry`",
    "drift": "`SELECT * FROM ops.schema_drift` shows what came. Nothing is lost: upgrade, then `etl replay` fills the columns",
    "silence": "look at the provider's own page. Calls there: is this that account's key? None: ask who runs them",
}


@dataclass(frozen=True, slots=True)
class Period:
    """How many calls one stretch of hours held, and the same hours of the weeks before, the latest first."""

    hours: int
    now: int
    before: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Filled:
    """Of how many calls of a day a column is filled, and of how many of the days before."""

    column: str
    calls: int
    filled: int
    calls_before: int
    filled_before: int


@dataclass(frozen=True, slots=True)
class AlertInputs:
    """What is known of one source. ``endings`` are its last runs' ``(status, error)``, the newest first."""

    source: Source
    now: datetime
    read_at: datetime
    endings: Sequence[tuple[str, str | None]] = ()
    refused: str | None = None  # why the provider lets nobody in
    missing: str | None = None
    new_rejects: int = 0
    new_drift: Sequence[tuple[str, str]] = ()  # field and kind
    spans: Sequence[Period] = ()
    columns: Sequence[Filled] = ()


@dataclass(frozen=True, slots=True)
class Alert:
    """What is wrong with a source, in words that hold nobody's data."""

    source: str
    kind: str
    message: str

    @property
    def hint(self) -> str:
        """What to do."""
        return DO[self.kind].format(source=self.source)


def evaluate(inputs: AlertInputs) -> list[Alert]:
    """The alerts that stand now. Of a cause and what follows from it only the cause is said."""
    causes = {
        "credentials": f"set aside: {inputs.refused}" if inputs.refused else None,
        "failing": _failing(inputs),
        "stale": _stale(inputs),
        "silence": _silence(inputs.spans),
    }
    first = next((kind for kind, said in causes.items() if said), None)
    found = {"incomplete": inputs.missing, "quarantine": _quarantine(inputs), "drift": _drift(inputs)}
    if first is not None:
        found[first] = causes[first]
    return [Alert(inputs.source.name, kind, said) for kind, said in found.items() if said]


def _failing(inputs: AlertInputs) -> str | None:
    last = [ending for ending in inputs.endings if ending[0] != "interrupted"][:FAILED_RUNS]
    if len(last) < FAILED_RUNS or any(status != "failed" for status, _ in last):
        return None
    return f"{FAILED_RUNS} runs failed one after the other, the last so: {last[0][1] or 'no reason is known'}"


def _stale(inputs: AlertInputs) -> str | None:
    if inputs.now <= freshness_deadline(inputs.source, inputs.read_at):
        return None
    return f"not read since {inputs.read_at:%Y-%m-%d %H:%M} UTC, though its schedule is {inputs.source.schedule}"


def _quarantine(inputs: AlertInputs) -> str | None:
    if inputs.new_rejects < NEW_REJECTS:
        return None
    return f"{inputs.new_rejects} new records of the last day could not become rows"


def _drift(inputs: AlertInputs) -> str | None:
    new = [f"{field} ({kind.replace('_', ' ')})" for field, kind in inputs.new_drift]
    empty = [f"{each.column} (empty)" for each in inputs.columns if went_empty(each)]
    said = [*new, *empty]
    more = f" and {len(said) - 5} more" if len(said) > 5 else ""
    return f"the provider sends something else than before: {', '.join(said[:5])}{more}" if said else None


def went_empty(each: Filled) -> bool:
    """Whether a column that was nearly always filled is filled in none of a day's calls."""
    if each.calls < FEWEST_CALLS or each.calls_before < FEWEST_CALLS:
        return False
    return each.filled == 0 and each.filled_before >= USUALLY * each.calls_before


def _silence(spans: Sequence[Period]) -> str | None:
    silent = [span for span in spans if is_silent(span)]
    if not silent:
        return None
    longest = max(silent, key=lambda span: span.hours)
    usual = sum(longest.before) // len(longest.before)
    return f"not one call in {longest.hours} h, where the same hours of the last {WEEKS} weeks had {usual} in the mean"


def is_silent(span: Period) -> bool:
    """Whether hours without a call had calls in every one of the weeks before, and so many that chance is no reason."""
    if span.now or len(span.before) < WEEKS:
        return False
    return min(span.before) >= LEAST_CALLS and sum(span.before) >= USUAL_CALLS * len(span.before)
