"""Ravan's phone history: a request → its query, a call → its record."""

from dataclasses import replace
from datetime import datetime

from etl.sandbox.conversations import Utterance
from etl.sandbox.http_messages import JsonObject, VendorRequest, VendorResponse, json_response, to_json
from etl.sandbox.lifecycle import Stage
from etl.sandbox.personas import stable_uuid
from etl.sandbox.simulated_call import SimulatedCall
from etl.sandbox.vendor import CallSnapshot, ListQuery, Quirks, Vendor, VendorPage, integer

KEY = "sandbox-ravan-key"
ORGANIZATION_ID = "0b2c1d3e-4f56-4789-9abc-def012345678"
ROLES = {"agent": "agent", "customer": "user", "unknown": ""}
REASONS = {"customer": "user_hangup", "agent": "agent_hangup"}
SPELLINGS = {"no_answer": ("no_answer", "no-answer"), "failed": ("failed", "error"),
             "canceled": ("cancelled", "canceled")}  # fmt: skip
STRAY_MS = 182 * 86_400_000  # Ravan's example dates its turns half a year before the call


def reject(request: VendorRequest) -> VendorResponse | None:
    """401, unless the key or bearer token is right."""
    bearer = request.headers.get("authorization", "")
    if request.headers.get("x-api-key") == KEY or bearer == f"Bearer {KEY}":
        return None
    return json_response({"success": False, "message": "Authentication required"}, 401)


def read(quirks: Quirks, request: VendorRequest) -> ListQuery | VendorResponse:
    """Phone, page and page size of a list request; the phone has to match character by character."""
    phone = request.query.get("phone", "")
    if not phone:
        return json_response({"success": False, "message": "phone is required"}, 400)
    page, size = integer(request.text("page"), 1), integer(request.text("page_size"), 20)
    if page is None or page < 1 or size is None or size < 1:
        return json_response({"success": False, "message": "invalid page or page_size"}, 400)
    size = min(size, 100)
    variant = "transcripts" if request.query.get("include_transcripts") == "true" else ""

    def keep(call: SimulatedCall) -> bool:
        return phone in (call.caller, call.callee)

    return ListQuery((page - 1) * size, size, page, keep, filters=(phone,), phone=phone, variant=variant)


def render(state: CallSnapshot, variant: str = "") -> JsonObject:
    """One record, with `transcripts` where they were requested."""
    call, life = state.call, state.lifecycle
    record: JsonObject = {
        "id": call.call_id,
        "agent_id": life.agent.agent_id,
        "agent_name": life.agent.name,
        "organization_id": ORGANIZATION_ID,
        "caller_number": call.caller,
        "callee_number": call.callee,
        "caller_name": call.customer_name or "",
        "caller_email": call.customer.email if call.customer_name else "",
        "channel": channel(state),
        "status": status_of(state),
        "summary": life.summary if state.turns else "",
        "recording_url": f"https://media.ravan.example/sessions/{call.call_id}/recording" if state.is_priced else "",
        "duration_sec": life.talk_seconds if state.is_over else None,
        "cost_total": f"{life.cost}{'' if call.shape('cost', 3) else '00'}" if state.is_priced else None,
        "twilio_cost": float(life.carrier_cost) if state.is_priced else None,
        "model_cost": float(life.model_cost) if state.is_priced else None,
        "credit_breakdown": _credits(state) if state.is_priced else None,
        "disconnect_reason": _reason(state),
        "call_latency_ms": life.latency_ms if state.is_over and life.is_answered else None,
        "error_message": "SIP 503 Service Unavailable" if status_of(state) in ("failed", "error") else "",
        "post_call_analysis_result": _analysis(state),
        "metadata": {"source": "crm"} if call.shape("metadata", 2) else {},
        "started_at": _time(started_at(state)),
        "ended_at": _time(state.when(Stage.ENDED)),
        "created_at": _time(call.created_at),
    }
    return record | ({"transcripts": _transcripts(state)} if variant else {})


