"""A call of the sandbox becomes a record of Autocalls' list of calls, and a request to it becomes what it asks for."""

import re
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from etl.sandbox.http_messages import JSON, RecordBytes, VendorRequest, VendorResponse, answered, dumped
from etl.sandbox.lifecycle import Stage
from etl.sandbox.personas import CAMPAIGNS
from etl.sandbox.simulated_call import SimulatedCall
from etl.sandbox.vendor import CallSnapshot, ListQuery, Quirks, Vendor, VendorPage, integer

KEY = "sandbox-autocalls-key"
LABELS = {"agent": "AI", "customer": "Customer"}
SENDERS = {"agent": "bot", "customer": "human"}
DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def refuse(request: VendorRequest) -> VendorResponse | None:
    """401, or the way to the login page for one who did not ask for JSON, unless the key is right."""
    if request.headers.get("authorization") == f"Bearer {KEY}":
        return None
    if "application/json" in request.headers.get("accept", ""):
        return answered({"message": "Unauthenticated."}, 401)
    host = request.headers.get("host", "sandbox")
    page = b"<!DOCTYPE html><html><body>Redirecting to the login page</body></html>"
    return VendorResponse(
        302, (("Location", f"http://{host}/login"), ("Content-Type", "text/html; charset=utf-8")), page
    )


def read(manner: Quirks, request: VendorRequest) -> ListQuery | VendorResponse:
    """Page, page size and filters of a list request; days are whole days of the account's time zone."""
    page, size = integer(request.text("page"), 1), integer(request.text("per_page"), 15)
    if page is None or size is None:
        return _bad("page", "The page field must be an integer.")
    try:
        first, last = _day(request.text("date_from")), _day(request.text("date_to"))
    except ValueError:
        return _bad("date_from", "The date from field must match the format Y-m-d.")
    zone = ZoneInfo(manner.autocalls_zone)
    wanted = {name: request.text(name) for name in ("status", "type", "phone_number", "campaign_id")}

    def keep(call: SimulatedCall) -> bool:
        day = call.created_at.astimezone(zone).date()
        return not ((first and day < first) or (last and day > last))

    def match(seen: CallSnapshot) -> bool:
        return all(not text or text == _facet(seen, name) for name, text in wanted.items())

    page, size = max(page, 1), min(max(size, 1), 100)
    return ListQuery(
        (page - 1) * size, size, page, keep, by=(first, last), match=match if any(wanted.values()) else None
    )


def show(seen: CallSnapshot, variant: str = "") -> RecordBytes:
    """One record; costs, times, transcript and evaluation come in the shapes that the provider sends side by side."""
    call, story = seen.call, seen.story
    priced, is_web = seen.stage >= Stage.PRICED, call.kind == "web"
    return {
        "id": int(call.call_id),
        "assistant_name": story.agent.name,
        "campaign_name": story.campaign,
        "type": call.kind,
        "duration": story.talk_seconds if seen.is_over else None,
        "assistant_phone_number": None if is_web else call.line,
        "client_phone_number": None if is_web else call.customer.number,
        "status": status_of(seen),
        "transcript": _transcript(seen),
        "variables": {"customer_name": call.customer_name} if call.customer_name and call.shape("variables", 2) else [],
        "evaluation": _evaluation(seen),
        "webhook_response": {"status": 200} if call.shape("webhook", 3) == 0 else [],
        "carrier_cost": _cost(seen, story.carrier_cost) if priced else None,
        "total_cost": _cost(seen, story.cost) if priced else None,
        "answered_by": answered_by(seen),
        "recording_url": f"https://media.autocalls.example/{call.call_id}.mp3"
        if priced and story.is_answered
        else None,
        "created_at": _time(seen, call.created_at),
        "updated_at": _time(seen, updated_at(seen)),
    }


