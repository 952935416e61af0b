"""A call of the sandbox becomes a record of Vaani's history or a transcript, and a request what it asks for."""

from datetime import datetime

from etl.sandbox.http_messages import RecordBytes, VendorRequest, VendorResponse, answered, dumped
from etl.sandbox.lifecycle import Stage
from etl.sandbox.personas import stable_uuid
from etl.sandbox.vendor import CallSnapshot, ListQuery, Quirks, Vendor, VendorPage, integer

KEY = "sandbox-vaani-key"
CLIENT_ID = "9abf5eff-e978-4e87-954d-7ff6ba570796"
HOST = "https://api.vaanivoice.example"
NOT_READY = {"transcript": "Transcript not found in Azure Blob Storage", "status_code": 404}
TEXTS = {
    "no_answer": ("User did not pick up", "Not answered"),
    "busy": ("Line busy", "Call rejected"),
    "failed": ("Call failed", "Error: SIP 480"),
    "canceled": ("Canceled", "Canceled"),
    "voicemail": ("Voicemail reached", "Voicemail reached"),
}
LABELS = {"agent": "AGENT", "customer": "USER"}


def refuse(request: VendorRequest) -> VendorResponse | None:
    """401 unless the key is right."""
    return None if request.headers.get("x-api-key") == KEY else answered({"detail": "Invalid or missing API key"}, 401)


def read(manner: Quirks, request: VendorRequest) -> ListQuery | VendorResponse:
    """Page and page size of a list request; 422 as the page shows it for what is no number."""
    page, size = integer(request.text("page"), 1), integer(request.text("page_size"), 50)
    if page is None or page < 1:
        return answered({"detail": [_fault("page", page)]}, 422)
    if size is None or size < 1:
        return answered({"detail": [_fault("page_size", size)]}, 422)
    size = min(size, 200)
    return ListQuery((page - 1) * size, size, page, lambda call: True)


def show(seen: CallSnapshot, variant: str = "") -> RecordBytes:
    """One record; it lives in its timestamps, its status is English text."""
    call, story = seen.call, seen.story
    outbound, priced = call.kind == "outbound", seen.stage >= Stage.PRICED
    return {
        "call_id": call.call_id,
        "call_type": "Outbound" if outbound else "Inbound",
        "call_status": status_of(seen),
        "direction": "Outbound" if outbound else ("Inbound", "Incoming")[call.shape("direction", 2)],
        "agent_name": story.agent.name,
        "agent_id": story.agent.agent_id,
        "client_name": "brightline",
        "client_id": CLIENT_ID,
        "from_number": call.caller,
        "to_number": call.callee,
        "Start_time": _time(call.created_at),
        "End_time": _time(seen.when(Stage.ENDED)),
        "duration_ms": 700 + call.shape("duration", 90_000) / 1000 if seen.is_over else None,
        "call_cost": float(story.cost) if priced else None,
        "call_summary": story.summary if seen.has_turns else "",
        "call_entity": {"mood": story.sentiment} if seen.has_turns else {},
        "call_eval_tag": ("resolved", "not enough data")[call.shape("tag", 2)] if _is_judged(seen) else "",
        "call_conversation_quality": {"score": 1 + call.shape("score", 5)} if _is_judged(seen) else {},
        "post_processing_status": processing(seen),
        "call_dialing_at": _time(seen.when(Stage.RINGING) and story.reached[Stage.DIALING]),
        "call_ringing_at": _time(seen.when(Stage.RINGING)),
        "user_picked_up_at": _time(seen.when(Stage.TALKING) if story.is_answered else None),
        "recording_api": f"{HOST}/api/stream/{call.call_id}",
        "call_transcription": f"{HOST}/api/transcript/{call.call_id}",
        "call_metadata": {"name": call.customer_name, "phone": call.customer.number, "agent_name": story.agent.name,
                          "agent_id": story.agent.agent_id, "client_id": CLIENT_ID},
        "chat_history": _chat(seen) if seen.has_turns and call.shape("chat", 5) == 0 else [],
        "callback_requested": call.shape("callback", 20) == 0,
        "callback_id": stable_uuid(call.call_id) if call.shape("callback", 20) == 0 else None,
        "callback_status": "scheduled" if call.shape("callback", 20) == 0 else None,
    }  # fmt: skip


def status_of(seen: CallSnapshot) -> str:
    """The provider's own text."""
    if not seen.is_over:
        return ("Dialing", "Ringing", "Ringing", "In progress")[seen.stage]
    if seen.story.outcome == "completed":
        return "User disconnected" if seen.story.ended_by == "customer" else "Agent disconnected"
    return TEXTS[seen.story.outcome][seen.call.shape("text", 2)]


def processing(seen: CallSnapshot) -> str:
    """How far the call's post-processing is."""
    if not seen.is_over:
        return "not_processed"
    return ("pending", "processing", "completed")[min(seen.stage, Stage.TRANSCRIBED) - Stage.ENDED]


def print_page(manner: Quirks, page: VendorPage) -> bytes:
    """The page's envelope."""
    numbers: RecordBytes = {"page": page.asked.page, "page_size": page.asked.size}
    if page.total is not None:
        numbers["total_count"] = page.total
    numbers |= {"total_pages": page.last, "has_next": page.has_next, "has_previous": page.asked.page > 1}
    return b'{"data":[' + b",".join(page.records) + b'],"pagination":' + dumped(numbers) + b"}"


def detail(seen: CallSnapshot) -> VendorResponse:
    """The transcript, as labelled text, with or without clock times, or as a list; or that there is none yet."""
    if not seen.has_turns:
        return answered(NOT_READY, 404 if seen.call.shape("not ready", 4) == 0 else 200)
    if seen.call.shape("transcript", 5) == 0:
        return answered({"transcript": _chat(seen), "status_code": 200})
    lines = [_stamp(seen, turn.offset) + f"{LABELS[turn.speaker]}: {turn.text}" for turn in seen.story.turns]
    return answered({"transcript": "\n\n ".join(lines), "status_code": 200})


def _stamp(seen: CallSnapshot, offset: int) -> str:
    if seen.call.shape("transcript", 5) != 1:
        return ""
    return f"[{offset // 3600:02d}:{offset // 60 % 60:02d}:{offset % 60:02d}] "


def _chat(seen: CallSnapshot) -> list[RecordBytes]:
    return [{"role": LABELS[turn.speaker].lower(), "content": turn.text} for turn in seen.story.turns]


def _is_judged(seen: CallSnapshot) -> bool:
    return seen.stage >= Stage.EVALUATED and bool(seen.story.turns)


def _time(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") if moment else None


def _fault(name: str, value: int | None) -> RecordBytes:
    if value is None:
        return {"loc": ["query", name], "msg": "value is not a valid integer", "type": "type_error.integer"}
    return {"loc": ["query", name], "msg": "ensure this value is greater than or equal to 1",
            "type": "value_error.number.not_ge"}  # fmt: skip


PROVIDER = Vendor(
    "vaani", "/api/call-history", KEY, refuse, read, show, print_page,
    detail, "/api/transcript/", {"detail": "Call not found"},
)  # fmt: skip
