"""Intervals of source time: merged they hold the same instants, and the gaps are the rest."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from etl.intervals import coalesce, gaps, subtract
from etl.model import Window

START = datetime(2026, 1, 1, tzinfo=UTC)


def window(first: int, length: int) -> Window:
    return Window(START + timedelta(hours=first), START + timedelta(hours=first + length))


windows = st.lists(st.builds(window, st.integers(0, 40), st.integers(0, 12)), max_size=8)


def hours(covered: list[Window] | tuple[Window, ...]) -> set[int]:
    return {hour for hour in range(60) if any(w.start <= START + timedelta(hours=hour) < w.end for w in covered)}


@given(windows)
def test_coalesced_intervals_cover_the_same_instants_and_do_not_touch(covered: list[Window]) -> None:
    found = coalesce(covered)
    assert hours(found) == hours(covered)
    assert all(older.end < newer.start for older, newer in pairwise(found))


@given(windows, st.integers(0, 40), st.integers(0, 20))
def test_subtract_leaves_what_is_wanted_and_not_covered(covered: list[Window], first: int, length: int) -> None:
    wanted = window(first, length)
    found = subtract(wanted, covered)
    assert hours(found) == hours([wanted]) - hours(covered)
    assert all(found)


@given(windows)
def test_gaps_lie_between_the_intervals(covered: list[Window]) -> None:
    whole = hours(covered)
    between = set(range(min(whole), max(whole) + 1)) - whole if whole else set()
    assert hours(gaps(covered)) == between
