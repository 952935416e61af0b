"""Vaani's call history and transcripts: a request → its query, a call → its record or transcript."""

from datetime import datetime, timedelta

from etl.sandbox.http_messages import JsonObject, VendorRequest, VendorResponse, json_response, to_json
from etl.sandbox.lifecycle import Stage
from etl.sandbox.personas import stable_uuid
from etl.sandbox.vendor import CallSnapshot, ListQuery, Quirks, Vendor, VendorPage, integer

KEY = "sandbox-vaani-key"
CLIENT_ID = "9abf5eff-e978-4e87-954d-7ff6ba570796"
HOST = "https://api.vaanivoice.example"
NOT_READY: tuple[JsonObject, ...] = (
    {"transcript": "Transcript not found in Azure Blob Storage", "status_code": 404},
    {"transcript": "Error retrieving transcript", "error": "BlobNotFound", "status_code": 200},
    {"transcript": "Processing", "status_code": 202},
)
STAMPS = ("", "[%H:%M:%S] ", "[%Y-%m-%d %H:%M:%S] ")  # the time of day, or the whole time, both in UTC
TEXTS = {
    "no_answer": ("User did not pick up", "Not answered"),
    "busy": ("Line busy", "Call rejected"),
    "failed": ("Call failed", "Error: SIP 480"),
    "canceled": ("Canceled", "Canceled"),
    "voicemail": ("Voicemail reached", "Voicemail reached"),
}
UNSET = (None, None, "None", "NaN")  # a field that is not filled
LABELS = {"agent": "AGENT", "customer": "USER"}


def reject(request: VendorRequest) -> VendorResponse | None:
    """401, unless the key is right."""
    if request.headers.get("x-api-key") == KEY:
        return None
    return json_response({"detail": "Invalid or missing API key"}, 401)


def read(quirks: Quirks, request: VendorRequest) -> ListQuery | VendorResponse:
    """Page and page size of a list request; 422 as documented for an invalid one."""
    page, size = integer(request.text("page"), 1), integer(request.text("page_size"), 50)
    if page is None or page < 1:
        return json_response({"detail": [_fault("page", page)]}, 422)
    if size is None or size < 1:
        return json_response({"detail": [_fault("page_size", size)]}, 422)
    size = min(size, 200)
    return ListQuery((page - 1) * size, size, page, lambda call: True)


def render(state: CallSnapshot, variant: str = "") -> JsonObject:
    """One record: its timestamps show its progress, its status is English text."""
    call, life = state.call, state.lifecycle
    outbound = call.kind == "outbound"
    return {
        "call_id": call.call_id,
        "call_type": "Outbound" if outbound else "Inbound",
        "call_status": status_of(state),
        "direction": "Outbound" if outbound else ("Inbound", "Incoming")[call.shape("direction", 2)],
        "agent_name": life.agent.name,
        "agent_id": life.agent.agent_id,
        "client_name": "brightline",
        "client_id": CLIENT_ID,
        "from_number": call.caller,
        "to_number": call.callee,
        "Start_time": _time(call.created_at),
        "End_time": _time(state.when(Stage.ENDED)),
        "duration_ms": 700 + call.shape("duration", 90_000) / 1000 if state.is_over else None,
        "call_cost": float(life.cost) if state.is_priced else None,
        "call_summary": life.summary if state.turns else "",
        "call_entity": {"mood": life.sentiment} if state.turns else {},
        "call_eval_tag": ("resolved", "not enough data")[call.shape("tag", 2)] if state.is_evaluated else "",
        "call_conversation_quality": {"score": 1 + call.shape("score", 5)} if state.is_evaluated else {},
        "post_processing_status": processing(state),
        "call_dialing_at": _time(state.when(Stage.RINGING) and life.reached[Stage.DIALING]),
        "call_ringing_at": _time(state.when(Stage.RINGING)),
        "user_picked_up_at": _time(state.when(Stage.TALKING)) if life.is_answered else UNSET[call.shape("unset", 4)],
        "recording_api": f"{HOST}/api/stream/{call.call_id}",
        "call_transcription": f"{HOST}/api/transcript/{call.call_id}",
        "call_metadata": {"name": call.customer_name, "phone": call.customer.number, "agent_name": life.agent.name,
                          "agent_id": life.agent.agent_id, "client_id": CLIENT_ID},
        "chat_history": _chat(state) if state.turns and call.shape("chat", 5) == 0 else [],
        "callback_requested": call.shape("callback", 20) == 0,
        "callback_id": stable_uuid(call.call_id) if call.shape("callback", 20) == 0 else None,
        "callback_status": "scheduled" if call.shape("callback", 20) == 0 else None,
    }  # fmt: skip


def status_of(state: CallSnapshot) -> str:
    """Vaani's status."""
    if not state.is_over:
        return ("Dialing", "Ringing", "Ringing", "In progress")[state.stage]
    if is_transferred(state):
        return "Call transferred to a human agent"
    if state.lifecycle.outcome == "completed":
        return "User disconnected" if state.lifecycle.ended_by == "customer" else "Agent disconnected"
    return TEXTS[state.lifecycle.outcome][state.call.shape("text", 2)]


def is_transferred(state: CallSnapshot) -> bool:
    """Whether the agent handed the call on."""
    return state.is_over and state.lifecycle.outcome == "completed" and state.call.shape("transferred", 15) == 0


def processing(state: CallSnapshot) -> str:
    """The status of the post-processing."""
    if not state.is_over:
        return "not_processed"
    return ("pending", "processing", "completed")[min(state.stage, Stage.TRANSCRIBED) - Stage.ENDED]


def render_page(quirks: Quirks, page: VendorPage) -> bytes:
    """The page's JSON."""
    numbers: JsonObject = {"page": page.query.page, "page_size": page.query.size}
    if page.total is not None:
        numbers["total_count"] = page.total
    numbers |= {"total_pages": page.last, "has_next": page.has_next, "has_previous": page.query.page > 1}
    return b'{"data":[' + b",".join(page.records) + b'],"pagination":' + to_json(numbers) + b"}"


def detail(state: CallSnapshot) -> VendorResponse:
    """The transcript as labelled text, with or without times, or as a list; or that there is none yet."""
    if not state.turns:
        shape = state.call.shape("not ready", 4)
        return json_response(NOT_READY[shape % 3], 404 if shape == 0 else 200)
    if state.call.shape("transcript", 5) == 0:
        return json_response({"transcript": _chat(state), "status_code": 200})
    answered_at, stamp = state.lifecycle.reached[Stage.TALKING], STAMPS[state.call.shape("stamp", len(STAMPS))]
    lines = [
        (answered_at + timedelta(seconds=turn.offset)).strftime(stamp) + f"{LABELS[turn.speaker]}: {turn.text}"
        for turn in state.lifecycle.turns
    ]
    return json_response({"transcript": "\n\n ".join(lines), "status_code": 200})


def _chat(state: CallSnapshot) -> list[JsonObject]:
    return [{"role": LABELS[turn.speaker].lower(), "content": turn.text} for turn in state.lifecycle.turns]


def _time(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") if moment else None


def _fault(name: str, value: int | None) -> JsonObject:
    if value is None:
        return {"loc": ["query", name], "msg": "value is not a valid integer", "type": "type_error.integer"}
    return {"loc": ["query", name], "msg": "ensure this value is greater than or equal to 1",
            "type": "value_error.number.not_ge"}  # fmt: skip


VENDOR = Vendor(
    "vaani", "/api/call-history", KEY, reject, read, render, render_page,
    detail, "/api/transcript/", {"detail": "Call not found"},
)  # fmt: skip
