"""A call of the sandbox becomes a record of Ravan's phone history, and a request to it becomes what it asks for."""

from dataclasses import replace
from datetime import datetime

from etl.sandbox.conversations import Utterance
from etl.sandbox.http_messages import RecordBytes, VendorRequest, VendorResponse, answered, dumped
from etl.sandbox.lifecycle import Stage
from etl.sandbox.personas import stable_uuid
from etl.sandbox.simulated_call import SimulatedCall
from etl.sandbox.vendor import CallSnapshot, ListQuery, Quirks, Vendor, VendorPage, integer

KEY = "sandbox-ravan-key"
ORGANIZATION_ID = "0b2c1d3e-4f56-4789-9abc-def012345678"
ROLES = {"agent": "agent", "customer": "user", "unknown": ""}
REASONS = {"customer": "user_hangup", "agent": "agent_hangup"}
# Half a year: the provider's own example dates its turns that far before the call.
STRAY_MS = 182 * 86_400_000


def refuse(request: VendorRequest) -> VendorResponse | None:
    """401 unless the key, or a bearer token, is right."""
    bearer = request.headers.get("authorization", "")
    if request.headers.get("x-api-key") == KEY or bearer == f"Bearer {KEY}":
        return None
    return answered({"success": False, "message": "Authentication required"}, 401)


def read(manner: Quirks, request: VendorRequest) -> ListQuery | VendorResponse:
    """Phone, page and page size of a list request; the phone is looked up as it was sent, character by character."""
    phone = request.query.get("phone", "")
    if not phone:
        return answered({"success": False, "message": "phone is required"}, 400)
    page, size = integer(request.text("page"), 1), integer(request.text("page_size"), 20)
    if page is None or page < 1 or size is None or size < 1:
        return answered({"success": False, "message": "invalid page or page_size"}, 400)
    size = min(size, 100)
    variant = "transcripts" if request.query.get("include_transcripts") == "true" else ""

    def keep(call: SimulatedCall) -> bool:
        return phone in (call.caller, call.callee)

    return ListQuery((page - 1) * size, size, page, keep, by=(phone,), phone=phone, variant=variant)


def show(seen: CallSnapshot, variant: str = "") -> RecordBytes:
    """One record; `transcripts` is there only when it was asked for."""
    call, story = seen.call, seen.story
    priced, plain = seen.stage >= Stage.PRICED, call.shape("cost", 3)
    record: RecordBytes = {
        "id": call.call_id,
        "agent_id": story.agent.agent_id,
        "agent_name": story.agent.name,
        "organization_id": ORGANIZATION_ID,
        "caller_number": call.caller,
        "callee_number": call.callee,
        "caller_name": call.customer_name or "",
        "caller_email": call.customer.email if call.customer_name else "",
        "channel": channel(seen),
        "status": status_of(seen),
        "summary": story.summary if seen.has_turns else "",
        "recording_url": f"https://media.ravan.example/sessions/{call.call_id}/recording" if priced else "",
        "duration_sec": story.talk_seconds if seen.is_over else None,
        "cost_total": (f"{story.cost}00" if plain == 0 else str(story.cost)) if priced else None,
        "twilio_cost": float(story.carrier_cost) if priced else None,
        "model_cost": float(story.model_cost) if priced else None,
        "credit_breakdown": _credits(seen) if priced else None,
        "disconnect_reason": _reason(seen),
        "call_latency_ms": story.latency_ms if seen.is_over and story.is_answered else None,
        "error_message": "SIP 503 Service Unavailable" if status_of(seen) in ("failed", "error") else "",
        "post_call_analysis_result": _analysis(seen),
        "metadata": {"source": "crm"} if call.shape("metadata", 2) else {},
        "started_at": _time(started_at(seen)),
        "ended_at": _time(seen.when(Stage.ENDED)),
        "created_at": _time(call.created_at),
    }
    return record | ({"transcripts": _transcripts(seen)} if variant else {})


