"""Vaani's call history and transcripts → pages, columns and turns.

Documented as "Get Call History" (https://api.vaanivoice.ai/api/call-history) and "Get Transcript".
"""

import re
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from etl import fields
from etl.extractors._envelope import check_call, check_position, page, rows_before
from etl.fields.transcript_text import is_conversation
from etl.fields.turns import spoken, turns
from etl.fields.vocabulary import DIRECTIONS, MAX_WORD_LENGTH, OUTCOMES, lookup
from etl.model import (
    DateFilter,
    Field,
    HttpRequest,
    InvalidResponse,
    Page,
    PageRequest,
    Paging,
    Provider,
    RecordContext,
    ResponseBody,
    TranscriptNotReady,
    TranscriptRequest,
    Turn,
)

ANALYSIS = ("call_entity", "call_eval_tag", "call_conversation_quality")
PROCESSING = {"completed": "completed", "processing": "going_on", "pending": "going_on", "notprocessed": "going_on"}
# call_status is English text about how the call ended: these words are known, else the timestamps decide.
OUTCOME_WORDS = (
    ("voicemail", re.compile(r"\bvoice ?mail\b")),
    ("transferred", re.compile(r"\b(transferred|forwarded)\b")),
    ("busy", re.compile(r"\b(busy|reject\w*)\b")),
    ("failed", re.compile(r"\b(fail\w*|error\w*)\b")),
)
ENDED_BY = (
    ("customer", re.compile(r"\b(user|customer|caller) (disconnected|hung up|ended)\b")),
    ("agent", re.compile(r"\b(agent|assistant|bot) (disconnected|hung up|ended)\b")),
)
_chat = turns("chat_history")


def ask(request: PageRequest) -> HttpRequest:
    """Pages of the whole list: Vaani has no filter."""
    return HttpRequest("/api/call-history", {"page": str(request.position), "page_size": str(request.size)})


def read(request: PageRequest, body: ResponseBody) -> Page:
    """``has_next`` says whether this is the last page."""
    shown = body.get("pagination")
    numbers: dict[str, Any] = shown if isinstance(shown, dict) else {}
    check_position(numbers.get("page"), request.position)
    has_next = numbers.get("has_next")
    is_last = not has_next if isinstance(has_next, bool) else None
    return page(
        body, "data", numbers.get("total_count"), numbers.get("page_size"), is_last, before=rows_before(request)
    )


@lru_cache(maxsize=1 << 10)
def _parse_status(text: str) -> tuple[str | None, str | None, str]:
    """The outcome that the text as a whole names, an outcome that it mentions, and who ended the call."""
    words = re.sub(r"[\s_\-]+", " ", text.lower())
    mentioned = next((outcome for outcome, pattern in OUTCOME_WORDS if pattern.search(words)), None)
    who = next((who for who, pattern in ENDED_BY if pattern.search(words)), "unknown")
    return lookup(OUTCOMES, words), mentioned, who


def _status(context: RecordContext) -> tuple[str | None, str | None, str]:
    return _parse_status((context.row["provider_status"] or "")[:MAX_WORD_LENGTH])


def _outcome(context: RecordContext) -> str:
    """The outcome in the text; without one, the call goes on until it has an end, and was answered or not."""
    (named, mentioned, _), is_live = _status(context), context.row["is_live"]
    if named and (is_live or named != "in_progress"):
        return named
    if mentioned or is_live:
        return mentioned or "in_progress"
    return "completed" if context.row["is_answered"] else "no_answer"


def _ended_by(context: RecordContext) -> str:
    return _status(context)[2]


def _direction(context: RecordContext) -> str:
    """``direction``, else ``call_type``: Incoming in the one is Inbound in the other."""
    found = fields.word_at(context, "direction", DIRECTIONS), fields.word_at(context, "call_type", DIRECTIONS)
    return next((word for word in found if word not in (None, "unknown")), None) or "unknown"


def _is_processed(context: RecordContext) -> bool | None:
    """Summary, cost and transcript can still arrive until the post-processing is completed."""
    word = fields.known_word(context, "post_processing_status", PROCESSING)
    if word is None and not fields.is_unset(context.record.get("post_processing_status")):
        fields.flag_unknown_value(context, "post_processing_status", str(context.record["post_processing_status"]))
        return None
    return word == "completed"


_measured = fields.between("created_at", "ended_at")


