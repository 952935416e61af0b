"""A seed → four providers' finished calls, printed once as the sandbox prints them, and what is true of them."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from etl.sandbox import vaani
from etl.sandbox.expected import expected_rows
from etl.sandbox.http_messages import to_json
from etl.sandbox.simulated_call import SimulatedCall
from etl.sandbox.vendor import CallSnapshot
from etl.sandbox.vendor_api import VENDORS
from etl.sandbox.world import World

SEED = 7
END = datetime(2025, 5, 1, 12, tzinfo=UTC)  # long enough ago that every call is settled
DAYS = 365
ANSWERED = ("completed", "transferred")
APART = "apart"  # Vaani once more, whose transcripts take a request each


@dataclass(frozen=True, slots=True)
class Listed:
    """One call of a list: when it was made, by whom and to whom, and its record as printed."""

    created_at: datetime
    phones: tuple[str, str]
    call_id: str
    record: bytes


def world(calls: int) -> World:
    """So many calls per provider, all of them over for a month."""
    now = END + timedelta(days=30)
    return World(SEED, calls=calls, days=DAYS, now=END, clock=lambda: now)


def printed(of: World, name: str) -> Iterator[Listed]:
    """A provider's list, newest first."""
    provider = VENDORS["vaani" if name == APART else name]
    variant = "transcripts" if name == "ravan" else ""
    for call in reversed(of.calls(provider.name)):
        state = of.snapshot(call, of.now())
        record = provider.render(state, variant)
        if provider.name == "vaani":
            record["chat_history"] = [] if name == APART else _chat(state)
        yield Listed(call.created_at, (call.caller, call.callee), call.call_id, to_json(record))


def _chat(state: CallSnapshot) -> list[dict[str, str]]:
    return [{"role": vaani.LABELS[turn.speaker].lower(), "content": turn.text} for turn in state.lifecycle.turns]


def transcripts(of: World) -> Iterator[tuple[str, bytes]]:
    """The id of each Vaani call, and the answer to a request for its transcript."""
    for call in of.calls("vaani"):
        yield call.call_id, vaani.detail(of.snapshot(call, of.now())).body


@dataclass(frozen=True, slots=True)
class Digest:
    """What a table of calls, or of turns, comes down to, so that two of them can be compared."""

    calls: int
    ids: str
    cost: Decimal
    turns: int
    words: str
    days: str  # the sums of each day, as rollups keep them


def expected(of: World, name: str, phones: Iterable[str] = ()) -> Digest:
    """What a source must hold in the end; of Ravan the calls of these phones alone."""
    wanted = {call.call_id for call in of.calls("vaani" if name == APART else name) if _is_listed(call, phones)}
    rows = [row for row in expected_rows(of, "vaani" if name == APART else name) if row["provider_call_id"] in wanted]
    return Digest(
        len(rows),
        md5(sorted(str(row["provider_call_id"]) for row in rows)),
        sum((_decimal(row["cost"]) for row in rows), Decimal(0)),
        *_spoken(rows),
        md5(_by_day(rows)),
    )


def _spoken(rows: list[dict[str, Any]]) -> tuple[int, str]:
    said = [f"{row['provider_call_id']}:{n}:{text}" for row in rows for n, (_, text) in enumerate(row["turns"])]
    return len(said), md5(sorted(said))


def _by_day(rows: list[dict[str, Any]]) -> list[str]:
    days: dict[date, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 4)
    for row in rows:
        is_answered = row["answered_at"] is not None or row["outcome"] in ANSWERED
        counted = Decimal(1), Decimal(is_answered), _decimal(row["duration_seconds"]), _decimal(row["cost"])
        day = row["created_at"].astimezone(UTC).date()
        days[day] = [before + more for before, more in zip(days[day], counted, strict=True)]
    return [":".join([str(day), *map(plain, sums)]) for day, sums in sorted(days.items())]


def _is_listed(call: SimulatedCall, phones: Iterable[str]) -> bool:
    return not phones or bool({call.caller, call.callee} & set(phones))


def _decimal(value: object) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(0)


def md5(lines: Iterable[str]) -> str:
    """The digest that PostgreSQL's ``md5(string_agg(line, chr(10) ORDER BY line COLLATE "C"))`` gives."""
    return hashlib.md5("\n".join(lines).encode(), usedforsecurity=False).hexdigest()


def plain(number: Decimal) -> str:
    """A number as PostgreSQL's ``trim_scale`` shows it."""
    return f"{number.normalize():f}"


def as_values(digest: Digest) -> dict[str, Any]:
    """A digest as JSON can hold it."""
    return {name: plain(value) if isinstance(value, Decimal) else value for name, value in asdict(digest).items()}


def received(calls: int) -> int:
    """The bytes of all records of the four lists."""
    of = world(calls)
    return sum(len(each.record) for name in VENDORS for each in printed(of, name))
