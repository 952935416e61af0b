"""Each row of the decision tables has a page that leads to it, and the documentation shows the tables as they are."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from etl.model import DateFilter, Paging, Window
from etl.paging import PageView, ResumePoint, RowView, ScanGoal, SortOrder
from etl.paging.decisions import ScanState, decide
from etl.paging.memory import ReadRange

START = datetime(2026, 1, 1, tzinfo=UTC)
DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "paging.md"
BEGIN, END = "<!-- from etl.paging.decisions: `make regenerate` -->", "<!-- end of the tables -->"
DESC, ASC, UNSORTED = SortOrder.DESC, SortOrder.ASC, SortOrder.UNSORTED


def goal(*, start: int = 0, **values: Any) -> ScanGoal:
    window = Window(START + timedelta(minutes=start), START + timedelta(days=1))
    return ScanGoal(window, Paging.PAGES, DateFilter.NONE, **{"size": 5, "to_end": True, **values})


def page(*numbers: int, total: int | None = 20, size: int = 5) -> PageView:
    """A page of calls that were created as many minutes after the start as their numbers say."""
    return PageView([RowView(f"c{n}", START + timedelta(minutes=n), False) for n in numbers], total, size)


def down(first: int) -> tuple[int, ...]:
    return tuple(range(first, first - 5, -1))


def up(first: int) -> tuple[int, ...]:
    return tuple(range(first, first + 5))


def after(
    earlier: Sequence[tuple[int, PageView]], position: int, last: PageView, order: SortOrder = DESC, **values: Any
) -> ScanState:
    """What a scan knows when the last page comes, with those before it at their positions."""
    wanted = values.pop("goal", goal())
    state = ScanState(wanted, order, wanted.resume_from)
    state.range = values.pop("read", ReadRange(0))
    for name, value in values.items():
        setattr(state.progress, name, value)
    for at, view in [*earlier, (position, last)]:
        state.take(view, at)
    return state


RESUMED = ResumePoint(2, 5, START + timedelta(days=1), UNSORTED, total=20)
TOP = (1, page(*down(19)))
END_OF_LIST = (4, page(*up(15)))
READ = ReadRange(4, 20, START + timedelta(minutes=15), has_pages=True)
JOINING = replace(READ, joining=page(*up(10)))

CASES: dict[str, tuple[Sequence[Callable[[ScanState], bool]], dict[str, ScanState]]] = {
    "Newest first, or without an order": (
        ScanState.FORWARD,
        {
            "scan_as_unsorted": after([], 2, page(3, 9, 1, total=21), UNSORTED, goal=goal(resume_from=RESUMED)),
            "retreat": after([TOP], 2, page(*down(13), total=19)),
            "ask_for_the_page_again": after([TOP, (2, page(*down(14)))], 3, page(*down(19))),
            "stop_at_known_rows": after([], 1, page(*down(4)), goal=goal(to_end=False, start=2)),
            "skip_unchanged": after([], 1, page(3, 9, 1), UNSORTED, goal=goal(skip_if_total=20)),
            "read_again": after([(1, page(*down(6), total=7))], 2, page(1, 0, total=7), is_doubtful=True),
            "finish": after([(1, page(*down(6), total=7))], 2, page(1, 0, total=7)),
            "ask_for_a_short_page_again": after([TOP], 2, page(14, 13)),
            "next_page": after([TOP], 2, page(*down(14))),
        },
    ),
    "Oldest first: find the end": (
        ScanState.FIND_END,
        {
            "ask_for_a_short_page_again": after([], 3, page(10, 11), ASC, goal=goal(size=9)),
            "end_before_this_page": after([END_OF_LIST], 5, page(), ASC, read=READ),
            "look_further_up": after([], 9, page(), ASC, asked_again=True),
            "end_on_this_page": after([], 4, page(15, 16, 17, 18, total=19), ASC),
            "jump_to_end": after([], 1, page(*up(0)), ASC, jumps=1),
            "next_page": after([], 4, page(*up(15)), ASC),
        },
    ),
    "Oldest first: read down from the end": (
        ScanState.READ_DOWN,
        {
            "ask_for_a_short_page_again": after([END_OF_LIST], 3, page(10, 11), ASC, read=READ),
            "overlaps": after([END_OF_LIST], 3, page(*up(11), total=21), ASC, read=READ),
            "adjoins": after([END_OF_LIST], 3, page(*up(10)), ASC, read=READ),
            "look_above": after([END_OF_LIST], 3, page(*up(9), total=21), ASC, read=READ),
        },
    ),
    "Oldest first: look above a page that joins nothing": (
        ScanState.LOOK_ABOVE,
        {
            "list_changed": after([(3, page(*up(10), total=21))], 4, page(*up(15)), ASC, read=JOINING),
            "ask_for_a_short_page_again": after(
                [(3, page(*up(10), total=30))], 4, page(15, 16, total=30), ASC, goal=goal(size=9), read=JOINING
            ),
            "joined": after([(5, page(*up(19), total=25))], 4, page(*up(15), total=25), ASC, read=JOINING),
            "next_page": after([(6, page(*up(25), total=30))], 4, page(*up(15), total=30), ASC, read=JOINING),
        },
    ),
}


def test_every_row_of_every_table_has_its_case() -> None:
    assert [table for name, table in vars(ScanState).items() if name.isupper()] == [
        table for table, _ in CASES.values()
    ]
    for table, cases in CASES.values():
        assert [decision.__name__ for decision in table] == list(cases)


@pytest.mark.parametrize(("table", "name"), [(table, name) for table, (_, cases) in CASES.items() for name in cases])
def test_the_page_leads_to(table: str, name: str) -> None:
    rows, cases = CASES[table]
    assert decide(rows, cases[name]) == name


def test_the_documentation_shows_the_tables_as_they_are() -> None:
    lines = [BEGIN, ""]
    for title, (table, _) in CASES.items():
        lines += [f"### {title}", "", "| decision | when | then |", "|---|---|---|"]
        for decision in table:
            when, _, then = " ".join((decision.__doc__ or "").split()).rstrip(".").partition(" → ")
            lines.append(f"| `{decision.__name__}` | {when} | {then} |")
        lines.append("")
    generated = "\n".join([*lines, END])
    written = DOCUMENT.read_text()
    before, _, rest = written.partition(BEGIN)
    after_tables = rest.partition(END)[2]
    if os.environ.get("ETL_REGENERATE"):
        DOCUMENT.write_text(before + generated + after_tables)
        pytest.skip("regenerated")
    assert written == before + generated + after_tables
