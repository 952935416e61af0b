"""A line of text → a fault to switch on, and a plan of faults → those that fire on a request."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from threading import Lock

from etl.sandbox.catalogue import CATALOGUE
from etl.sandbox.effect import Effect, FaultFiring
from etl.sandbox.http_messages import VendorRequest
from etl.sandbox.value_faults import mixed
from etl.sandbox.vendor import Vendor
from etl.sandbox.world import World

TIMING = ("every", "nth", "first")
COMMON = (*TIMING, "provider", "variant")
TEXTS = ("provider", "variant", "phone", "after", "to")


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the catalogue, switched on.

    It fires on each `every`-th request to `provider`, on the `nth` alone, or on the `first` few; 0 and "" choose all.
    """

    fault_id: str
    every: int = 1
    nth: int = 0
    first: int = 0
    provider: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


def parse_fault(text: str) -> Fault:
    """A fault from `H01`, `H01:every=7` or `G12:size=5,provider=vaani,variant=silent`.

    Raises ValueError, which says what is wrong and what would be right.
    """
    fault_id, _, rest = text.strip().partition(":")
    if fault_id not in CATALOGUE:
        raise ValueError(f"unknown fault {fault_id!r}: one of {', '.join(CATALOGUE)}")
    entry = CATALOGUE[fault_id]
    given: dict[str, str] = {}
    for part in filter(None, rest.split(",")):
        name, equals, value = part.partition("=")
        if name not in (*COMMON, *entry.options) or not equals:
            known = ", ".join(f"{option}=" for option in dict.fromkeys((*entry.options, *COMMON)))
            raise ValueError(f"fault {fault_id} cannot read {part!r}: options are {known}")
        _check(fault_id, name, value)
        given[name] = value
    # A timing that is given replaces the whole timing of the catalogue.
    is_timed = not given.keys().isdisjoint(TIMING)
    defaults = {name: value for name, value in entry.options.items() if value and not (is_timed and name in TIMING)}
    options = {**defaults, **given}
    every, nth, first = (int(options.pop(name, default)) for name, default in zip(TIMING, (1, 0, 0), strict=True))
    return Fault(fault_id, every, nth, first, options.pop("provider", ""), options)


def _check(fault_id: str, name: str, value: str) -> None:
    entry = CATALOGUE[fault_id]
    digits = value.removeprefix("-") if name == "minutes" else value
    is_number = digits.isascii() and digits.isdecimal() and 0 < len(digits) < 12
    if name == "variant" and value not in entry.variants:
        raise ValueError(f"fault {fault_id} has no variant {value!r}: one of {', '.join(entry.variants)}")
    if name == "provider" and value not in entry.providers:
        raise ValueError(f"fault {fault_id} is not one of {value!r}: one of {', '.join(entry.providers)}")
    if not is_number and (name not in TEXTS or (name, fault_id) == ("after", "H02")):
        raise ValueError(f"fault {fault_id}: {name}={value!r} is no whole number")
    if name in ("every", "in") and int(value) == 0:
        raise ValueError(f"fault {fault_id}: {name} counts from 1")


class FaultPlan:
    """The faults that are switched on, and how many requests each has matched and fired on, per provider."""

    def __init__(self, world: World, faults: Sequence[Fault] = ()) -> None:
        self._world, self._faults, self._lock = world, tuple(faults), Lock()
        self._matched: Counter[tuple[int, str]] = Counter()
        self._fired: Counter[tuple[int, str]] = Counter()

    def firings(self, vendor: Vendor, request: VendorRequest) -> list[FaultFiring]:
        """The faults that fire on this request, in the order in which they were given."""
        with self._lock:
            return list(self._fire(vendor, request))

    def _fire(self, vendor: Vendor, request: VendorRequest) -> Iterator[FaultFiring]:
        matching = [(index, fault) for index, fault in enumerate(self._faults) if _matches(fault, vendor, request)]
        for index, fault in matching:
            self._matched[key := (index, vendor.name)] += 1
            number, count = self._matched[key], self._fired[key]
            if (fault.nth and number != fault.nth) or (fault.first and number > fault.first) or number % fault.every:
                continue
            self._fired[key] += 1
            draw, effect = Random(f"{self._world.seed}/{fault.fault_id}/{vendor.name}/{number}"), _effect(fault, count)
            yield FaultFiring(fault.fault_id, effect, vendor, request, count, fault.options, draw, self._world)


def _matches(fault: Fault, vendor: Vendor, request: VendorRequest) -> bool:
    """Whether the fault can fire: those of pages and values only on lists, not on a request for one call."""
    if fault.provider not in ("", vendor.name) or vendor.name not in CATALOGUE[fault.fault_id].providers:
        return False
    return fault.fault_id[0] == "H" or request.path == vendor.path


def _effect(fault: Fault, count: int) -> Effect:
    """The variant that was chosen; without a choice H faults take turns, G faults keep to the first, V faults mix."""
    variants = CATALOGUE[fault.fault_id].variants
    if name := fault.options.get("variant"):
        return variants[name]
    if fault.fault_id[0] == "V":
        return mixed(fault.fault_id, tuple(variants.values()))
    return tuple(variants.values())[count % len(variants) if fault.fault_id[0] == "H" else 0]