def status_of(seen: CallSnapshot) -> str:
    """The provider's own word."""
    if not seen.is_over:
        return {Stage.DIALING: "initiated", Stage.RINGING: "ringing"}.get(seen.stage, "in-progress")
    if seen.story.outcome == "completed":
        said = {"customer": "ended_by_customer", "agent": "ended_by_assistant"}[seen.story.ended_by]
        return ("completed", "ended", said, said)[seen.call.shape("status", 4)]
    # A machine that answers is no talk: the status stays that of a call that nobody took.
    return {"no_answer": "no-answer", "voicemail": "no-answer"}.get(seen.story.outcome, seen.story.outcome)


def answered_by(seen: CallSnapshot) -> str | None:
    """human, machine, unknown or nothing at all."""
    if seen.is_over and seen.story.outcome == "voicemail":
        return "machine"
    if seen.is_over and seen.story.outcome == "completed":
        return ("human", "human", "human", "unknown", None)[seen.call.shape("answered", 5)]
    return None


def updated_at(seen: CallSnapshot) -> datetime:
    """The last change: the stage that was reached last, or what was told by hand since."""
    told = [told.at.replace(microsecond=0) for told in seen.call.told if told.at <= seen.at]
    return max([seen.story.reached[seen.stage], *told])


def print_page(manner: Quirks, page: VendorPage) -> bytes:
    """The page's envelope; next_page_url drops the filters, as it does at the provider."""
    number, shown = page.asked.page, len(page.records)
    tail: RecordBytes = {
        "current_page": number,
        "from": page.asked.skip + 1 if shown else None,
        "to": page.asked.skip + shown if shown else None,
        "per_page": page.asked.size,
        "last_page": page.last,
        "next_page_url": f"{page.path}?page={number + 1}" if page.has_next else None,
        "prev_page_url": f"{page.path}?page={number - 1}" if number > 1 else None,
        "path": page.path,
    }
    if page.total is not None:
        tail["total"] = page.total
    return b'{"data":[' + b",".join(page.records) + b"]," + dumped(tail)[1:]


def _facet(seen: CallSnapshot, name: str) -> str:
    facets = {"status": status_of(seen), "type": seen.call.kind, "phone_number": seen.call.customer.number}
    if name == "campaign_id":
        return str(CAMPAIGNS.index(seen.story.campaign) + 1) if seen.story.campaign else ""
    return facets[name]


def _transcript(seen: CallSnapshot) -> object:
    if not seen.has_turns:
        return None
    if seen.call.shape("transcript", 2):
        return "\n".join(f"{LABELS[turn.speaker]}: {turn.text}" for turn in seen.story.turns)
    answered_at = seen.story.reached[Stage.TALKING].timestamp()
    events: list[RecordBytes] = [
        {
            "text": turn.text,
            "type": "transcript",
            "sender": SENDERS[turn.speaker],
            "timestamp": answered_at + turn.offset,
        }
        for turn in seen.story.turns
    ]
    if seen.call.shape("tool", 3) == 0:
        tool: RecordBytes = {"text": "check_slot", "type": "tool_call", "sender": "bot", "timestamp": answered_at + 1}
        events.insert(1, tool)
    return events


def _evaluation(seen: CallSnapshot) -> object:
    if seen.stage < Stage.EVALUATED or not seen.story.turns:
        return []
    if seen.call.shape("evaluation", 2):
        return {"goal_reached": bool(seen.call.shape("goal", 2)), "mood": seen.story.sentiment}
    return [{"name": "mood", "type": "string", "value": seen.story.sentiment, "description": "How the caller felt"}]


def _cost(seen: CallSnapshot, amount: Decimal) -> object:
    return f"{amount:.8f}" if seen.call.shape("cost", 2) else float(amount)


def _time(seen: CallSnapshot, moment: datetime) -> str:
    pattern = "%Y-%m-%d %H:%M:%S" if seen.call.shape("time", 2) else "%Y-%m-%dT%H:%M:%S.000000Z"
    return moment.strftime(pattern)


def _day(text: str) -> date | None:
    if text and not DAY.fullmatch(text):
        raise ValueError(text)
    return date.fromisoformat(text) if text else None


def _bad(name: str, message: str) -> VendorResponse:
    return VendorResponse(422, JSON, dumped({"message": message, "errors": {name: [message]}}))


PROVIDER = Vendor("autocalls", "/user/calls", KEY, refuse, read, show, print_page)
