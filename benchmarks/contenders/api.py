"""The four providers' lists and Vaani's transcripts with as little as HTTP takes; and one record as one wide row.

What every contender but Callhouse reads with, so that they differ in the loading alone.
"""

import itertools
import json
import os
import re
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import msgspec

COLUMNS = (
    ("source", "text"), ("id", "text"), ("direction", "text"), ("status", "text"), ("agent_id", "text"),
    ("agent_name", "text"), ("campaign", "text"), ("from_number", "text"), ("to_number", "text"),
    ("customer_name", "text"), ("customer_email", "text"), ("created_at", "timestamptz"), ("started_at", "timestamptz"),
    ("answered_at", "timestamptz"), ("ended_at", "timestamptz"), ("updated_at", "timestamptz"), ("seconds", "numeric"),
    ("cost", "numeric"), ("costs", "jsonb"), ("answered_by", "text"), ("recording_url", "text"), ("summary", "text"),
    ("error", "text"), ("latency_ms", "numeric"), ("analysis", "jsonb"), ("metadata", "jsonb"),
)  # fmt: skip
LABEL = re.compile(r"^ ?(?:\[[\d :-]+\] )?(\w*): ", re.MULTILINE)
SPEAKERS = {
    **dict.fromkeys(("bot", "agent", "ai", "assistent"), "agent"),
    **dict.fromkeys(("user", "human", "customer", "kunde", ""), "customer"),  # a text may label the agent alone
}
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)

Row = tuple[Any, ...]
Spoken = tuple[str, str, datetime | None]  # speaker, text and time


class Page(msgspec.Struct):
    """The records of a page, whatever the provider calls them."""

    calls: list[msgspec.Raw] | None = None
    data: list[msgspec.Raw] | None = None


pages = msgspec.json.Decoder(Page)
decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
encode = msgspec.json.Encoder(decimal_format="number").encode