def channel(seen: CallSnapshot) -> str:
    """The channel's word: inbound_call says the direction, the others do not."""
    if seen.call.kind == "inbound" and seen.call.shape("channel", 3) == 0:
        return "inbound_call"
    return (
        "phone" if seen.call.kind == "internal" else ("phone", "voice", "sip", "phone")[seen.call.shape("channel", 4)]
    )


def status_of(seen: CallSnapshot) -> str:
    """The provider's own word, in one of its spellings."""
    plain = seen.call.shape("status", 2)
    if not seen.is_over:
        live = {Stage.DIALING: "pending", Stage.RINGING: "ringing"}
        return live.get(seen.stage, ("in progress", "in_progress")[plain])
    words = {
        "no_answer": ("no_answer", "no-answer"),
        "failed": ("failed", "error"),
        "canceled": ("cancelled", "canceled"),
    }
    return words.get(seen.story.outcome, (seen.story.outcome,) * 2)[plain]


def started_at(seen: CallSnapshot) -> datetime | None:
    """When talk began, or when it rang where nobody answered."""
    return seen.when(Stage.TALKING if seen.story.is_answered else Stage.RINGING)


def turns_of(seen: CallSnapshot) -> tuple[Utterance, ...]:
    """The turns as they are shown: in some transcripts the last one has lost its role."""
    turns = seen.story.turns if seen.has_turns else ()
    if turns and not _is_text(seen) and seen.call.shape("role", 8) == 0:
        return (*turns[:-1], replace(turns[-1], speaker="unknown"))
    return turns


def print_page(manner: Quirks, page: VendorPage) -> bytes:
    """The page's envelope."""
    head: RecordBytes = {"success": True, "message": "call history retrieved successfully", "phone": page.asked.phone}
    if page.total is not None:
        head["total_count"] = page.total
    head |= {"page": page.asked.page, "page_size": page.asked.size}
    return dumped(head)[:-1] + b',"calls":[' + b",".join(page.records) + b"]}"


def _credits(seen: CallSnapshot) -> RecordBytes:
    return {"model_credits": float(seen.story.model_cost), "provider_credits": float(seen.story.carrier_cost),
            "telephony_base_credits": 0.31}  # fmt: skip


def _reason(seen: CallSnapshot) -> str:
    if not seen.is_over:
        return ""
    return REASONS[seen.story.ended_by] if seen.story.is_answered else seen.story.outcome


def _analysis(seen: CallSnapshot) -> RecordBytes:
    if seen.stage < Stage.EVALUATED or not seen.story.turns:
        return {}
    values: RecordBytes = {"sentiment": seen.story.sentiment, "wants_callback": bool(seen.call.shape("callback", 2))}
    if seen.call.shape("analysis", 2):
        return values
    return {
        name: {"type": "string" if isinstance(value, str) else "boolean", "value": value}
        for name, value in values.items()
    }


def _transcripts(seen: CallSnapshot) -> object:
    if not seen.has_turns:
        return []
    if _is_text(seen):
        return "\n".join(f"{'Agent' if t.speaker == 'agent' else 'User'}: {t.text}" for t in seen.story.turns)
    return [_turn(seen, turn, place) for place, turn in enumerate(turns_of(seen))]


def _is_text(seen: CallSnapshot) -> bool:
    return seen.call.shape("transcripts", 6) == 0


def _turn(seen: CallSnapshot, turn: Utterance, place: int) -> RecordBytes:
    call, answered_at = seen.call, seen.story.reached[Stage.TALKING]
    spoken_ms = round(answered_at.timestamp() * 1000) + turn.offset * 1000
    if call.shape("timestamp", 4) == 0:
        spoken_ms -= STRAY_MS
    said: RecordBytes = {"role": ROLES[turn.speaker], "content": turn.text}
    is_flat = call.shape("message", 3) == 0
    return {
        "id": stable_uuid(call.call_id, place),
        "call_session_id": call.call_id,
        **({"role": said["role"], "message": turn.text} if is_flat else {"message": said}),
        "timestamp_ms": spoken_ms,
        "created_at": _time(answered_at),
    }


def _time(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


PROVIDER = Vendor("ravan", "/api/v1/calling/phone-history", KEY, refuse, read, show, print_page)