def channel(state: CallSnapshot) -> str:
    """The channel: inbound_call gives the direction, the others do not."""
    if state.call.kind == "inbound" and state.call.shape("channel", 3) == 0:
        return "inbound_call"
    shape = 0 if state.call.kind == "internal" else state.call.shape("channel", 4)
    return ("phone", "voice", "sip", "phone")[shape]


def status_of(state: CallSnapshot) -> str:
    """Ravan's status, in one of its spellings."""
    plain = state.call.shape("status", 2)
    if not state.is_over:
        live = {Stage.DIALING: "pending", Stage.RINGING: "ringing"}
        return live.get(state.stage, ("in progress", "in_progress")[plain])
    return SPELLINGS.get(state.lifecycle.outcome, (state.lifecycle.outcome,) * 2)[plain]


def started_at(state: CallSnapshot) -> datetime | None:
    """When the call was answered, or when it rang where nobody answered."""
    return state.when(Stage.TALKING if state.lifecycle.is_answered else Stage.RINGING)


def turns_of(state: CallSnapshot) -> tuple[Utterance, ...]:
    """The turns as shown: in some transcripts the last one has no role."""
    turns = state.turns
    if turns and not _is_text(state) and state.call.shape("role", 8) == 0:
        return (*turns[:-1], replace(turns[-1], speaker="unknown"))
    return turns


def render_page(quirks: Quirks, page: VendorPage) -> bytes:
    """The page's JSON."""
    head: JsonObject = {"success": True, "message": "call history retrieved successfully", "phone": page.query.phone}
    if page.total is not None:
        head["total_count"] = page.total
    head |= {"page": page.query.page, "page_size": page.query.size}
    return to_json(head)[:-1] + b',"calls":[' + b",".join(page.records) + b"]}"


def _credits(state: CallSnapshot) -> JsonObject:
    return {"model_credits": float(state.lifecycle.model_cost), "provider_credits": float(state.lifecycle.carrier_cost),
            "telephony_base_credits": 0.31}  # fmt: skip


def _reason(state: CallSnapshot) -> str:
    if not state.is_over:
        return ""
    return REASONS[state.lifecycle.ended_by] if state.lifecycle.is_answered else state.lifecycle.outcome


def _analysis(state: CallSnapshot) -> JsonObject:
    if not state.is_evaluated:
        return {}
    mood, wants_callback = state.lifecycle.sentiment, bool(state.call.shape("callback", 2))
    if state.call.shape("analysis", 2):
        return {"sentiment": mood, "wants_callback": wants_callback}
    return {("sentiment", "sentiments")[state.call.shape("plural", 3) == 0]: {"type": "string", "value": mood},
            "wants_callback": {"type": "boolean", "value": wants_callback}}  # fmt: skip


def _transcripts(state: CallSnapshot) -> object:
    if not state.turns:
        return []
    if _is_text(state):
        own_name = state.call.shape("labels", 5) > 2  # its first word, beside an empty label
        agent, customer = (state.lifecycle.agent.name.split()[0], "") if own_name else ("Agent", "User")
        return "\n".join(f"{agent if t.speaker == 'agent' else customer}: {t.text}" for t in state.lifecycle.turns)
    return [_turn(state, turn, index) for index, turn in enumerate(turns_of(state))]


def _is_text(state: CallSnapshot) -> bool:
    return state.call.shape("transcripts", 6) == 0


def _turn(state: CallSnapshot, turn: Utterance, index: int) -> JsonObject:
    call, answered_at = state.call, state.lifecycle.reached[Stage.TALKING]
    spoken_ms = round(answered_at.timestamp() * 1000) + turn.offset * 1000
    if call.shape("timestamp", 4) == 0:
        spoken_ms -= STRAY_MS
    role, is_flat = ROLES[turn.speaker], call.shape("message", 3) == 0
    return {
        "id": stable_uuid(call.call_id, index),
        "call_session_id": call.call_id,
        **({"role": role, "message": turn.text} if is_flat else {"message": {"role": role, "content": turn.text}}),
        "timestamp_ms": spoken_ms,
        "created_at": _time(answered_at),
    }


def _time(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


VENDOR = Vendor("ravan", "/api/v1/calling/phone-history", KEY, reject, read, render, render_page)