def _duration(context: RecordContext) -> Decimal | None:
    """From the timestamps; ``duration_ms`` measures something undocumented and is only compared."""
    measured: Decimal | None = _measured.read(context)
    stated = fields.decimal_of(context.record.get("duration_ms"))
    if measured is not None and stated is not None and abs(stated / 1000 - measured) > 1:
        context.flags.append("duration_differs")
    return measured


def _analysis(context: RecordContext) -> dict[str, Any] | None:
    record = context.record
    return {name: value for name in ANALYSIS if not fields.is_unset(value := record.get(name))} or None


COLUMNS: dict[str, Field] = {
    "provider_status": fields.name("call_status"),
    "answered_at": fields.utc("user_picked_up_at"),
    "ended_at": fields.utc("End_time"),
    "is_live": Field((), lambda context: context.row["ended_at"] is None, needs=("ended_at",)),
    "is_answered": Field((), lambda context: context.row["answered_at"] is not None, needs=("answered_at",)),
    "outcome": Field((), _outcome, needs=("provider_status", "is_live", "is_answered")),
    "ended_by": Field((), _ended_by, needs=("provider_status",)),
    "is_final": fields.all_of(_is_processed, fields.is_over, needs=("is_live",)),
    "direction": Field(("direction", "call_type"), _direction),
    "agent_id": fields.name("agent_id"),
    "agent_name": fields.name("agent_name"),
    "from_number": fields.phone_number("from_number"),
    "to_number": fields.phone_number("to_number"),
    "metadata": fields.json("call_metadata"),
    "customer_name": replace(fields.name("call_metadata.name"), paths=()),
    "started_at": fields.utc("call_dialing_at"),
    "duration_seconds": Field((), _duration, needs=_measured.needs),
    "duration_basis": fields.constant("timestamps", where="duration_seconds"),
    "cost": fields.money("call_cost"),
    "recording_url": fields.text("recording_api"),
    "analysis": Field(ANALYSIS, _analysis),
    "summary": fields.in_analysis(*fields.SUMMARY, otherwise="call_summary"),
}


def ask_transcript(call_id: str) -> HttpRequest:
    """The path is built here: the URL in the record is data, and must not receive the key."""
    return HttpRequest(f"/api/transcript/{quote(call_id, safe='')}")


def read_transcript(context: RecordContext, body: ResponseBody) -> tuple[Turn, ...]:
    """A transcript that is not ready is a text saying so, an ``error``, or another ``status_code`` than 200.

    All of these come under HTTP 200 as well.
    """
    transcript, code = body.get("transcript"), fields.decimal_of(body.get("status_code"))
    check_call(body.get("call_id"), context.call_id)
    for item in transcript if isinstance(transcript, list) else [transcript]:
        check_call(item.get("call_id") if isinstance(item, dict) else None, context.call_id)
    has_error = not fields.is_unset(body.get("error")) and not fields.is_false(body.get("error"))
    is_coming = lookup(PROCESSING, body.get("status")) == "going_on"
    if has_error or is_coming or code == 404 or (code is not None and code != 200 and code < 400):
        raise TranscriptNotReady
    if "transcript" not in body or code not in (None, 200) or not isinstance(transcript, str | list | dict | None):
        raise InvalidResponse("the response has no transcript")
    found = spoken(context, transcript or "")
    if not is_conversation(found):
        raise TranscriptNotReady
    return found


def _chat_history(context: RecordContext) -> tuple[Turn, ...]:
    """A text in place of the turns says why there are none: the transcript's own request may bring them."""
    found: tuple[Turn, ...] = _chat.read(context)
    return found if is_conversation(found) else ()


EXTRA = frozenset(
    {"callback_id", "callback_requested", "callback_status", "call_ringing_at", "call_transcription"}
    | {"client_id", "client_name", "duration_ms", "post_processing_status"}
)
PROVIDER = Provider(
    name="vaani",
    title="Vaani",
    base_url="https://api.vaanivoice.ai",
    credential=lambda key: ("X-API-KEY", key),
    cost_unit="vaani_credits",
    page_size=200,
    paging=Paging.PAGES,
    date_filter=DateFilter.NONE,
    ask=ask,
    read=read,
    call_id=fields.identity("call_id"),
    created_at=fields.utc("Start_time"),
    columns=COLUMNS,
    turns=Field(_chat.paths, _chat_history),
    extra=EXTRA,
    transcript=TranscriptRequest(ask_transcript, read_transcript),
)
