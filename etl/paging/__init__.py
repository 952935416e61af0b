"""A list that moves while it is read, as the pages to ask for: which is next, when it ends, and if it was whole.

Pure: a walk is a generator that yields the :class:`Step` it wants and is sent the :class:`Seen` that came. It goes on
by what was received, never by what was asked, and finds out the order of the list from the pages themselves.
"""

from dataclasses import replace

from etl.paging.newest_first import forwards
from etl.paging.oldest_first import backwards
from etl.paging.scan import EndlessList, Goal, Order, OtherOrder, Outcome, OutOfReach, Place, Seen, Sighting, Step, Walk
from etl.paging.tracker import order_of

__all__ = [
    "EndlessList",
    "Goal",
    "Order",
    "OutOfReach",
    "Outcome",
    "Place",
    "Seen",
    "Sighting",
    "Step",
    "Walk",
    "order_of",
    "walk",
]


def walk(goal: Goal) -> Walk:
    """Read the goal's window; a list whose order turns out to be another is walked again as what it is."""
    order = goal.place.order if goal.place else goal.order
    tried: set[Order] = set()
    while True:
        tried.add(order)
        try:
            if order is Order.OLDEST:
                return (yield from backwards(goal))
            return (yield from forwards(goal, order))
        except OtherOrder as found:
            order = Order.UNSORTED if found.order in tried else found.order
            goal = replace(goal, place=None, held=goal.held if found.total is None else found.total)
