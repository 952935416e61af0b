"""What goes wrong with lists, pages and totals, as effects: the G rows of the catalogue."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from etl.sandbox.effect import Effect, FaultFiring
from etl.sandbox.http_messages import VendorResponse, answered
from etl.sandbox.simulated_call import SimulatedCall
from etl.sandbox.vendor import ListQuery, VendorPage

# India's offset: where a provider counts its days when it says nothing.
OTHER_ZONE = timedelta(hours=5, minutes=30)


def total(said: Callable[[FaultFiring, VendorPage], int | str | None]) -> Effect:
    """Pages that tell another total."""
    return Effect(page=lambda hit, page: replace(page, total=said(hit, page)))


def filtered(keep: Callable[[ListQuery, SimulatedCall], bool]) -> Effect:
    """A filter that lets other calls through."""
    return Effect(
        ask=lambda hit, asked: replace(asked, keep=lambda call: keep(asked, call), by=(*asked.by, hit.fault_id))
    )


def looped(skip: Callable[[ListQuery], int]) -> Effect:
    """Pages that begin elsewhere and always promise another one."""
    return Effect(
        ask=lambda hit, asked: replace(asked, skip=skip(asked)),
        page=lambda hit, page: replace(page, has_next=True, last=page.asked.page + 1),
    )


def sized(echo: bool) -> Effect:
    """A page size of the server's own: told in the echo, or kept quiet."""
    return Effect(ask=_clamped, page=None if echo else _as_asked)


def _clamped(hit: FaultFiring, asked: ListQuery) -> ListQuery:
    size = min(asked.size, hit.number("size", 7))
    return replace(asked, size=size, skip=(asked.page - 1) * size if asked.page else asked.skip)


def _as_asked(hit: FaultFiring, page: VendorPage) -> VendorPage:
    names = ("limit", "page_size", "per_page")
    said = next((hit.request.text(name) for name in names if hit.request.text(name).isdecimal()), "")
    return replace(page, asked=replace(page.asked, size=int(said))) if said else page


def _twice(hit: FaultFiring, page: VendorPage) -> VendorPage:
    return replace(page, records=(*page.records, *page.records[-1:]), ids=(*page.ids, *page.ids[-1:]))


def _overlapping(hit: FaultFiring, asked: ListQuery) -> ListQuery:
    more = min(asked.skip, 1)
    return replace(asked, skip=asked.skip - more, size=asked.size + more)


def _arrive(hit: FaultFiring) -> None:
    for _ in range(hit.number("count", 1)):
        hit.world.add(hit.provider)


def _vanish(hit: FaultFiring) -> None:
    for _ in range(hit.number("count", 1)):
        calls = hit.world.calls(hit.provider)
        if len(calls) > 10:
            hit.world.delete(hit.provider, hit.draw.choice(calls).call_id)


def _change(hit: FaultFiring) -> None:
    calls = hit.world.calls(hit.provider)
    if calls:
        chosen = hit.draw.choice(calls)
        hit.world.change(hit.provider, chosen.call_id, summary=f"Read again, for the {hit.count + 1}. time.")


def _changed_first(hit: FaultFiring, calls: list[SimulatedCall]) -> list[SimulatedCall]:
    return sorted(calls, key=lambda call: call.told[-1].at.timestamp() if call.told else 0.0, reverse=True)


def _share(hit: FaultFiring) -> None:
    if hit.count == 0:
        hit.world.share_instant(hit.provider)


def _shrink(hit: FaultFiring) -> None:
    for call in hit.world.calls(hit.provider)[: hit.number("count", 20)]:
        hit.world.delete(hit.provider, call.call_id)


def _short(hit: FaultFiring, page: VendorPage) -> VendorPage:
    kept = len(page.records) // 2
    return replace(page, records=page.records[:kept], ids=page.ids[:kept])


def _ended(hit: FaultFiring, page: VendorPage) -> VendorPage:
    return replace(page, has_next=False, last=page.asked.page)


def _capped(hit: FaultFiring, asked: ListQuery) -> ListQuery | VendorResponse:
    cap = hit.number("cap", 10_000)
    if asked.skip <= cap:
        return asked
    return answered({"error": {"code": "invalid_parameter", "message": f"offset must not exceed {cap}."}}, 400)


def _shifted(asked: ListQuery, call: SimulatedCall) -> bool:
    return asked.keep(replace(call, created_at=call.created_at + OTHER_ZONE))


def _exclusive(asked: ListQuery, call: SimulatedCall) -> bool:
    day_or_instant = call.created_at if isinstance(asked.by[-1], datetime) else call.created_at.date()
    return asked.keep(call) and day_or_instant not in asked.by


def _older(lag: str, default: int) -> Callable[[FaultFiring, list[SimulatedCall]], list[SimulatedCall]]:
    def calls(hit: FaultFiring, listed: list[SimulatedCall]) -> list[SimulatedCall]:
        newest = hit.world.now() - timedelta(seconds=hit.number(lag, default))
        return [call for call in listed if call.created_at <= newest]

    return calls


def _retained(hit: FaultFiring, calls: list[SimulatedCall]) -> list[SimulatedCall]:
    oldest = hit.world.now() - timedelta(days=hit.number("days", 7))
    return [call for call in calls if call.created_at >= oldest]


def _shuffled(hit: FaultFiring, calls: list[SimulatedCall]) -> list[SimulatedCall]:
    hit.draw.shuffle(calls)
    return calls


PAGING_EFFECTS: dict[str, dict[str, Effect]] = {
    "G01": {"twice": Effect(page=_twice), "overlap": Effect(ask=_overlapping, page=_as_asked)},
    "G02": {"arrive": Effect(stir=_arrive)},
    "G03": {"vanish": Effect(stir=_vanish)},
    "G04": {"move": Effect(stir=_change, calls=_changed_first)},
    "G05": {"instant": Effect(stir=_share)},
    "G06": {"shrink": Effect(stir=_shrink)},
    "G07": {
        "absent": total(lambda hit, page: None),
        "many": total(lambda hit, page: "many"),
        "negative": total(lambda hit, page: -1),
        "zero": total(lambda hit, page: 0),
        "lower": total(lambda hit, page: max(0, int(page.total or 0) // 2)),
        "differs": total(lambda hit, page: hit.draw.randrange(1, 2 * int(page.total or 1) + 2)),
    },
    "G08": {"empty": Effect(page=lambda hit, page: replace(page, records=(), ids=()))},
    "G09": {"short": Effect(page=_short)},
    "G10": {
        "stuck": looped(lambda asked: min(asked.skip, 2 * asked.size)),
        "same": looped(lambda asked: 0),
        "alternating": looped(lambda asked: asked.skip // asked.size % 2 * asked.size),
    },
    "G11": {"ended": Effect(page=_ended)},
    "G12": {"clamped": sized(echo=True), "silent": sized(echo=False)},
    "G13": {"cap": Effect(ask=_capped)},
    "G14": {"shifted": filtered(_shifted), "exclusive": filtered(_exclusive)},
    "G15": {"outside": filtered(lambda asked, call: asked.keep(call) or call.shape("outside", 4) == 0)},
    "G16": {"ignored": filtered(lambda asked, call: True)},
    "G17": {"lag": Effect(calls=_older("lag", 600))},
    "G18": {"nothing": Effect(calls=lambda hit, calls: []), "cut": Effect(calls=_retained)},
    "G19": {"shuffled": Effect(calls=_shuffled)},
    "G20": {"size": Effect(calls=lambda hit, calls: calls[: hit.number("size", 1)])},
}
