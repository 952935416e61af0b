"""A walk from the last page up to the first, for lists that begin with their oldest row."""

from etl.walk import positions
from etl.walk.course import Course, order_of, reaches_down
from etl.walk.words import Goal, Order, OtherOrder, Place, Step, Walk

CHASES = 3  # so many times a list may grow before its end is left to the next walk


def backwards(goal: Goal) -> Walk:
    """From the last page up to the first: behind the reader nothing moves, whatever arrives or vanishes."""
    course = Course(goal, is_ordered=True)
    window, first, size = goal.window, positions.first(goal.paging), goal.size
    position = goal.place.position if goal.place else positions.last(goal.paging, goal.held, size)
    bottom, looking, reached = position, goal.place is None, False
    growths = 0
    while True:
        place = Place(position, goal.size, window.end, Order.OLDEST, course.newest, course.oldest, course.total)
        seen = yield Step(window, position, place)
        growths += course.total is not None and (seen.total or 0) > course.total
        course.read(seen, position)
        shown = order_of([row.created_at for row in seen.rows if row.created_at is not None])
        if seen.total is None or shown not in (Order.OLDEST, Order.UNKNOWN):
            raise OtherOrder(Order.UNSORTED if seen.total is None else shown, seen)
        size = min(size, seen.size or (size if position > first else seen.count) or size)
        reached = reached or reaches_down(goal, seen)
        last = positions.last(goal.paging, seen.total, size)
        looking = looking and growths < CHASES
        if (
            looking and positions.after(goal.paging, position, seen.count) < last
        ):  # the last page by the total, which is a hint
            position, bottom, reached, course.oldest = last, last, False, None  # what was read so far is read once more
            course.turn(forget_total=False)
        elif looking and seen.count >= size:  # a full page may have another behind it, whatever the total says
            position = positions.after(goal.paging, position, seen.count)
        elif looking and not seen.rows and position > last and bottom == position:
            position = bottom = last  # the list has become shorter than it was
        elif reached or bottom <= first:
            return course.outcome(Order.OLDEST, ended=not reached)
        else:
            looking, bottom = False, positions.before(goal.paging, bottom, size)
            position = bottom
