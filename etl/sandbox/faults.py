"""A line of text becomes a fault to switch on, and a plan of faults says which of them fire on a request."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from threading import Lock

from etl.sandbox.catalogue import CATALOGUE
from etl.sandbox.effect import Effect, FaultFiring, Firing
from etl.sandbox.http_messages import VendorRequest
from etl.sandbox.value_faults import mixed
from etl.sandbox.vendor import Vendor
from etl.sandbox.world import World

COMMON = ("every", "nth", "first", "rate", "provider", "path", "variant")
# What happens, and to which providers, by id.
FAULTS: dict[str, tuple[str, tuple[str, ...]]] = {
    fault_id: (entry.sentence, entry.providers) for fault_id, entry in CATALOGUE.items()
}
TEXTS = ("provider", "path", "variant", "phone", "after", "to")


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the catalogue, switched on. Of the requests that `provider` and `path` (a part of it) choose, it fires
    on each `every`-th, on the `nth` alone, on the `first` few, or on a share of `rate`; 0 and "" choose nothing."""

    fault_id: str
    every: int = 1
    nth: int = 0
    first: int = 0
    rate: float = 1.0
    provider: str = ""
    path: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


def parse_fault(text: str) -> Fault:
    """`H01`, `H01:every=7` or `G12:size=5,provider=vaani,variant=silent` as a fault.

    Raises ValueError, which says what is wrong and what would be right.
    """
    fault_id, _, rest = text.strip().partition(":")
    if fault_id not in CATALOGUE:
        raise ValueError(f"unknown fault {fault_id!r}: one of {', '.join(CATALOGUE)}")
    entry = CATALOGUE[fault_id]
    said: dict[str, str] = {}
    for part in filter(None, rest.split(",")):
        name, equals, value = part.partition("=")
        if name not in (*COMMON, *entry.options) or not equals:
            known = ", ".join(f"{each}=" for each in dict.fromkeys((*entry.options, *COMMON)))
            raise ValueError(f"fault {fault_id} cannot read {part!r}: options are {known}")
        said[name] = value
    _check(fault_id, said)
    # When it fires is the user's choice as a whole, or the catalogue's.
    is_timed = any(name in said for name in ("every", "nth", "first", "rate"))
    return _fault(fault_id, {**(_untimed(entry.defaults) if is_timed else entry.defaults), **said})


def _untimed(defaults: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in defaults.items() if name not in ("every", "nth", "first", "rate")}


def _check(fault_id: str, said: Mapping[str, str]) -> None:
    entry = CATALOGUE[fault_id]
    for name, value in said.items():
        if name == "rate":
            _share(fault_id, value)
        elif name == "variant" and value not in entry.variants:
            raise ValueError(f"fault {fault_id} has no variant {value!r}: one of {', '.join(entry.variants)}")
        elif name == "provider" and value not in entry.providers:
            raise ValueError(f"fault {fault_id} is not one of {value!r}: one of {', '.join(entry.providers)}")
        elif (name not in TEXTS or (name, fault_id) == ("after", "H02")) and not (
            value.isascii() and value.isdecimal() and 0 < len(value) < 12
        ):
            raise ValueError(f"fault {fault_id}: {name}={value!r} is no whole number")
        elif name in ("every", "in") and int(value) == 0:
            raise ValueError(f"fault {fault_id}: {name} counts from 1")


def _share(fault_id: str, value: str) -> None:
    try:
        is_share = 0 <= float(value) <= 1
    except ValueError:
        is_share = False
    if not is_share:
        raise ValueError(f"fault {fault_id}: rate={value!r} is no share between 0 and 1")


def _fault(fault_id: str, said: Mapping[str, str]) -> Fault:
    options = {name: value for name, value in said.items() if name not in COMMON or name == "variant"}
    return Fault(
        fault_id, int(said.get("every", 1)), int(said.get("nth", 0)), int(said.get("first", 0)),
        float(said.get("rate", 1)), said.get("provider", ""), said.get("path", ""), options,
    )  # fmt: skip


class FaultPlan:
    """The faults that are switched on, and how often each was asked about and fired, per provider."""

    def __init__(self, world: World, faults: Sequence[Fault] = ()) -> None:
        self._world, self._faults, self._lock = world, tuple(faults), Lock()
        self._asked: Counter[tuple[int, str]] = Counter()
        self._fired: Counter[tuple[int, str]] = Counter()

    def firing(self, source: Vendor, request: VendorRequest) -> list[Firing]:
        """The faults that fire on this request, in the order in which they were named."""
        with self._lock:
            hits = (self._hit(place, fault, source, request) for place, fault in enumerate(self._faults))
            return [hit for hit in hits if hit is not None]

    def _hit(self, place: int, fault: Fault, source: Vendor, request: VendorRequest) -> Firing | None:
        if not _concerns(fault, source, request):
            return None
        key = (place, source.name)
        self._asked[key] += 1
        draw = Random(f"{self._world.seed}/{fault.fault_id}/{source.name}/{self._asked[key]}")
        if not _is_due(fault, self._asked[key], draw):
            return None
        count = self._fired[key]
        self._fired[key] += 1
        return _variant(fault, count), FaultFiring(
            fault.fault_id, source, request, count, fault.options, draw, self._world
        )


def _variant(fault: Fault, count: int) -> Effect:
    """The variant asked for; else answers fail in turn, a list keeps to one manner, each spoilt record to its own."""
    variants = CATALOGUE[fault.fault_id].variants
    if name := fault.options.get("variant"):
        return variants[name]
    if fault.fault_id[0] == "V":
        return mixed(fault.fault_id, tuple(variants.values()))
    return tuple(variants.values())[count % len(variants) if fault.fault_id[0] == "H" else 0]


def _concerns(fault: Fault, source: Vendor, request: VendorRequest) -> bool:
    """Pages and values belong to lists: a request for one transcript does not count there."""
    if fault.provider not in ("", source.name) or source.name not in CATALOGUE[fault.fault_id].providers:
        return False
    return fault.path in request.path and (fault.fault_id[0] == "H" or request.path == source.path)


def _is_due(fault: Fault, count: int, draw: Random) -> bool:
    if fault.nth and count != fault.nth:
        return False
    if fault.first and count > fault.first:
        return False
    return count % fault.every == 0 and draw.random() < fault.rate
