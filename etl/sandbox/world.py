"""A seed becomes four providers' calls over a stretch of days, and goes on becoming them as its clock goes on."""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from random import Random
from threading import RLock
from typing import TypeVar

from etl.sandbox.lifecycle import Lifecycle, lifecycle, with_overrides
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
STORY_FACTS = frozenset(each.name for each in fields(Lifecycle))


class World:
    """Calls per provider, a pure function of the seed and of what was done by hand, seen through `clock` (UTC).

    `calls` of them lie in the `days` before `now`, the last few still live; after `now` they arrive at `per_hour`.
    `calls`, `order` and `per_hour` are one value for all or a mapping by provider. Without a clock the time stands at
    `now`. Raises ValueError for an unknown order or provider, no phone, fewer
    than 0 calls or no days. Safe to share between threads.
    """

    def __init__(
        self, seed: int = 1, *, calls: int | Mapping[str, int] = 100, days: float = 30,
        order: str | Mapping[str, str] = "desc", now: datetime | None = None,
        clock: Callable[[], datetime] | None = None, per_hour: float | Mapping[str, float] = 0.0,
        phones: Sequence[str] = LINES, manner: Quirks | None = None,
    ) -> None:  # fmt: skip
        self.seed, self.phones, self.manner = seed, tuple(phones), manner or Quirks()
        self.start = now or (clock() if clock else NOON)
        self.clock = clock or (lambda: self.start)
        self._order, self._per_hour = _by_provider(order, "desc"), _by_provider(per_hour, 0.0)
        for each in sorted(self._order.values()):
            _known_order(each)
        if not self.phones or days <= 0 or min(_by_provider(calls, 0).values()) < 0:
            raise ValueError("a world has at least one phone, no fewer than 0 calls and more than 0 days")
        self.lock = RLock()
        self._people = customers(seed, 400)
        self._calls: dict[str, dict[str, SimulatedCall]] = {name: {} for name in PROVIDERS}
        self._traffic = {name: Random(f"{seed}/{name}/traffic") for name in PROVIDERS}
        self._next_at = {name: self._gap(name, self.start) for name in PROVIDERS}
        self._version, self._asked = 0, dict.fromkeys(PROVIDERS, 0)
        self._views: dict[object, tuple[datetime, datetime, list[SimulatedCall]]] = {}
        for name, count in _by_provider(calls, 0).items():
            self._found(name, count, days)

    def now(self) -> datetime:
        """The world's time, in UTC."""
        return self.clock().astimezone(UTC)

    def calls(self, provider: str, at: datetime | None = None) -> list[SimulatedCall]:
        """What the provider lists at that moment (now by default), oldest first."""
        moment = at or self.now()
        with self.lock:
            self._grow(provider, moment)
            return list(self._view((provider, "asc", ()), provider, moment, lambda call: True))

    def listed(
        self, provider: str, at: datetime, keep: Callable[[SimulatedCall], bool], by: tuple[object, ...] = ()
    ) -> Sequence[SimulatedCall]:
        """What one list request sees, in the provider's order; `by` names the filter `keep`."""
        with self.lock:
            self._grow(provider, at)
            order = self._order[provider]
            self._asked[provider] += 1
            calls = self._view((provider, order, by), provider, at, keep)
            if order != "reshuffled":
                return calls
            shuffled = list(calls)
            Random(f"{self.seed}/{provider}/{self._asked[provider]}").shuffle(shuffled)
            return shuffled

    def find(self, provider: str, call_id: str, at: datetime | None = None) -> SimulatedCall | None:
        """The call of that id as listed at that moment, or None."""
        with self.lock:
            self._grow(provider, at or self.now())
            call = self._calls[provider].get(call_id)
            return call if call and call.listed_at(at or self.now()) else None

    def seen(self, call: SimulatedCall, at: datetime) -> CallSnapshot:
        """The call as it stands at that moment."""
        told = with_overrides(lifecycle(self.seed, call), call, at)
        return CallSnapshot(call, told, told.stage(at), at)

    def add(
        self, provider: str, created_at: datetime | None = None, *, kind: str = "outbound", **facts: object
    ) -> SimulatedCall:
        """A new call, listed from now on; created now, or earlier where it shows up late. Facts are a Story's."""
        now = self.now()
        with self.lock:
            self._grow(provider, now)
            draw = Random(f"{self.seed}/{provider}/arrival/{len(self._calls[provider])}")
            call = self._made(provider, draw, _shown_moment(provider, draw, created_at or now), kind)
            return self._put(replace(call, appears_at=now, told=self._telling(call, call.created_at, facts)))

    def delete(self, provider: str, call_id: str) -> SimulatedCall:
        """The provider lists the call no more, from now on."""
        with self.lock:
            return self._put(replace(self._known(provider, call_id), vanishes_at=self.now()))

    def restore(self, provider: str, call_id: str) -> SimulatedCall:
        """The provider lists a call that had vanished, from now on."""
        with self.lock:
            return self._put(replace(self._known(provider, call_id), vanishes_at=None))

    def change(self, provider: str, call_id: str, **facts: object) -> SimulatedCall:
        """From now on these facts of the call's story are the true ones. ValueError where a Story has no such fact."""
        with self.lock:
            call = self._known(provider, call_id)
            return self._put(replace(call, told=self._telling(call, self.now(), facts)))

    def order(self, provider: str) -> str:
        """The order in which the provider lists its calls now."""
        return self._order[provider]

    def reorder(self, provider: str, order: str) -> None:
        """From now on the provider lists its calls in this order. Raises ValueError for an unknown one."""
        with self.lock:
            self._order[provider] = _known_order(order)

    def share_instant(self, provider: str) -> None:
        """Gives all calls of a provider the creation time of the middle one."""
        with self.lock:
            calls = self.calls(provider)
            for call in calls:
                self._put(replace(call, created_at=calls[len(calls) // 2].created_at))

    def _found(self, provider: str, count: int, days: float) -> None:
        draw = Random(f"{self.seed}/{provider}/history")
        live = min(5, count // 20)
        moments = [self._past(draw, days) for _ in range(count - live)]
        moments += [self.start - timedelta(seconds=draw.uniform(3, 40)) for _ in range(live)]
        for moment in sorted(moments):
            self._put(self._made(provider, draw, _shown_moment(provider, draw, moment)))

    def _past(self, draw: Random, days: float) -> datetime:
        # Most calls fall in India's working hours, 03 to 15 UTC: a moment outside them is mostly drawn again.
        for _ in range(3):
            moment = self.start - timedelta(seconds=draw.uniform(60, days * 86_400))
            if 3 <= moment.hour < 15 or draw.random() < 0.2:
                break
        return moment

    def _made(self, provider: str, draw: Random, created: datetime, kind: str | None = None) -> SimulatedCall:
        number = len(self._calls[provider]) + 1
        weights = KINDS[provider]
        kind = kind or draw.choices(tuple(weights), tuple(weights.values()))[0]
        line, customer = draw.choice(self.phones), draw.choice(self._people)
        if kind == "internal":
            others = [phone for phone in self.phones if phone != line] or [customer.number]
            customer = Customer("Front Desk", "desk@example.com", draw.choice(others))
        call_id = _call_id(provider, draw, number, kind, created)
        return SimulatedCall(provider, number, call_id, kind, created, created, line, customer)

    def _put(self, call: SimulatedCall) -> SimulatedCall:
        self._calls[call.provider][call.call_id] = call
        self._version += 1
        return call

    def _known(self, provider: str, call_id: str) -> SimulatedCall:
        if call_id not in self._calls[provider]:
            raise ValueError(f"{provider} has no call {call_id!r}")
        return self._calls[provider][call_id]

    def _telling(self, call: SimulatedCall, at: datetime, facts: Mapping[str, object]) -> tuple[Override, ...]:
        if unknown := facts.keys() - STORY_FACTS:
            raise ValueError(f"a story has no {sorted(unknown)[0]!r}: one of {', '.join(sorted(STORY_FACTS))}")
        return (*call.told, Override(at, dict(facts))) if facts else call.told

    def _grow(self, provider: str, at: datetime) -> None:
        while self._next_at[provider] <= at:
            created, draw = self._next_at[provider], self._traffic[provider]
            self._put(self._made(provider, draw, _shown_moment(provider, draw, created)))
            self._next_at[provider] = self._gap(provider, created)

    def _gap(self, provider: str, after: datetime) -> datetime:
        rate = self._per_hour[provider]
        if rate <= 0:
            return datetime.max.replace(tzinfo=UTC)
        return after + timedelta(hours=self._traffic[provider].expovariate(rate))

    def _view(
        self,
        key: tuple[str, str, tuple[object, ...]],
        provider: str,
        at: datetime,
        keep: Callable[[SimulatedCall], bool],
    ) -> list[SimulatedCall]:
        """The calls that one filter lets through, kept until the world changes or a call comes or goes by itself."""
        since, until, calls = self._views.get((self._version, key), (at, at, []))
        if since <= at < until:
            return calls
        every = self._calls[provider].values()
        calls = sorted((call for call in every if call.listed_at(at) and keep(call)), key=self._rank(key[1]))
        if len(self._views) > 32:
            self._views.clear()
        self._views[(self._version, key)] = (at, _next_motion(every, at), calls)
        return calls

    def _rank(self, order: str) -> Callable[[SimulatedCall], tuple[float, int]]:
        sign = -1 if order == "desc" else 1
        if order == "unsorted":
            return lambda call: (call.shape(f"order/{self.seed}", 2**32), call.number)
        return lambda call: (sign * call.created_at.timestamp(), sign * call.number)


def _by_provider(value: T | Mapping[str, T], default: T) -> dict[str, T]:
    if not isinstance(value, Mapping):
        return dict.fromkeys(PROVIDERS, value)
    if unknown := value.keys() - set(PROVIDERS):
        raise ValueError(f"unknown provider {sorted(unknown)[0]!r}: one of {', '.join(PROVIDERS)}")
    return {name: value.get(name, default) for name in PROVIDERS}


def _known_order(order: str) -> str:
    if order not in ORDERS:
        raise ValueError(f"unknown order {order!r}: one of {', '.join(ORDERS)}")
    return order


def _shown_moment(provider: str, draw: Random, moment: datetime) -> datetime:
    """The moment as exactly as the provider shows it: Vaani and half of Ringg's calls to the microsecond."""
    if provider == "vaani" or (provider == "ringg" and draw.random() < 0.5):
        return moment.astimezone(UTC) if moment.microsecond else moment.astimezone(UTC).replace(microsecond=1)
    return moment.astimezone(UTC).replace(microsecond=0)


def _call_id(provider: str, draw: Random, number: int, kind: str, created: datetime) -> str:
    if provider == "autocalls":
        return str(48_210_000 + number)
    if provider == "vaani":
        return f"{kind}-{int(created.timestamp())}-{draw.getrandbits(32):08x}"
    return str(uuid.UUID(int=draw.getrandbits(128), version=4))


def _next_motion(calls: Iterable[SimulatedCall], at: datetime) -> datetime:
    """When a call next comes or goes by itself."""
    motions = (moment for call in calls for moment in (call.appears_at, call.vanishes_at) if moment and moment > at)
    return min(motions, default=datetime.max.replace(tzinfo=UTC))
