"""A seed → the calls of four vendors over some days, and more of them as the clock goes on."""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from random import Random
from threading import RLock
from typing import TypeVar

from etl.sandbox.lifecycle import Lifecycle, draw_lifecycle
from etl.sandbox.personas import LINES, Customer, customers
from etl.sandbox.simulated_call import PROVIDERS, Override, SimulatedCall
from etl.sandbox.vendor import CallSnapshot, Quirks

T = TypeVar("T")
ORDERS = ("desc", "asc", "unsorted", "reshuffled")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
KINDS = {
    "ringg": {"outbound": 70, "inbound": 24, "web": 6},
    "ravan": {"outbound": 66, "inbound": 32, "internal": 2},
    "autocalls": {"outbound": 70, "inbound": 22, "web": 8},
    "vaani": {"outbound": 75, "inbound": 25},
}
CHANGEABLE = frozenset(field.name for field in fields(Lifecycle))


class World:
    """The calls of each provider: a pure function of the seed, the time of `clock` (UTC) and the changes made to it.

    `calls` of them lie in the `days` before `now`, the last few still going on; after `now` they arrive at `per_hour`.
    `calls`, `order` and `per_hour` are one value for all or a mapping by provider. Without a clock the time stands at
    `now`. Raises ValueError for an unknown order or provider, no phone, fewer than 0 calls or no days. Thread-safe.
    """

    def __init__(
        self, seed: int = 1, *, calls: int | Mapping[str, int] = 100, days: float = 30,
        order: str | Mapping[str, str] = "desc", now: datetime | None = None,
        clock: Callable[[], datetime] | None = None, per_hour: float | Mapping[str, float] = 0.0,
        phones: Sequence[str] = LINES, quirks: Quirks | None = None,
    ) -> None:  # fmt: skip
        self.seed, self.phones, self.quirks = seed, tuple(phones), quirks or Quirks()
        self.start = now or (clock() if clock else NOON)
        self.clock = clock or (lambda: self.start)
        self.order = {name: _valid_order(given) for name, given in _by_provider(order, "desc").items()}
        self._per_hour = _by_provider(per_hour, 0.0)
        if not self.phones or days <= 0 or min(_by_provider(calls, 0).values()) < 0:
            raise ValueError("a world has at least one phone, no fewer than 0 calls and more than 0 days")
        self.lock = RLock()
        self._people = customers(seed, 400)
        self._calls: dict[str, dict[str, SimulatedCall]] = {name: {} for name in PROVIDERS}
        self._traffic = {name: Random(f"{seed}/{name}/traffic") for name in PROVIDERS}
        self._next_at = {name: self._next_arrival(name, self.start) for name in PROVIDERS}
        self._version, self._requests = 0, dict.fromkeys(PROVIDERS, 0)
        self._cache: dict[object, tuple[datetime, datetime, list[SimulatedCall]]] = {}
        for name, count in _by_provider(calls, 0).items():
            self._add_history(name, count, days)

    def now(self) -> datetime:
        """The world's time, in UTC."""
        return self.clock().astimezone(UTC)

    def calls(self, provider: str, at: datetime | None = None) -> list[SimulatedCall]:
        """The calls that the provider lists at a moment (now by default), oldest first."""
        moment = at or self.now()
        with self.lock:
            self._add_arrivals(provider, moment)
            return list(self._selected((provider, "asc", ()), moment, lambda call: True))

    def listed(
        self, provider: str, at: datetime, keep: Callable[[SimulatedCall], bool], filters: tuple[object, ...] = ()
    ) -> Sequence[SimulatedCall]:
        """The calls that a list request finds, in the provider's order; `filters` are the values behind `keep`."""
        with self.lock:
            self._add_arrivals(provider, at)
            order = self.order[provider]
            self._requests[provider] += 1
            calls = self._selected((provider, order, filters), at, keep)
            if order != "reshuffled":
                return calls
            shuffled = list(calls)
            Random(f"{self.seed}/{provider}/{self._requests[provider]}").shuffle(shuffled)
            return shuffled

    def find(self, provider: str, call_id: str, at: datetime | None = None) -> SimulatedCall | None:
        """The call with this id, if the provider lists it at that moment."""
        with self.lock:
            self._add_arrivals(provider, at or self.now())
            call = self._calls[provider].get(call_id)
            return call if call and call.listed_at(at or self.now()) else None

    def snapshot(self, call: SimulatedCall, at: datetime) -> CallSnapshot:
        """The call as it stands at that moment."""
        lifecycle = draw_lifecycle(self.seed, call)
        for override in call.overrides:
            if override.at <= at:
                lifecycle = replace(lifecycle, **override.facts)  # type: ignore[arg-type]
        return CallSnapshot(call, lifecycle, lifecycle.stage(at), at)

    def add(
        self, provider: str, created_at: datetime | None = None, *, kind: str = "outbound", **facts: object
    ) -> SimulatedCall:
        """Adds a call that is listed from now on, created now or earlier; `facts` are fields of its Lifecycle."""
        now = self.now()
        with self.lock:
            self._add_arrivals(provider, now)
            draw = Random(f"{self.seed}/{provider}/arrival/{len(self._calls[provider])}")
            call = self._new_call(provider, draw, created_at or now, kind)
            return self._store(replace(call, listed_from=now, overrides=self._overrides(call, call.created_at, facts)))

    def delete(self, provider: str, call_id: str) -> SimulatedCall:
        """Deletes a call from the provider's list, from now on."""
        with self.lock:
            return self._store(replace(self._get(provider, call_id), delisted_at=self.now()))

    def restore(self, provider: str, call_id: str) -> SimulatedCall:
        """Lists a deleted call again, from now on."""
        with self.lock:
            return self._store(replace(self._get(provider, call_id), delisted_at=None))

    def change(self, provider: str, call_id: str, **facts: object) -> SimulatedCall:
        """Changes fields of a call's Lifecycle, from now on. Raises ValueError for an unknown field."""
        with self.lock:
            call = self._get(provider, call_id)
            return self._store(replace(call, overrides=self._overrides(call, self.now(), facts)))

    def reorder(self, provider: str, order: str) -> None:
        """Changes the order of the provider's list, from now on. Raises ValueError for an unknown one."""
        with self.lock:
            self.order[provider] = _valid_order(order)

    def set_equal_times(self, provider: str) -> None:
        """Gives all calls of a provider the creation time of the middle one."""
        with self.lock:
            calls = self.calls(provider)
            for call in calls:
                self._store(replace(call, created_at=calls[len(calls) // 2].created_at))

    def _add_history(self, provider: str, count: int, days: float) -> None:
        draw = Random(f"{self.seed}/{provider}/history")
        live = min(5, count // 20)
        moments = [self._past_moment(draw, days) for _ in range(count - live)]
        moments += [self.start - timedelta(seconds=draw.uniform(3, 40)) for _ in range(live)]
        for moment in sorted(moments):
            self._store(self._new_call(provider, draw, moment))

    def _past_moment(self, draw: Random, days: float) -> datetime:
        # Most calls are in India's working hours, 03 to 15 UTC.
        for _ in range(3):
            moment = self.start - timedelta(seconds=draw.uniform(60, days * 86_400))
            if 3 <= moment.hour < 15 or draw.random() < 0.2:
                break
        return moment

    def _new_call(self, provider: str, draw: Random, moment: datetime, kind: str | None = None) -> SimulatedCall:
        created, number = _as_precise_as(provider, draw, moment), len(self._calls[provider]) + 1
        weights = KINDS[provider]
        kind = kind or draw.choices(tuple(weights), tuple(weights.values()))[0]
        line, customer = draw.choice(self.phones), draw.choice(self._people)
        if kind == "internal":
            others = [phone for phone in self.phones if phone != line] or [customer.number]
            customer = Customer("Front Desk", "desk@example.com", draw.choice(others))
        call_id = _call_id(provider, draw, number, kind, created)
        return SimulatedCall(provider, number, call_id, kind, created, created, line, customer)

    def _store(self, call: SimulatedCall) -> SimulatedCall:
        self._calls[call.provider][call.call_id] = call
        self._version += 1
        return call

    def _get(self, provider: str, call_id: str) -> SimulatedCall:
        if call_id not in self._calls[provider]:
            raise ValueError(f"{provider} has no call {call_id!r}")
        return self._calls[provider][call_id]

    def _overrides(self, call: SimulatedCall, at: datetime, facts: Mapping[str, object]) -> tuple[Override, ...]:
        if unknown := facts.keys() - CHANGEABLE:
            raise ValueError(f"a lifecycle has no {sorted(unknown)[0]!r}: one of {', '.join(sorted(CHANGEABLE))}")
        return (*call.overrides, Override(at, dict(facts))) if facts else call.overrides

    def _add_arrivals(self, provider: str, at: datetime) -> None:
        while self._next_at[provider] <= at:
            created, draw = self._next_at[provider], self._traffic[provider]
            self._store(self._new_call(provider, draw, created))
            self._next_at[provider] = self._next_arrival(provider, created)

    def _next_arrival(self, provider: str, after: datetime) -> datetime:
        rate = self._per_hour[provider]
        if rate <= 0:
            return datetime.max.replace(tzinfo=UTC)
        return after + timedelta(hours=self._traffic[provider].expovariate(rate))

    def _selected(
        self, key: tuple[str, str, tuple[object, ...]], at: datetime, keep: Callable[[SimulatedCall], bool]
    ) -> list[SimulatedCall]:
        """The calls that a filter selects, sorted; cached until the world changes or a call comes or goes by itself."""
        provider, order, _ = key
        since, until, calls = self._cache.get((self._version, key), (at, at, []))
        if since <= at < until:
            return calls
        known = self._calls[provider].values()
        calls = sorted((call for call in known if call.listed_at(at) and keep(call)), key=self._sort_key(order))
        if len(self._cache) > 32:
            self._cache.clear()
        self._cache[(self._version, key)] = (at, _next_change(known, at), calls)
        return calls

    def _sort_key(self, order: str) -> Callable[[SimulatedCall], tuple[float, int]]:
        if order == "unsorted":
            return lambda call: (call.shape(f"order/{self.seed}", 2**32), call.number)
        sign = -1 if order == "desc" else 1
        return lambda call: (sign * call.created_at.timestamp(), sign * call.number)


def _by_provider(value: T | Mapping[str, T], default: T) -> dict[str, T]:
    if not isinstance(value, Mapping):
        return dict.fromkeys(PROVIDERS, value)
    if unknown := value.keys() - set(PROVIDERS):
        raise ValueError(f"unknown provider {sorted(unknown)[0]!r}: one of {', '.join(PROVIDERS)}")
    return {name: value.get(name, default) for name in PROVIDERS}


def _valid_order(order: str) -> str:
    if order not in ORDERS:
        raise ValueError(f"unknown order {order!r}: one of {', '.join(ORDERS)}")
    return order


def _as_precise_as(provider: str, draw: Random, moment: datetime) -> datetime:
    """The moment as the provider shows it: to the second, but Vaani and half of Ringg's calls to the microsecond."""
    if provider == "vaani" or (provider == "ringg" and draw.random() < 0.5):
        return moment.astimezone(UTC) if moment.microsecond else moment.astimezone(UTC).replace(microsecond=1)
    return moment.astimezone(UTC).replace(microsecond=0)


def _call_id(provider: str, draw: Random, number: int, kind: str, created: datetime) -> str:
    if provider == "autocalls":
        return str(48_210_000 + number)
    if provider == "vaani":
        return f"{kind}-{int(created.timestamp())}-{draw.getrandbits(32):08x}"
    return str(uuid.UUID(int=draw.getrandbits(128), version=4))


def _next_change(calls: Iterable[SimulatedCall], at: datetime) -> datetime:
    """When a call is next listed or delisted by itself."""
    changes = (moment for call in calls for moment in (call.listed_from, call.delisted_at) if moment and moment > at)
    return min(changes, default=datetime.max.replace(tzinfo=UTC))
