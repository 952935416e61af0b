"""Ringg's call history: a request → its query, a call → its record."""

from datetime import UTC, datetime, timedelta

from etl.sandbox.http_messages import JsonObject, VendorRequest, VendorResponse, json_response, to_json
from etl.sandbox.lifecycle import Stage
from etl.sandbox.simulated_call import SimulatedCall
from etl.sandbox.vendor import CallSnapshot, ListQuery, Quirks, Vendor, VendorPage, integer

KEY = "sandbox-ringg-key"
SPEAKERS = {"agent": "bot", "customer": "user"}
STATUSES = {"completed": "completed", "no_answer": "failed", "busy": "failed", "failed": "error",
            "canceled": "cancelled", "voicemail": "completed"}  # fmt: skip
SUB_STATUSES = {"no_answer": "NO_ANSWER", "busy": "BUSY", "voicemail": "VOICEMAIL_DETECTED"}


def reject(request: VendorRequest) -> VendorResponse | None:
    """401 as documented, unless the key is right."""
    if request.headers.get("x-api-key") == KEY:
        return None
    return json_response({"error": {"code": "401 Unauthorized", "message": "Invalid credentials"}}, 401)


def read(quirks: Quirks, request: VendorRequest) -> ListQuery | VendorResponse:
    """Limit, offset and filters of a list request; 400 for an invalid one."""
    limit, offset = integer(request.text("limit"), 10), integer(request.text("offset"), 0)
    if limit is None or limit < 1:
        return _bad("Invalid value for limit.")
    if offset is None or offset < 0:
        return _bad("Invalid value for offset.")
    bounds: list[datetime | None] = []
    for name in ("start_date", "end_date"):
        try:
            bounds.append(_instant(request.query.get(name, "")))
        except ValueError:
            return _bad(f"Invalid date format for {name}.")
    start, end, agent, status = bounds[0], bounds[1], request.text("agent_id"), request.text("status")

    def keep(call: SimulatedCall) -> bool:
        return not ((start and call.created_at < start) or (end and call.created_at > end))

    def match(state: CallSnapshot) -> bool:
        return agent in ("", state.lifecycle.agent.agent_id) and status in ("", status_of(state))

    variant = "csv" if request.text("download").lower() == "true" else ""
    chosen = match if agent or status else None
    return ListQuery(offset, min(limit, 100), 0, keep, offset, (start, end), chosen, variant=variant)


def render(state: CallSnapshot, variant: str = "") -> JsonObject:
    """One record; the shapes of its fields differ from call to call, as they do at Ringg."""
    call, life = state.call, state.lifecycle
    version = {"agent_version_id": f"{life.agent.agent_id[:8]}-v3", "orchestration_mode": "single_prompt"}
    has_extras, has_version = call.shape("extras", 2), call.shape("extras", 2) and not call.shape("agent", 2)
    record: JsonObject = {
        "id": call.call_id,
        "to_number": call.callee or None,
        "name": call.customer_name,
        "status": status_of(state),
        "transcript": _transcript(state),
        "audio_recording": _recording(state) if state.is_priced and life.is_answered else None,
        "created_at": _time(call.created_at),
        "agent": {"id": life.agent.agent_id, "agent_name": life.agent.name} | (version if has_version else {}),
        "call_duration": duration(state),
        "call_attempt_time": _time(attempted_at(state)),
        "call_cost": float(life.cost) if state.is_priced else None,
        "call_type": {"web": "webcall"}.get(call.kind, call.kind),
        "inbound_from": call.caller if call.kind == "inbound" else None,
    }
    return record | (_extras(state) if has_extras else {})


def status_of(state: CallSnapshot) -> str:
    """Ringg's status."""
    if not state.is_over:
        return {Stage.DIALING: "registered", Stage.RETRY: "retry"}.get(state.stage, "ongoing")
    if is_transferred(state):
        return "forwarded"
    return STATUSES[state.lifecycle.outcome]


def is_transferred(state: CallSnapshot) -> bool:
    """Whether the agent handed the call on."""
    return state.is_over and state.lifecycle.outcome == "completed" and state.call.shape("forwarded", 12) == 0


def attempted_at(state: CallSnapshot) -> datetime | None:
    """When the call was last dialled: a retry changes it."""
    if state.stage < Stage.RINGING:
        return None
    if state.lifecycle.is_retried and state.stage > Stage.RETRY:
        return state.lifecycle.reached[Stage.TALKING] - timedelta(seconds=4)
    return state.lifecycle.reached[Stage.RINGING]


def duration(state: CallSnapshot) -> int | float | None:
    """Seconds of talk, for some calls with a half; None until the call has ended."""
    if not state.is_over:
        return None
    seconds = state.lifecycle.talk_seconds
    return seconds + 0.5 if seconds and state.call.shape("duration", 3) == 0 else seconds


def render_page(quirks: Quirks, page: VendorPage) -> bytes:
    """The page's JSON, or a CSV file for `download=true`."""
    if page.query.variant == "csv":
        return "\r\n".join(("id", *page.ids, "")).encode()
    tail: JsonObject = {"limit": page.query.size, "offset": page.query.offset, "count": len(page.records)}
    total = page.total if quirks.ringg_total == "number" or not isinstance(page.total, int) else "many"
    if total is not None:
        tail["total"] = total
    return b'{"calls":[' + b",".join(page.records) + b"]," + to_json(tail)[1:]


def _extras(state: CallSnapshot) -> JsonObject:
    call, life = state.call, state.lifecycle
    return {
        "credits_processed": state.is_priced,
        "from_numbers": [call.line] if call.kind == "outbound" else [],
        "voicemail_detected": state.is_over and life.outcome == "voicemail",
        "sub_status": SUB_STATUSES.get(life.outcome) if state.is_over else None,
        "currency": "INR",
    }


def _transcript(state: CallSnapshot) -> str | None:
    if not state.turns:
        return "" if state.call.shape("no transcript", 2) else None
    turns = state.lifecycle.turns
    shape = state.call.shape("transcript", 6)
    if shape < 2:
        return "\n".join(f"{SPEAKERS[turn.speaker]}: {turn.text}" for turn in turns)
    said = [(SPEAKERS[turn.speaker], turn.text) for turn in turns]
    if shape == 3:
        beside: JsonObject = {
            "message_id": state.call.call_id,
            "timestamp": _time(state.lifecycle.reached[Stage.TALKING]),
        }
        return to_json([{role: text, **beside} for role, text in said]).decode()
    return to_json([{"role": role, "content": text} if shape == 2 else {role: text} for role, text in said]).decode()


def _recording(state: CallSnapshot) -> str:
    # A signed link is valid for a day, and another one is listed every day.
    day = f"{state.at:%Y%m%d}"
    return (f"https://recordings.ringg.example/{state.call.call_id}.mp3?X-Amz-Date={day}T000000Z&X-Amz-Expires=86400"
            f"&X-Amz-Signature={state.call.shape(day, 2**32):08x}")  # fmt: skip


def _time(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.isoformat() if moment.microsecond else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _instant(text: str) -> datetime | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _bad(message: str) -> VendorResponse:
    return json_response({"error": {"code": "invalid_parameter", "message": message}}, 400)


VENDOR = Vendor("ringg", "/calling/history", KEY, reject, read, render, render_page)
