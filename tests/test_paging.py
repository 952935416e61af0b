"""Moving lists, walked without losing a record: whatever their order, however they move, whatever their totals say."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from etl.model import DateFilter, Paging, Window
from etl.paging import (
    PageView,
    PaginationLoop,
    ResumePoint,
    RowView,
    ScanGoal,
    ScanResult,
    SortOrder,
)
from etl.paging.scan import scan

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=30)


@dataclass
class MovingList:
    """A list of (id, creation time) as a provider shows it, and what happens to it between two requests."""

    order: str = "desc"
    paging: Paging = Paging.PAGES
    date_filter: DateFilter = DateFilter.NONE
    size: int = 5
    rows: dict[str, datetime] = field(default_factory=dict)
    total: Callable[[int], int | None] = lambda count: count
    says_last: bool = False
    motion: Callable[["MovingList", int], None] = lambda moving, request: None
    requests: int = 0
    seed: int = 1

    def fill(self, count: int, gap: timedelta = timedelta(minutes=30)) -> "MovingList":
        for number in range(count):
            self.rows[f"call-{number}"] = START + number * gap
        return self

    def arrive(self, count: int = 1) -> None:
        for _ in range(count):
            self.rows[f"new-{len(self.rows)}-{self.requests}-{Random(len(self.rows)).random()}"] = max(
                self.rows.values(), default=START
            ) + timedelta(seconds=30)

    def vanish(self, random: Random) -> None:
        if self.rows:
            del self.rows[random.choice(sorted(self.rows))]

    def answer(self, window: Window, position: int, stored: set[str]) -> PageView:
        self.requests += 1
        self.motion(self, self.requests)
        rows = sorted(self.rows.items(), key=lambda row: (row[1], row[0]), reverse=self.order == "desc")
        if self.order == "unsorted":
            Random(self.seed).shuffle(rows)
        if self.date_filter is DateFilter.INSTANTS:
            rows = [row for row in rows if window.start <= row[1] <= window.end + timedelta(seconds=1)]
        skip = position if self.paging is Paging.ROWS else (position - 1) * self.size
        page = rows[skip : skip + self.size]
        return PageView(
            [RowView(name, at, name in stored) for name, at in page],
            self.total(len(rows)),
            self.size,
            skip + self.size >= len(rows) if self.says_last else None,
        )


def read(
    moving: MovingList, goal: ScanGoal | None = None, stored: set[str] | None = None, stop_after: int | None = None
) -> tuple[set[str], ScanResult | ResumePoint]:
    """Everything that a walk reads, and how it ended; cut off after some requests, the place to go on from."""
    stored = stored or set()
    goal = goal or ScanGoal(Window(START, NOW), moving.paging, moving.date_filter, moving.size, to_end=True)
    steps, got = scan(goal), set[str]()
    step = next(steps)
    while True:
        if stop_after is not None and moving.requests >= stop_after:
            return got, step.resume_point
        assert moving.requests < 500, "the walk does not end"
        seen = moving.answer(step.window, step.position, stored)
        got |= {row.call_id for row in seen.rows}
        try:
            step = steps.send(seen)
        except StopIteration as end:
            return got, end.value


KINDS = [
    (Paging.PAGES, DateFilter.NONE),
    (Paging.ROWS, DateFilter.INSTANTS),
    (Paging.PAGES, DateFilter.DAYS),
]


@pytest.mark.parametrize(("paging", "date_filter"), KINDS)
@pytest.mark.parametrize("order", ["desc", "asc", "unsorted"])
@pytest.mark.parametrize("count", [0, 1, 4, 5, 6, 10, 23, 50])
@pytest.mark.parametrize("says_last", [True, False])
def test_a_list_that_stands_still_is_read_whole(
    paging: Paging, date_filter: DateFilter, order: str, count: int, says_last: bool
) -> None:
    moving = MovingList(order, paging, date_filter, says_last=says_last).fill(count)
    got, outcome = read(moving)
    assert got == set(moving.rows)
    assert isinstance(outcome, ScanResult)
    assert outcome.reached_end
    assert outcome.total == count
    assert moving.requests <= -(-count // 5) + 2


@pytest.mark.parametrize(
    "total", [lambda n: None, lambda n: n // 3, lambda n: n + 7, lambda n: 0], ids=["none", "low", "high", "zero"]
)
@pytest.mark.parametrize("order", ["desc", "asc", "unsorted"])
@pytest.mark.parametrize(("paging", "date_filter"), KINDS)
def test_a_total_that_is_wrong_or_missing_costs_no_record(
    total: Callable[[int], int | None], order: str, paging: Paging, date_filter: DateFilter
) -> None:
    moving = MovingList(order, paging, date_filter, total=total).fill(23)
    got, outcome = read(moving)
    assert got == set(moving.rows)
    assert isinstance(outcome, ScanResult)


@pytest.mark.parametrize(("paging", "date_filter"), KINDS)
@pytest.mark.parametrize("order", ["desc", "asc", "unsorted"])
@given(seed=st.integers(0, 2**32), count=st.integers(0, 40))
@settings(max_examples=15)
def test_a_goal_that_needs_no_stored_rows_is_reached_alike_whichever_are_stored(
    paging: Paging, date_filter: DateFilter, order: str, seed: int, count: int
) -> None:
    def motion(moving: MovingList, request: int) -> None:
        random = Random(seed + request)
        if random.random() < 0.3:
            moving.arrive()
        elif random.random() < 0.5:
            moving.vanish(random)

    lists = [MovingList(order, paging, date_filter, motion=motion).fill(count) for _ in range(2)]
    goal = ScanGoal(Window(START + timedelta(hours=5), NOW), paging, date_filter, 5)
    assert not goal.needs_stored
    none, every = (
        read(moving, goal, stored) for moving, stored in zip(lists, (set(), set(lists[0].rows)), strict=True)
    )
    assert none == every
    assert lists[0].requests == lists[1].requests


def test_an_end_that_comes_too_early_is_not_believed_where_the_total_says_more() -> None:
    moving = MovingList().fill(23)

    class Early(MovingList):
        def answer(self, window: Window, position: int, stored: set[str]) -> PageView:
            return replace(super().answer(window, position, stored), is_last=True)

    early = Early(rows=moving.rows)
    got, _ = read(early)
    assert got == set(moving.rows)


@pytest.mark.parametrize("clamp", [1, 2, 3])
@pytest.mark.parametrize(("paging", "date_filter"), KINDS)
def test_a_smaller_page_than_asked_for_skips_nothing(clamp: int, paging: Paging, date_filter: DateFilter) -> None:
    moving = MovingList("desc", paging, date_filter, size=clamp).fill(11)
    goal = ScanGoal(Window(START, NOW), paging, date_filter, size=100, to_end=True)
    got, _ = read(moving, goal)
    assert got == set(moving.rows)


@pytest.mark.parametrize("order", ["desc", "asc"])
def test_a_clamp_that_is_not_admitted_skips_nothing(order: str) -> None:
    class Silent(MovingList):
        def answer(self, window: Window, position: int, stored: set[str]) -> PageView:
            return replace(super().answer(window, position, stored), size=None)

    moving = Silent(order, size=4).fill(23)
    got, _ = read(moving, ScanGoal(Window(START, NOW), Paging.PAGES, DateFilter.NONE, size=100, to_end=True))
    assert got == set(moving.rows)


def test_a_page_that_repeats_for_ever_is_an_error_that_names_it() -> None:
    class Stuck(MovingList):
        def answer(self, window: Window, position: int, stored: set[str]) -> PageView:
            return replace(super().answer(window, 1, stored), is_last=False)

    with pytest.raises(PaginationLoop, match="position 2"):
        read(Stuck().fill(23))


@pytest.mark.parametrize("at", range(3, 9))
def test_a_page_that_comes_once_in_place_of_another_is_asked_for_again(at: int) -> None:
    class Cached(MovingList):
        def answer(self, window: Window, position: int, stored: set[str]) -> PageView:
            return super().answer(window, 2 if self.requests == at else position, stored)

    moving = Cached().fill(42)
    got, _ = read(moving)
    assert got == set(moving.rows)


def test_two_pages_in_turn_for_ever_are_an_error() -> None:
    class Turning(MovingList):
        def answer(self, window: Window, position: int, stored: set[str]) -> PageView:
            return replace(super().answer(window, 1 + position % 2, stored), is_last=False)

    with pytest.raises(PaginationLoop, match="no new call"):
        read(Turning(order="unsorted").fill(23))


@settings(max_examples=300, deadline=None)
@example(4, KINDS[0], 1, 0.4375, 4)  # falls twice in a row
@example(5, KINDS[0], 3, 0.25, 5)  # the last row vanishes while others arrive
@given(st.integers(0, 2**32), st.sampled_from(KINDS), st.integers(0, 3), st.floats(0, 0.5), st.integers(4, 8))
def test_newest_first_no_row_is_lost_while_calls_arrive_and_vanish(
    seed: int, kind: tuple[Paging, DateFilter], arrivals: int, vanishing: float, size: int
) -> None:
    random = Random(seed)

    def motion(moving: MovingList, request: int) -> None:
        moving.arrive(random.randint(0, arrivals))
        if random.random() < vanishing:
            moving.vanish(random)

    moving = MovingList("desc", *kind, size=size, motion=motion).fill(40)
    before = set(moving.rows)
    got, _ = read(moving)
    assert (before & set(moving.rows)) <= got


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 3), st.floats(0, 0.5), st.integers(4, 8))
def test_oldest_first_no_row_is_lost_while_calls_arrive_and_vanish(
    seed: int, arrivals: int, vanishing: float, size: int
) -> None:
    random = Random(seed)

    def motion(moving: MovingList, request: int) -> None:
        moving.arrive(random.randint(0, arrivals))
        if random.random() < vanishing:
            moving.vanish(random)

    moving = MovingList("asc", size=size, motion=motion).fill(40)
    before = set(moving.rows)
    got, _ = read(moving)
    assert (before & set(moving.rows)) <= got


@pytest.mark.parametrize("kind", KINDS[:2])
@given(seed=st.integers(0, 2**32), size=st.integers(2, 6), honest_from=st.sampled_from([0, 4, 8, 12]))
@settings(max_examples=3000)
def test_oldest_first_no_row_is_lost_where_as_many_arrive_as_vanish(
    kind: tuple[Paging, DateFilter], seed: int, size: int, honest_from: int
) -> None:
    """No total shows that a row was pulled past a reader on its way up: to the end, or to a page that joins."""
    random = Random(seed)

    def motion(moving: MovingList, request: int) -> None:
        chance = random.random()
        if chance < 0.2:
            moving.vanish(random)
            moving.arrive()
        elif chance < 0.3 and request > honest_from:
            moving.rows[f"late-{request}"] = START + random.random() * timedelta(hours=20)
        elif chance < 0.4:
            moving.arrive(random.randint(1, size))
        elif chance < 0.5:
            moving.vanish(random)

    moving = MovingList("asc", *kind, size=size, motion=motion).fill(40)
    moving.total = lambda count: count if moving.requests >= honest_from else 6
    before = set(moving.rows)
    try:
        got, _ = read(moving)
    except PaginationLoop:  # page after page showed nothing new: the run fails, and claims nothing
        return
    assert before & set(moving.rows) <= got


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(KINDS), st.sampled_from(["desc", "asc"]), st.integers(4, 8))
def test_no_row_is_lost_while_calls_show_up_late(
    seed: int, kind: tuple[Paging, DateFilter], order: str, size: int
) -> None:
    random = Random(seed)

    def motion(moving: MovingList, request: int) -> None:
        if random.random() < 0.3:  # among the rows that are read already, or still to be read
            moving.rows[f"late-{request}"] = START + timedelta(minutes=random.randint(0, 40 * 30))

    moving = MovingList(order, *kind, size=size, motion=motion).fill(40)
    before = set(moving.rows)
    got, _ = read(moving)
    assert before <= got


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(KINDS), st.sampled_from(["desc", "asc"]), st.booleans())
def test_no_row_is_lost_where_pages_become_larger_or_smaller(
    seed: int, kind: tuple[Paging, DateFilter], order: str, cut_off: bool
) -> None:
    random = Random(seed)
    at = random.randint(1, 8)

    def motion(moving: MovingList, request: int) -> None:
        if request == at:
            moving.size = random.randint(3, 8)

    moving = MovingList(order, *kind, size=random.randint(3, 8), motion=motion).fill(40)
    goal = ScanGoal(Window(START, NOW), *kind, size=9, to_end=True)
    first, place = read(moving, goal, stop_after=at if cut_off else None)
    if isinstance(place, ResumePoint):
        rest, outcome = read(moving, replace(goal, resume_from=place), stored=first)
        assert isinstance(outcome, ScanResult)
        top = outcome.newest or START  # what is newer than that is left to the next reading
        first |= rest | {name for name, at in moving.rows.items() if at >= top}
    assert set(moving.rows) <= first


def test_an_unsorted_list_that_moved_since_it_was_cut_off_is_read_from_its_beginning() -> None:
    moving = MovingList("unsorted").fill(30)
    first, place = read(moving, stop_after=3)
    assert isinstance(place, ResumePoint)
    before = set(moving.rows)
    moving.arrive(2)
    goal = ScanGoal(Window(START, NOW), moving.paging, moving.date_filter, moving.size, to_end=True, resume_from=place)
    rest, _ = read(moving, goal, stored=first)
    assert before <= rest


def test_a_row_stored_for_another_reason_does_not_join_a_resumed_scan() -> None:
    moving = MovingList("desc").fill(40)
    first, place = read(moving, stop_after=3)
    assert isinstance(place, ResumePoint)
    for name in sorted(first, key=lambda name: moving.rows[name])[-7:]:
        del moving.rows[name]  # what was read has gone up by seven rows, and what comes next is stored by a backfill
    goal = ScanGoal(Window(START, NOW), moving.paging, moving.date_filter, moving.size, to_end=True, resume_from=place)
    rest, _ = read(moving, goal, stored=first | {f"call-{number}" for number in range(18)})
    assert set(moving.rows) <= first | rest


@pytest.mark.parametrize("late", range(1, 12))
def test_a_row_of_the_same_instant_does_not_join_a_resumed_scan(late: int) -> None:
    moving = MovingList("asc").fill(40, gap=timedelta(0))
    goal = ScanGoal(
        Window(START, NOW), moving.paging, moving.date_filter, 5, SortOrder.ASC, to_end=True, local_count=40
    )
    first, place = read(moving, goal, stop_after=4)
    assert isinstance(place, ResumePoint)
    listed = set(moving.rows)
    moving.rows |= {f"a-{number}": START for number in range(late)}  # before all others: they go towards the end
    rest, _ = read(moving, replace(goal, resume_from=place), stored=first)
    assert listed <= first | rest


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(KINDS), st.integers(1, 9), st.integers(0, 12), st.integers(0, 6))
def test_a_scan_that_was_cut_off_resumes_where_it_was(
    seed: int, kind: tuple[Paging, DateFilter], cut: int, arrived: int, vanished: int
) -> None:
    random = Random(seed)
    moving = MovingList("desc", *kind).fill(45)
    first, place = read(moving, stop_after=cut)
    if isinstance(place, ScanResult):
        assert first == set(moving.rows)
        return
    before, so_far = set(moving.rows), moving.requests
    moving.arrive(arrived)
    for _ in range(vanished):
        moving.vanish(random)
    goal = ScanGoal(Window(START, NOW), *kind, moving.size, to_end=True, resume_from=place)
    rest, _ = read(moving, goal, stored=first)
    assert (before & set(moving.rows)) <= first | rest
    if not vanished:
        assert so_far + moving.requests - so_far <= 9 + cut + 2 + -(-arrived // 5)


@pytest.mark.parametrize("order", ["desc", "asc"])
def test_catching_up_with_nothing_new_is_one_request(order: str) -> None:
    moving = MovingList(order).fill(50)
    stored = set(moving.rows)
    window = Window(max(moving.rows.values()) - timedelta(minutes=15), NOW)
    goal = ScanGoal(
        window, Paging.PAGES, DateFilter.NONE, 5, order=SortOrder(order), stop_at_known_row=True, local_count=50
    )
    _, outcome = read(moving, goal, stored)
    assert moving.requests == (1 if order == "desc" else 2)  # a full last page may have another behind it
    assert isinstance(outcome, ScanResult)
    assert not outcome.reached_end


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("arrived", [1, 4, 5, 12])
def test_catching_up_reads_new_rows_down_to_a_stored_one(order: str, arrived: int) -> None:
    moving = MovingList(order).fill(50)
    stored, top = set(moving.rows), max(moving.rows.values())
    moving.arrive(arrived)
    goal = ScanGoal(
        Window(top - timedelta(minutes=15), NOW),
        Paging.PAGES,
        DateFilter.NONE,
        5,
        SortOrder(order),
        stop_at_known_row=True,
        local_count=50,
    )
    got, _ = read(moving, goal, stored)
    assert set(moving.rows) <= got | stored
    # upwards nothing says that two pages join: the lower is read once more on the way down
    assert moving.requests <= -(-arrived // 5) + (2 if order == "desc" else 3)


def test_an_order_that_changed_is_noticed_and_survived() -> None:
    moving = MovingList("asc").fill(30)
    goal = ScanGoal(Window(START, NOW), Paging.PAGES, DateFilter.NONE, 5, order=SortOrder.DESC, to_end=True)
    got, outcome = read(moving, goal)
    assert got == set(moving.rows)
    assert isinstance(outcome, ScanResult)
    assert outcome.order is SortOrder.ASC


def test_an_unsorted_list_that_is_as_long_as_it_was_can_be_left_alone() -> None:
    moving = MovingList("unsorted").fill(30)
    goal = ScanGoal(
        Window(START, NOW),
        Paging.PAGES,
        DateFilter.NONE,
        5,
        SortOrder.UNSORTED,
        stop_at_known_row=True,
        skip_if_total=30,
    )
    _, outcome = read(moving, goal, set(moving.rows))
    assert moving.requests == 1
    assert isinstance(outcome, ScanResult)
    assert outcome.skipped


def test_an_unsorted_list_that_moved_is_read_once_more_and_says_so() -> None:
    moving = MovingList("unsorted", motion=lambda moving, request: moving.arrive(request == 3)).fill(30)
    got, outcome = read(moving)
    assert got == set(moving.rows)
    assert isinstance(outcome, ScanResult)
    assert outcome.warnings == ()


@pytest.mark.parametrize(
    ("minutes", "order"),
    [
        ([], SortOrder.UNKNOWN),
        ([3], SortOrder.UNKNOWN),
        ([3, 3, 3], SortOrder.UNKNOWN),
        ([3, 3, 2], SortOrder.DESC),
        ([1, 2, 2], SortOrder.ASC),
        ([1, 3, 2], SortOrder.UNSORTED),
    ],
)
def test_a_page_shows_its_order(minutes: list[int], order: SortOrder) -> None:
    assert PageView([RowView("", START + timedelta(minutes=each), False) for each in minutes]).order is order
