"""Autocalls' list of calls: a request → its query, a call → its record."""

import re
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from etl.sandbox.conversations import Utterance
from etl.sandbox.http_messages import JSON, JsonObject, VendorRequest, VendorResponse, json_response, to_json
from etl.sandbox.lifecycle import Stage
from etl.sandbox.personas import CAMPAIGNS
from etl.sandbox.simulated_call import SimulatedCall
from etl.sandbox.vendor import CallSnapshot, ListQuery, Quirks, Vendor, VendorPage, integer

KEY = "sandbox-autocalls-key"
LABELS = ({"agent": "AI", "customer": "Customer"}, {"agent": "Assistent", "customer": "Kunde"})  # by the account
SENDERS = {"agent": "bot", "customer": "human"}
DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def reject(request: VendorRequest) -> VendorResponse | None:
    """401, or a redirect to the login page for a client that accepts no JSON, unless the key is right."""
    if request.headers.get("authorization") == f"Bearer {KEY}":
        return None
    if "application/json" in request.headers.get("accept", ""):
        return json_response({"message": "Unauthenticated."}, 401)
    location = ("Location", f"http://{request.headers.get('host', 'sandbox')}/login")
    page = b"<!DOCTYPE html><html><body>Redirecting to the login page</body></html>"
    return VendorResponse(302, (location, ("Content-Type", "text/html; charset=utf-8")), page)


def read(quirks: Quirks, request: VendorRequest) -> ListQuery | VendorResponse:
    """Page, page size and filters of a list request; dates are whole days of the account's time zone."""
    page, size = integer(request.text("page"), 1), integer(request.text("per_page"), 15)
    if page is None or size is None:
        return _bad("page", "The page field must be an integer.")
    try:
        first, last = _day(request.text("date_from")), _day(request.text("date_to"))
    except ValueError:
        return _bad("date_from", "The date from field must match the format Y-m-d.")
    zone = ZoneInfo(quirks.autocalls_zone)
    wanted = {name: request.text(name) for name in ("status", "type", "phone_number", "campaign_id")}

    def keep(call: SimulatedCall) -> bool:
        day = call.created_at.astimezone(zone).date()
        return not ((first and day < first) or (last and day > last))

    def match(state: CallSnapshot) -> bool:
        return all(not text or text == _facet(state, name) for name, text in wanted.items())

    page, size, chosen = max(page, 1), min(max(size, 1), 100), match if any(wanted.values()) else None
    return ListQuery((page - 1) * size, size, page, keep, filters=(first, last), match=chosen)


def render(state: CallSnapshot, variant: str = "") -> JsonObject:
    """One record; costs, times, transcript and evaluation have one of the shapes that Autocalls sends."""
    call, life = state.call, state.lifecycle
    is_web = call.kind == "web"
    return {
        "id": int(call.call_id),
        "assistant_name": life.agent.name,
        "campaign_name": life.campaign,
        "type": call.kind,
        "duration": life.talk_seconds if state.is_over else None,
        "assistant_phone_number": None if is_web else call.line,
        "client_phone_number": None if is_web else call.customer.number,
        "status": status_of(state),
        "transcript": _transcript(state),
        "variables": {"customer_name": call.customer_name} if call.customer_name and call.shape("variables", 2) else [],
        "evaluation": _evaluation(state),
        "webhook_response": {"status": 200} if call.shape("webhook", 3) == 0 else [],
        "carrier_cost": _cost(state, life.carrier_cost) if state.is_priced else None,
        "total_cost": _cost(state, life.cost) if state.is_priced else None,
        "answered_by": answered_by(state),
        "recording_url": recording_url(state),
        "created_at": _time(state, call.created_at),
        "updated_at": _time(state, updated_at(state)),
    }


def status_of(state: CallSnapshot) -> str:
    """Autocalls' status."""
    if not state.is_over:
        return {Stage.DIALING: "initiated", Stage.RINGING: "ringing"}.get(state.stage, "in-progress")
    if state.lifecycle.outcome == "completed":
        said = {"customer": "ended_by_customer", "agent": "ended_by_assistant"}[state.lifecycle.ended_by]
        return ("completed", "ended", said, said)[state.call.shape("status", 4)]
    # A call that a machine answers has the status of one that nobody answered.
    return {"no_answer": "no-answer", "voicemail": "no-answer"}.get(state.lifecycle.outcome, state.lifecycle.outcome)


