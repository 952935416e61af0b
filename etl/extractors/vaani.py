"""Vaani's call history and its transcripts → pages, columns and turns. Its page: Get Call History, Vaani's API docs."""

import re
from decimal import Decimal
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from etl import fields
from etl.extractors._envelope import check_position, page
from etl.fields.transcript_text import turns_of
from etl.fields.turns import turns
from etl.fields.vocabulary import DIRECTIONS, LONGEST_WORD, OUTCOMES, lookup
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
# call_status is English about how the call ended: whole words of it are known, the rest is told by the timestamps.
SAYS = (
    ("voicemail", re.compile(r"\bvoice ?mail\b")),
    ("busy", re.compile(r"\b(busy|reject\w*)\b")),
    ("failed", re.compile(r"\b(fail\w*|error\w*)\b")),
)
SAYS_WHO = (
    ("customer", re.compile(r"\b(user|customer|caller) (disconnected|hung up|ended)\b")),
    ("agent", re.compile(r"\b(agent|assistant|bot) (disconnected|hung up|ended)\b")),
)
NOT_READY = "transcript not found"


def ask(a: PageRequest) -> HttpRequest:
    """Pages of the whole list: there is no filter."""
    return HttpRequest("/api/call-history", {"page": str(a.position), "page_size": str(a.size)})


def read(a: PageRequest, body: ResponseBody) -> Page:
    """``has_next`` is the provider's own word on where the list ends."""
    shown = body.get("pagination")
    numbers: dict[str, Any] = shown if isinstance(shown, dict) else {}
    check_position(numbers.get("page"), a.position)
    has_next = numbers.get("has_next")
    is_last = not has_next if isinstance(has_next, bool) else None
    return page(body, "data", numbers.get("total_count"), numbers.get("page_size"), is_last)


def _has(key: str, reading: RecordContext) -> bool:
    return not fields.is_empty(reading.record.get(key))


@lru_cache(maxsize=1 << 10)
def _said(text: str) -> tuple[str | None, str | None, str]:
    """What a text says: an outcome that it names as a whole, one that it mentions, and who ended the call."""
    words = re.sub(r"[\s_\-]+", " ", text.lower())
    mentioned = next((outcome for outcome, pattern in SAYS if pattern.search(words)), None)
    who = next((who for who, pattern in SAYS_WHO if pattern.search(words)), "unknown")
    return lookup(OUTCOMES, words), mentioned, who


def _text(reading: RecordContext) -> tuple[str | None, str | None, str]:
    return _said((reading.row["provider_status"] or "")[:LONGEST_WORD])


def _outcome(reading: RecordContext) -> str:
    """What the text says, where it says one; else no end is live, and an end is answered or not."""
    (named, mentioned, _), is_live = _text(reading), reading.row["is_live"]
    if named and (is_live or named != "in_progress"):
        return named
    if mentioned or is_live:
        return mentioned or "in_progress"
    return "completed" if reading.row["is_answered"] else "no_answer"


def _ended_by(reading: RecordContext) -> str:
    return _text(reading)[2]


def _direction(reading: RecordContext) -> str:
    """``direction`` is Outbound or Incoming where ``call_type`` is Outbound or Inbound."""
    said = fields.word_at(reading, "direction", DIRECTIONS), fields.word_at(reading, "call_type", DIRECTIONS)
    return next((word for word in said if word not in (None, "unknown")), None) or "unknown"


def _is_processed(reading: RecordContext) -> bool | None:
    """Summary, cost and transcript still come until the post-processing is completed."""
    word = fields.meaning_of(reading, "post_processing_status", PROCESSING)
    if word is None and _has("post_processing_status", reading):
        fields.flag_unknown_value(reading, "post_processing_status", str(reading.record["post_processing_status"]))
        return None
    return word == "completed"


_measured = fields.between("created_at", "ended_at")


def _duration(reading: RecordContext) -> Decimal | None:
    """From the times; ``duration_ms`` is neither that nor the time of talk, so it is only compared."""
    measured: Decimal | None = _measured.read(reading)
    said = fields.decimal_of(reading.record.get("duration_ms"))
    if measured is not None and said is not None and abs(said / 1000 - measured) > 1:
        reading.flags.append("duration_differs")
    return measured


def _analysis(reading: RecordContext) -> dict[str, Any] | None:
    record = reading.record
    return {name: value for name in ANALYSIS if not fields.is_empty(value := record.get(name))} or None


COLUMNS: dict[str, Field] = {
    "provider_status": fields.text("call_status"),
    "is_live": Field((), lambda reading: not _has("End_time", reading)),
    "is_answered": Field((), lambda reading: _has("user_picked_up_at", reading)),
    "outcome": Field((), _outcome),
    "ended_by": Field((), _ended_by),
    "is_final": fields.all_of(_is_processed, lambda reading: _has("End_time", reading)),
    "direction": Field(("direction", "call_type"), _direction),
    "agent_id": fields.text("agent_id"),
    "agent_name": fields.text("agent_name"),
    "from_number": fields.phone_number("from_number"),
    "to_number": fields.phone_number("to_number"),
    "metadata": fields.json("call_metadata"),
    "customer_name": Field((), fields.text("call_metadata.name").read),
    "started_at": fields.utc("call_dialing_at"),
    "answered_at": fields.utc("user_picked_up_at"),
    "ended_at": fields.utc("End_time"),
    "duration_seconds": Field((), _duration),
    "duration_basis": fields.constant("timestamps", where="duration_seconds"),
    "cost": fields.money("call_cost"),
    "recording_url": fields.text("recording_api"),
    "summary": fields.text("call_summary"),
    "analysis": Field(ANALYSIS, _analysis),
}


def ask_transcript(call_id: str) -> HttpRequest:
    """The address is built here: the one in the record is data, and no place to send a key to."""
    return HttpRequest(f"/api/transcript/{quote(call_id, safe='')}")


def read_transcript(body: ResponseBody) -> tuple[Turn, ...]:
    """Not ready is a text under ``transcript``, or a ``status_code`` of 404 in the body, perhaps under HTTP 200."""
    transcript, code = body.get("transcript"), fields.decimal_of(body.get("status_code"))
    is_text = isinstance(transcript, str)
    if code == 404 or (is_text and transcript.strip().lower().startswith(NOT_READY)):
        raise TranscriptNotReady
    if (
        "transcript" not in body
        or (code is not None and code >= 400)
        or not isinstance(transcript, str | list | dict | None)
    ):
        raise InvalidResponse("the answer has no transcript")
    found = tuple(turns_of(transcript or ""))
    if not found:
        raise TranscriptNotReady
    return found


def credential(key: str) -> tuple[str, str]:
    """The header that carries the key."""
    return "X-API-KEY", key


PROVIDER = Provider(
    name="vaani",
    title="Vaani",
    base_url="https://api.vaanivoice.ai",
    credential=credential,
    cost_unit="credits",
    page_size=200,
    paging=Paging.PAGES,
    date_filter=DateFilter.NONE,
    ask=ask,
    read=read,
    call_id=fields.identity("call_id"),
    created_at=fields.utc("Start_time"),
    columns=COLUMNS,
    turns=turns("chat_history"),
    extra=frozenset(
        {
            "callback_id",
            "callback_requested",
            "callback_status",
            "call_ringing_at",
            "call_transcription",
            "client_id",
            "client_name",
            "duration_ms",
            "post_processing_status",
        }
    ),
    transcript=TranscriptRequest(ask_transcript, read_transcript),
)
