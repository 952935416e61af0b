"""Faults of lists, pages and totals, as effects: the G rows of the catalogue."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from etl.sandbox.effect import Effect, FaultFiring
from etl.sandbox.http_messages import JsonObject, VendorResponse, json_response, to_json
from etl.sandbox.simulated_call import SimulatedCall
from etl.sandbox.vendor import ListQuery, VendorPage

INDIA_MINUTES = 330  # how far India's time is ahead


def with_total(value: Callable[[FaultFiring, VendorPage], int | str | None]) -> Effect:
    """Pages with another total."""
    return Effect(page=lambda firing, page: replace(page, total=value(firing, page)))


def with_filter(keep: Callable[[FaultFiring, ListQuery, SimulatedCall], bool]) -> Effect:
    """A list whose filter selects other calls."""

    def misread(firing: FaultFiring, query: ListQuery) -> ListQuery:
        return replace(query, keep=lambda call: keep(firing, query, call), filters=(*query.filters, firing.fault_id))

    return Effect(query=misread)


def endless(skip: Callable[[ListQuery], int]) -> Effect:
    """Pages that start elsewhere and always announce another one."""
    return Effect(
        query=lambda firing, query: replace(query, skip=skip(query)),
        page=lambda firing, page: replace(page, has_next=True, last=page.query.page + 1),
    )


def _clamp(firing: FaultFiring, query: ListQuery) -> ListQuery:
    size = min(query.size, firing.number("size", 7))
    return replace(query, size=size, skip=(query.page - 1) * size if query.page else query.skip)


def _echo_as_requested(firing: FaultFiring, page: VendorPage) -> VendorPage:
    names = ("limit", "page_size", "per_page")
    requested = next((firing.request.text(name) for name in names if firing.request.text(name).isdecimal()), "")
    return replace(page, query=replace(page.query, size=int(requested))) if requested else page


def _repeat_last(firing: FaultFiring, page: VendorPage) -> VendorPage:
    return replace(page, records=(*page.records, *page.records[-1:]), ids=(*page.ids, *page.ids[-1:]))


def _overlap(firing: FaultFiring, query: ListQuery) -> ListQuery:
    more = min(query.skip, 1)
    return replace(query, skip=query.skip - more, size=query.size + more)


def _add_calls(firing: FaultFiring) -> None:
    for _ in range(firing.number("count", 1)):
        firing.world.add(firing.vendor.name)


def _delete_calls(firing: FaultFiring) -> None:
    for _ in range(firing.number("count", 1)):
        calls = firing.world.calls(firing.vendor.name)
        if len(calls) > 10:
            firing.world.delete(firing.vendor.name, firing.draw.choice(calls).call_id)


def _change(firing: FaultFiring) -> None:
    calls = firing.world.calls(firing.vendor.name)
    if calls:
        call_id = firing.draw.choice(calls).call_id
        firing.world.change(firing.vendor.name, call_id, summary=f"Read again, for the {firing.count + 1}. time.")


def _changed_calls_first(firing: FaultFiring, calls: list[SimulatedCall]) -> list[SimulatedCall]:
    return sorted(calls, key=lambda call: call.overrides[-1].at.timestamp() if call.overrides else 0.0, reverse=True)


def _set_equal_times(firing: FaultFiring) -> None:
    if firing.count == 0:
        firing.world.set_equal_times(firing.vendor.name)


def _delete_oldest(firing: FaultFiring) -> None:
    for call in firing.world.calls(firing.vendor.name)[: firing.number("count", 20)]:
        firing.world.delete(firing.vendor.name, call.call_id)


def _half_a_page(firing: FaultFiring, page: VendorPage) -> VendorPage:
    kept = len(page.records) // 2
    return replace(page, records=page.records[:kept], ids=page.ids[:kept])


def _offset_cap(firing: FaultFiring, query: ListQuery) -> ListQuery | VendorResponse:
    cap = firing.number("cap", 10_000)
    if query.skip <= cap:
        return query
    return json_response({"error": {"code": "invalid_parameter", "message": f"offset must not exceed {cap}."}}, 400)


def _behind_the_end(firing: FaultFiring, query: ListQuery) -> ListQuery | VendorResponse:
    """404, as from Django's paginator, for a page behind the last; 400 or 422 where an offset is validated."""
    count = len(firing.world.listed(firing.vendor.name, firing.world.now(), query.keep, query.filters))
    if query.skip == 0 or query.skip < count:
        return query
    return json_response({"detail": "Invalid page."}, firing.number("status", 404))


