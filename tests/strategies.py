"""Draws schedules: a list of some order and manner, the runs that read it, and what happens between two requests."""

from dataclasses import dataclass

from hypothesis import strategies as st

from tests.harness import PROVIDERS

ORDERS = ("desc", "asc", "unsorted")
CLAMPS = tuple(f"G12:size={size},variant={how}" for size in (3, 5, 8, 8) for how in ("clamped", "clamped", "silent"))
TOTALS = ("G07:variant=absent", "G07:variant=zero", "G07:variant=lower", "G07:variant=differs")
ONCE = (
    "G01:variant=twice", "G01:variant=overlap", "G08", "G09", "G10:variant=stuck", "G10:variant=same",
    "G10:variant=alternating", "G11", "G15", "G16",
)  # fmt: skip

Motion = tuple[str, object]  # what happens, and to what or how much


@dataclass(frozen=True)
class Act:
    """One run, so many minutes after the one before, and what happens before its requests, counted from 1."""

    kind: str  # sync, scheduled or backfill
    minutes: int
    motions: tuple[tuple[int, Motion], ...] = ()


@dataclass(frozen=True)
class Schedule:
    """A list of so many calls over so many days, shown in some order and manner, and the runs that read it."""

    provider: str
    order: str
    calls: int
    days: int
    clamp: str
    total: str = ""  # as it is, where nothing is said
    acts: tuple[Act, ...] = (Act("sync", 0),)
    seed: int = 1


MOTIONS = st.one_of(
    st.tuples(st.just("arrive"), st.integers(1, 4)),
    st.tuples(st.just("vanish"), st.integers(0, 60)),
    st.tuples(st.just("vanish newest"), st.integers(0, 10)),
    st.tuples(st.just("change"), st.integers(0, 60)),
    st.tuples(st.just("late"), st.integers(1, 120)),  # hours
    st.tuples(st.just("wait"), st.sampled_from((11, 70, 1000))),  # seconds
    st.tuples(st.just("kill"), st.just(0)),
    st.tuples(st.just("once"), st.sampled_from(ONCE)),
    st.tuples(st.just("clamp"), st.sampled_from(CLAMPS)),
    st.tuples(st.just("total"), st.sampled_from((*[""] * 9, *TOTALS))),
    st.tuples(st.just("reorder"), st.sampled_from((*ORDERS * 3, "reshuffled"))),
    st.tuples(st.just("second"), st.sampled_from(("sync", "backfill"))),
    st.tuples(st.just("sleeper"), st.sampled_from(("sync", "backfill"))),
)
ACTS = st.builds(
    Act,
    st.sampled_from(("sync", "scheduled", "backfill")),
    st.sampled_from((0, 5, 20, 61, 400, 1500)),
    st.lists(st.tuples(st.integers(1, 12), MOTIONS), max_size=5).map(tuple),
)


def schedules(runs: int) -> st.SearchStrategy[Schedule]:
    """Schedules of so many runs at most."""
    return st.builds(
        Schedule,
        st.sampled_from(PROVIDERS),
        st.sampled_from((*ORDERS, "desc")),  # the most usual one twice
        st.integers(0, 24),
        st.sampled_from((1, 5, 12)),
        st.sampled_from(CLAMPS),
        st.sampled_from((*[""] * 9, *TOTALS)),
        st.lists(ACTS, min_size=1, max_size=runs).map(tuple),
        st.integers(1, 4),
    )