class Connection:
    """One keep-alive connection that knows as much of HTTP/1.1 as the simulator speaks."""

    def __init__(self, origin: str) -> None:
        address = urlsplit(origin)
        self._socket = socket.create_connection((address.hostname, address.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._host = address.netloc

    def get(self, path: str, headers: str) -> bytes:
        """The body of an answer."""
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n{headers}\r\n\r\n".encode())
        received = self._socket.recv(1 << 16)
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._socket.recv(1 << 16)
        size = end + 4 + int(LENGTH.search(received)[1])  # type: ignore[index]
        parts, missing = [received], size - len(received)
        while missing:
            parts.append(self._socket.recv(min(missing, 1 << 20)))
            missing -= len(parts[-1])
        return b"".join(parts)[end + 4 :]


class Record(NamedTuple):
    """One record of one source: its bytes, and what reads it."""

    source: str
    payload: bytes
    read: Callable[[dict[str, Any]], tuple[Row, Any]]


class Api:
    """The lists that the environment names."""

    def __init__(self) -> None:
        said = json.loads(os.environ["BENCH_SIMULATOR"])
        self.origin: str = said["origin"]
        self.phones: list[str] = said["phones"]
        self._headers = {name: f"X-API-KEY: {key}" for name, key in said["keys"].items()}
        self._headers["apart"] = self._headers["vaani"]
        self._headers["autocalls"] = f"Authorization: Bearer {said['keys']['autocalls']}\r\nAccept: application/json"
        self._connection = Connection(self.origin)
        self.sources = os.environ["BENCH_SOURCES"].split(",")

    def pages(self) -> Iterator[list[Record]]:
        """Every record of every list, page by page."""
        for source in self.sources:
            read = READERS[source]
            for path, size, first, step in self._lists(source):
                for position in itertools.count(first, step):
                    page = pages.decode(self._connection.get(path.format(position), self._headers[source]))
                    found = page.data if page.calls is None else page.calls
                    yield [Record(source, bytes(each), read) for each in found or ()]
                    if len(found or ()) < size:
                        break

    def transcript(self, connection: Connection, source: str, call_id: str) -> Any:
        """What a request for one transcript gives."""
        body = connection.get(f"/{source}/api/transcript/{call_id}", self._headers[source])
        said = json.loads(body)
        return None if said.get("status_code") == 404 else said["transcript"]

    def _lists(self, source: str) -> Iterator[tuple[str, int, int, int]]:
        if source == "ringg":
            days = "start_date=2015-01-01T00:00:00%2B00:00&end_date=2027-01-01T00:00:00%2B00:00"
            yield f"/ringg/calling/history?{days}&limit=100&offset={{}}", 100, 0, 100
        elif source == "ravan":
            for phone in self.phones:
                asked = f"phone={quote(phone)}&page_size=100&include_transcripts=true&page={{}}"
                yield f"/ravan/api/v1/calling/phone-history?{asked}", 100, 1, 1
        elif source == "autocalls":
            yield "/autocalls/user/calls?per_page=100&page={}", 100, 1, 1
        else:
            yield f"/{source}/api/call-history?page_size=200&page={{}}", 200, 1, 1


def when(text: str | None) -> datetime | None:
    """A time as any of the four writes it."""
    if text is None or text[0] == "N":  # Vaani's None and NaN
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def decimal(value: Any) -> Decimal | None:
    """A number, exact."""
    return None if value is None else Decimal(value)


def as_json(value: Any) -> str | None:
    """The text of a jsonb column."""
    return encode(value).decode() if value else None


def spoken(transcript: Any) -> list[Spoken]:
    """Speaker, text and time of each turn."""
    if not transcript:
        return []
    if isinstance(transcript, str):
        if transcript[0] != "[" or transcript[1] != "{":
            parts = LABEL.split(transcript)
            return [  # any other label is the agent's own name
                (SPEAKERS.get(who.lower(), "agent"), text.strip(), None)
                for who, text in zip(parts[1::2], parts[2::2], strict=True)
            ]
        transcript = json.loads(transcript)
    return [_turn(each) for each in transcript]


def _turn(each: dict[str, Any]) -> Spoken:
    if "sender" in each:
        who = SPEAKERS[each["sender"]] if each["type"] == "transcript" else "system"
        return who, each["text"], datetime.fromtimestamp(float(each["timestamp"]), UTC)
    if "message" in each:
        message = each["message"]
        said = message if isinstance(message, dict) else {"role": each["role"], "content": message}
        return (
            SPEAKERS[said["role"]] if said["role"] else "unknown",
            said["content"],
            datetime.fromtimestamp(each["timestamp_ms"] / 1000, UTC),
        )
    if "role" in each:
        return SPEAKERS[each["role"]], each["content"], None
    who = "bot" if "bot" in each else "user"
    return SPEAKERS[who], each[who], when(each.get("timestamp"))


def ringg(r: dict[str, Any]) -> tuple[Row, Any]:
    """Ringg's record as a row, and its transcript."""
    start, seconds, agent = when(r["call_attempt_time"]), decimal(r["call_duration"]), r["agent"]
    end = start + timedelta(seconds=float(seconds)) if start and seconds is not None else None
    row = ("ringg", r["id"], r["call_type"], r["status"], agent["id"], agent["agent_name"], None, r["inbound_from"],
           r["to_number"], r["name"], None, when(r["created_at"]), start, None, end, None, seconds,
           decimal(r["call_cost"]), None, None, r["audio_recording"], None, None, None, None, None)  # fmt: skip
    return row, r["transcript"]


def ravan(r: dict[str, Any]) -> tuple[Row, Any]:
    """Ravan's record as a row, and its transcript."""
    parts = {"twilio_cost": r["twilio_cost"], "model_cost": r["model_cost"], **(r["credit_breakdown"] or {})}
    row = ("ravan", r["id"], r["channel"], r["status"], r["agent_id"], r["agent_name"], None, r["caller_number"],
           r["callee_number"], r["caller_name"], r["caller_email"], when(r["created_at"]), when(r["started_at"]), None,
           when(r["ended_at"]), None, decimal(r["duration_sec"]), decimal(r["cost_total"]), as_json(parts), None,
           r["recording_url"], r["summary"], r["error_message"], decimal(r["call_latency_ms"]),
           as_json(r["post_call_analysis_result"]), as_json(r["metadata"]))  # fmt: skip
    return row, r["transcripts"]


def autocalls(r: dict[str, Any]) -> tuple[Row, Any]:
    """Autocalls' record as a row, and its transcript."""
    row = ("autocalls", str(r["id"]), r["type"], r["status"], None, r["assistant_name"], r["campaign_name"],
           r["assistant_phone_number"], r["client_phone_number"], None, None, when(r["created_at"]), None, None, None,
           when(r["updated_at"]), decimal(r["duration"]), decimal(r["total_cost"]),
           as_json({"carrier_cost": r["carrier_cost"]}), r["answered_by"], r["recording_url"], None, None, None,
           as_json(r["evaluation"]), as_json(r["variables"]))  # fmt: skip
    return row, r["transcript"]


def vaani(r: dict[str, Any]) -> tuple[Row, Any]:
    """Vaani's record as a row, and its transcript where the list shows it."""
    start, end = when(r["Start_time"]), when(r["End_time"])
    seconds = Decimal((end - start) // timedelta(microseconds=1)).scaleb(-6) if start and end else None
    judged = {name: r[name] for name in ("call_entity", "call_eval_tag", "call_conversation_quality") if r[name]}
    row = ("vaani", r["call_id"], r["direction"], r["call_status"], r["agent_id"], r["agent_name"], None,
           r["from_number"], r["to_number"], r["call_metadata"]["name"], None, start, when(r["call_dialing_at"]),
           when(r["user_picked_up_at"]), end, None, seconds, decimal(r["call_cost"]), None, None, r["recording_api"],
           r["call_summary"], None, None, as_json(judged), as_json(r["call_metadata"]))  # fmt: skip
    return row, r["chat_history"]


READERS = {"ringg": ringg, "ravan": ravan, "autocalls": autocalls, "vaani": vaani, "apart": vaani}