def _zone(firing: FaultFiring) -> timedelta:
    return timedelta(minutes=firing.number("minutes", INDIA_MINUTES))


def _in_other_zone(firing: FaultFiring, query: ListQuery, call: SimulatedCall) -> bool:
    return query.keep(replace(call, created_at=call.created_at + _zone(firing)))


def _shown_in_other_zone(firing: FaultFiring, call: SimulatedCall, record: bytes) -> bytes:
    shown: JsonObject = json.loads(record)
    wrong = datetime.fromisoformat(str(shown["created_at"])) + _zone(firing)
    return to_json({**shown, "created_at": f"{wrong:%Y-%m-%dT%H:%M:%S.%f}Z"})


def _without_bounds(firing: FaultFiring, query: ListQuery, call: SimulatedCall) -> bool:
    day_or_instant = call.created_at if isinstance(query.filters[-1], datetime) else call.created_at.date()
    return query.keep(call) and day_or_instant not in query.filters


def _listed_late(firing: FaultFiring, calls: list[SimulatedCall]) -> list[SimulatedCall]:
    newest = firing.world.now() - timedelta(seconds=firing.number("lag", 600))
    return [call for call in calls if call.created_at <= newest]


def _newest_days(firing: FaultFiring, calls: list[SimulatedCall]) -> list[SimulatedCall]:
    oldest = firing.world.now() - timedelta(days=firing.number("days", 7))
    return [call for call in calls if call.created_at >= oldest]


def _shuffled(firing: FaultFiring, calls: list[SimulatedCall]) -> list[SimulatedCall]:
    firing.draw.shuffle(calls)
    return calls


PAGING_EFFECTS: dict[str, dict[str, Effect]] = {
    "G01": {"twice": Effect(page=_repeat_last), "overlap": Effect(query=_overlap, page=_echo_as_requested)},
    "G02": {"arrive": Effect(change_world=_add_calls)},
    "G03": {"vanish": Effect(change_world=_delete_calls)},
    "G04": {"move": Effect(change_world=_change, calls=_changed_calls_first)},
    "G05": {"instant": Effect(change_world=_set_equal_times)},
    "G06": {"shrink": Effect(change_world=_delete_oldest)},
    "G07": {
        "absent": with_total(lambda firing, page: None),
        "many": with_total(lambda firing, page: "many"),
        "negative": with_total(lambda firing, page: -1),
        "zero": with_total(lambda firing, page: 0),
        "higher": with_total(lambda firing, page: int(page.total or 0) + firing.number("more", 7)),
        "lower": with_total(lambda firing, page: max(0, int(page.total or 0) // 2)),
        "differs": with_total(lambda firing, page: firing.draw.randrange(1, 2 * int(page.total or 1) + 2)),
    },
    "G08": {"empty": Effect(page=lambda firing, page: replace(page, records=(), ids=()))},
    "G09": {"short": Effect(page=_half_a_page)},
    "G10": {
        "stuck": endless(lambda query: min(query.skip, 2 * query.size)),
        "same": endless(lambda query: 0),
        "alternating": endless(lambda query: query.skip // query.size % 2 * query.size),
    },
    "G11": {"ended": Effect(page=lambda firing, page: replace(page, has_next=False, last=page.query.page))},
    "G12": {"clamped": Effect(query=_clamp), "silent": Effect(query=_clamp, page=_echo_as_requested)},
    "G13": {"cap": Effect(query=_offset_cap), "end": Effect(query=_behind_the_end)},
    "G14": {
        "shifted": with_filter(_in_other_zone),
        "exclusive": with_filter(_without_bounds),
        "local": replace(with_filter(_in_other_zone), record=_shown_in_other_zone),
    },
    "G15": {"outside": with_filter(lambda firing, query, call: query.keep(call) or call.shape("outside", 4) == 0)},
    "G16": {"ignored": with_filter(lambda firing, query, call: True)},
    "G17": {"lag": Effect(calls=_listed_late)},
    "G18": {"nothing": Effect(calls=lambda firing, calls: []), "cut": Effect(calls=_newest_days)},
    "G19": {"shuffled": Effect(calls=_shuffled)},
    "G20": {"size": Effect(calls=lambda firing, calls: calls[: firing.number("size", 1)])},
}