def answered_by(state: CallSnapshot) -> str | None:
    """human, machine, unknown or None."""
    if state.is_over and state.lifecycle.outcome == "voicemail":
        return "machine"
    if state.is_over and state.lifecycle.outcome == "completed":
        return ("human", "human", "human", "unknown", None)[state.call.shape("answered", 5)]
    return None


def updated_at(state: CallSnapshot) -> datetime:
    """The last change: the stage that was reached last, or an override since."""
    overrides = (override.at.replace(microsecond=0) for override in state.call.overrides if override.at <= state.at)
    return max([state.lifecycle.reached[state.stage], *overrides])


def recording_url(state: CallSnapshot) -> str | None:
    """The recording of an answered call, once the call is priced."""
    has_recording = state.is_priced and state.lifecycle.is_answered
    return f"https://media.autocalls.example/{state.call.call_id}.mp3" if has_recording else None


def render_page(quirks: Quirks, page: VendorPage) -> bytes:
    """The page's JSON; next_page_url drops the filters, as Autocalls does."""
    number, shown = page.query.page, len(page.records)
    tail: JsonObject = {
        "current_page": number,
        "from": page.query.skip + 1 if shown else None,
        "to": page.query.skip + shown if shown else None,
        "per_page": page.query.size,
        "last_page": page.last,
        "next_page_url": f"{page.path}?page={number + 1}" if page.has_next else None,
        "prev_page_url": f"{page.path}?page={number - 1}" if number > 1 else None,
        "path": page.path,
    }
    if page.total is not None:
        tail["total"] = page.total
    return b'{"data":[' + b",".join(page.records) + b"]," + to_json(tail)[1:]


def _facet(state: CallSnapshot, name: str) -> str:
    if name == "campaign_id":
        return str(CAMPAIGNS.index(state.lifecycle.campaign) + 1) if state.lifecycle.campaign else ""
    return {"status": status_of(state), "type": state.call.kind, "phone_number": state.call.customer.number}[name]


def _transcript(state: CallSnapshot) -> object:
    if not state.turns:
        return None
    if state.call.shape("transcript", 2):
        labels = LABELS[state.call.shape("language", 4) == 0]
        return "\n".join(f"{labels[turn.speaker]}: {turn.text}" for turn in state.lifecycle.turns)
    answered_at = state.lifecycle.reached[Stage.TALKING].timestamp()

    def event(turn: Utterance, kind: str) -> JsonObject:
        at = answered_at + turn.offset
        return {"text": turn.text, "type": kind, "sender": SENDERS[turn.speaker], "timestamp": at}

    events = [event(turn, "transcript") for turn in state.turns]
    if state.call.shape("tool", 3) == 0:
        events.insert(1, event(Utterance("agent", "check_slot", 1), "tool_call"))
    return events


def _evaluation(state: CallSnapshot) -> object:
    if not state.is_evaluated:
        return []
    mood = state.lifecycle.sentiment
    if state.call.shape("evaluation", 2):
        return {"goal_reached": bool(state.call.shape("goal", 2)), "mood": mood}
    return [{"name": "mood", "type": "string", "value": mood, "description": "How the caller felt"}]


def _cost(state: CallSnapshot, amount: Decimal) -> object:
    return f"{amount:.8f}" if state.call.shape("cost", 2) else float(amount)


def _time(state: CallSnapshot, moment: datetime) -> str:
    pattern = "%Y-%m-%d %H:%M:%S" if state.call.shape("time", 2) else "%Y-%m-%dT%H:%M:%S.000000Z"
    return moment.strftime(pattern)


def _day(text: str) -> date | None:
    if text and not DAY.fullmatch(text):
        raise ValueError(text)
    return date.fromisoformat(text) if text else None


def _bad(name: str, message: str) -> VendorResponse:
    return VendorResponse(422, JSON, to_json({"message": message, "errors": {name: [message]}}))


VENDOR = Vendor("autocalls", "/user/calls", KEY, reject, read, render, render_page)
