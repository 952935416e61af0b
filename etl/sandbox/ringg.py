"""A call of the sandbox becomes a record of Ringg's call history, and a request to it becomes what it asks for."""

import csv
import io
from datetime import UTC, datetime, timedelta

from etl.sandbox.conversations import Utterance
from etl.sandbox.http_messages import RecordBytes, VendorRequest, VendorResponse, answered, dumped
from etl.sandbox.lifecycle import Stage
from etl.sandbox.simulated_call import SimulatedCall
from etl.sandbox.vendor import CallSnapshot, ListQuery, Quirks, Vendor, VendorPage, integer

KEY = "sandbox-ringg-key"
SPEAKERS = {"agent": "bot", "customer": "user"}
STATUSES = {"completed": "completed", "no_answer": "failed", "busy": "failed", "failed": "error",
            "canceled": "cancelled", "voicemail": "completed"}  # fmt: skip
SUB_STATUSES = {"no_answer": "NO_ANSWER", "busy": "BUSY", "voicemail": "VOICEMAIL_DETECTED"}


def refuse(request: VendorRequest) -> VendorResponse | None:
    """401 as the page shows it, unless the key is right."""
    if request.headers.get("x-api-key") == KEY:
        return None
    return answered({"error": {"code": "401 Unauthorized", "message": "Invalid credentials"}}, 401)


def read(manner: Quirks, request: VendorRequest) -> ListQuery | VendorResponse:
    """Limit, offset and filters of a list request; 400 names the parameter that is wrong."""
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

    def match(seen: CallSnapshot) -> bool:
        return agent in ("", seen.story.agent.agent_id) and status in ("", status_of(seen))

    variant = "csv" if request.text("download").lower() == "true" else ""
    chosen = match if agent or status else None
    return ListQuery(offset, min(limit, manner.ringg_limit), 0, keep, offset, (start, end), chosen, variant=variant)


def show(seen: CallSnapshot, variant: str = "") -> RecordBytes:
    """One record; the shapes of its fields differ from call to call as they do at the provider."""
    call, story = seen.call, seen.story
    priced = seen.stage >= Stage.PRICED
    record: RecordBytes = {
        "id": call.call_id,
        "to_number": call.callee or None,
        "name": call.customer_name,
        "status": status_of(seen),
        "transcript": _transcript(seen),
        "audio_recording": _recording(seen) if priced and story.is_answered else None,
        "created_at": _time(call.created_at),
        "agent": {"id": story.agent.agent_id, "agent_name": story.agent.name},
        "call_duration": duration(seen),
        "call_attempt_time": _time(attempted_at(seen)),
        "call_cost": float(story.cost) if priced else None,
        "call_type": {"web": "webcall"}.get(call.kind, call.kind),
        "inbound_from": call.caller if call.kind == "inbound" else None,
    }
    return record | (_extras(seen) if call.shape("extras", 2) else {})


def status_of(seen: CallSnapshot) -> str:
    """The provider's own word."""
    if not seen.is_over:
        return {Stage.DIALING: "registered", Stage.RETRY: "retry"}.get(seen.stage, "ongoing")
    if seen.story.outcome == "completed" and seen.call.shape("forwarded", 12) == 0:
        return "forwarded"
    return STATUSES[seen.story.outcome]


def attempted_at(seen: CallSnapshot) -> datetime | None:
    """When it was last dialled: a retry moves it."""
    if seen.stage < Stage.RINGING:
        return None
    if seen.story.is_retried and seen.stage > Stage.RETRY:
        return seen.story.reached[Stage.TALKING] - timedelta(seconds=4)
    return seen.story.reached[Stage.RINGING]


def duration(seen: CallSnapshot) -> int | float | None:
    """Seconds of talk, for some calls with a half; None while it goes on."""
    if not seen.is_over:
        return None
    seconds = seen.story.talk_seconds
    return seconds + 0.5 if seconds and seen.call.shape("duration", 3) == 0 else seconds


def print_page(manner: Quirks, page: VendorPage) -> bytes:
    """The page's envelope, or a CSV file where that was asked for."""
    if page.asked.variant == "csv":
        out = io.StringIO()
        csv.writer(out).writerows([("id",), *((each,) for each in page.ids)])
        return out.getvalue().encode()
    tail: RecordBytes = {"limit": page.asked.size, "offset": page.asked.offset, "count": len(page.records)}
    total = page.total if manner.ringg_total == "number" or not isinstance(page.total, int) else "many"
    if total is not None:
        tail["total"] = total
    return b'{"calls":[' + b",".join(page.records) + b"]," + dumped(tail)[1:]


def _extras(seen: CallSnapshot) -> RecordBytes:
    call, story = seen.call, seen.story
    return {
        "credits_processed": seen.stage >= Stage.PRICED,
        "from_numbers": [call.line] if call.kind == "outbound" else [],
        "voicemail_detected": seen.is_over and story.outcome == "voicemail",
        "sub_status": SUB_STATUSES.get(story.outcome) if seen.is_over else None,
        "currency": "INR",
    } | ({} if call.shape("agent", 2) else {"agent": _agent(seen)})


def _agent(seen: CallSnapshot) -> RecordBytes:
    agent = seen.story.agent
    return {"id": agent.agent_id, "agent_name": agent.name, "agent_version_id": f"{agent.agent_id[:8]}-v3",
            "orchestration_mode": "single_prompt"}  # fmt: skip


def _transcript(seen: CallSnapshot) -> str | None:
    if not seen.has_turns:
        return "" if seen.call.shape("no transcript", 2) else None
    turns = seen.story.turns
    shape = seen.call.shape("transcript", 6)
    if shape < 2:
        return "\n".join(f"{SPEAKERS[turn.speaker]}: {turn.text}" for turn in turns)
    said = [_role_and_content(turn) if shape == 2 else {SPEAKERS[turn.speaker]: turn.text} for turn in turns]
    return dumped(said).decode()


def _role_and_content(turn: Utterance) -> dict[str, str]:
    return {"role": SPEAKERS[turn.speaker], "content": turn.text}


def _recording(seen: CallSnapshot) -> str:
    # A signed link lives for a day and comes anew with every day on which the call is listed.
    day = f"{seen.at:%Y%m%d}"
    return (f"https://recordings.ringg.example/{seen.call.call_id}.mp3?X-Amz-Date={day}T000000Z&X-Amz-Expires=86400"
            f"&X-Amz-Signature={seen.call.shape(day, 2**32):08x}")  # fmt: skip


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
    return answered({"error": {"code": "invalid_parameter", "message": message}}, 400)


PROVIDER = Vendor("ringg", "/calling/history", KEY, refuse, read, show, print_page)
