"""A world at a moment becomes what a warehouse that lost nothing must hold of it, told from the calls themselves.

Nothing here looks at printed records. A key is left out where the provider's record leaves the column open.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from etl.sandbox import autocalls, ravan, ringg, vaani
from etl.sandbox.http_messages import RecordBytes
from etl.sandbox.lifecycle import Stage
from etl.sandbox.vendor import CallSnapshot
from etl.sandbox.world import World


def expected_rows(world: World, provider: str, at: datetime | None = None) -> list[RecordBytes]:
    """One dict per listed call, oldest first: the columns of bi.calls, and `turns` as a list of (speaker, text), which
    are what people and agents said: a tool's event in Autocalls' array is none of them.

    Times are aware and UTC, money and durations Decimal, absent values None. Raises KeyError for an unknown provider.
    """
    moment = at or world.now()
    return [_known(world, world.seen(call, moment)) for call in world.calls(provider, moment)]


def _known(world: World, seen: CallSnapshot) -> RecordBytes:
    special = {"ringg": _ringg, "ravan": _ravan, "autocalls": _autocalls, "vaani": _vaani}[seen.call.provider]
    shown = ravan.turns_of(seen) if seen.call.provider == "ravan" else seen.story.turns if seen.has_turns else ()
    turns = [(turn.speaker, turn.text) for turn in shown]
    fields: RecordBytes = {
        "provider_call_id": seen.call.call_id,
        "direction": seen.call.kind,
        "outcome": seen.story.outcome if seen.is_over else "in_progress",
        "agent_name": seen.story.agent.name,
        "created_at": seen.call.created_at,
        "cost": seen.story.cost if seen.stage >= Stage.PRICED else None,
        "customer_number": None if seen.call.kind == "web" else seen.call.customer.number,
        "turns": turns,
        "has_transcript": bool(turns),
    }
    fields |= special(seen, world.phones)
    if fields["direction"] == "unknown":
        # Both numbers are the organisation's own: nothing says which of them is the customer.
        del fields["customer_number"]
    return fields


def _ringg(seen: CallSnapshot, phones: Sequence[str]) -> RecordBytes:
    call, story = seen.call, seen.story
    is_plain = not call.shape("extras", 2)
    said, started, length = ringg.duration(seen), ringg.attempted_at(seen), None
    if said is not None:
        length = Decimal(str(said))
    fields: RecordBytes = {
        "provider_status": ringg.status_of(seen),
        "is_final": seen.is_over and (is_plain or seen.stage >= Stage.PRICED),
        "agent_id": story.agent.agent_id,
        "customer_name": call.customer_name,
        "started_at": started,
        "answered_at": None,
        "ended_at": started + timedelta(seconds=float(length)) if started and length is not None else None,
        "updated_at": None,
        "duration_seconds": length,
        "campaign_name": None,
    }
    if is_plain and seen.is_over:
        # Without sub_status and voicemail_detected the status is all that is known.
        fields["outcome"] = {"no_answer": "failed", "busy": "failed", "voicemail": "completed"}.get(
            story.outcome, story.outcome
        )
    if call.kind == "inbound":
        fields |= {"from_number": call.customer.number, "to_number": call.line}
    return fields


def _ravan(seen: CallSnapshot, phones: Sequence[str]) -> RecordBytes:
    call, story = seen.call, seen.story
    ours = (call.caller in phones, call.callee in phones)
    direction = {(True, False): "outbound", (False, True): "inbound"}.get(ours, "unknown")
    has_analysis = seen.stage >= Stage.EVALUATED and story.turns
    return {
        "provider_status": ravan.status_of(seen),
        "is_final": seen.is_over,
        "direction": direction,
        "agent_id": story.agent.agent_id,
        "from_number": call.caller,
        "to_number": call.callee,
        "customer_name": call.customer_name,
        "customer_email": call.customer.email if call.customer_name else None,
        "started_at": ravan.started_at(seen),
        "answered_at": None,
        "ended_at": seen.when(Stage.ENDED),
        "updated_at": None,
        "duration_seconds": Decimal(story.talk_seconds) if seen.is_over else None,
        "ended_by": story.ended_by if seen.is_over and story.is_answered else "unknown",
        "summary": story.summary if seen.has_turns else None,
        "sentiment": story.sentiment if has_analysis else None,
        "latency_ms": story.latency_ms if seen.is_over and story.is_answered else None,
    }


def _autocalls(seen: CallSnapshot, phones: Sequence[str]) -> RecordBytes:
    call, story = seen.call, seen.story
    is_web, status = call.kind == "web", autocalls.status_of(seen)
    priced = seen.stage >= Stage.PRICED
    ended_by = {"ended_by_customer": "customer", "ended_by_assistant": "agent"}
    return {
        "provider_status": status,
        "is_final": seen.is_over,
        "campaign_name": story.campaign,
        "from_number": None if is_web else call.caller,
        "to_number": None if is_web else call.callee,
        "agent_number": None if is_web else call.line,
        "started_at": None,
        "answered_at": None,
        "ended_at": None,
        "updated_at": autocalls.updated_at(seen),
        "duration_seconds": Decimal(story.talk_seconds) if seen.is_over else None,
        "answered_by": autocalls.answered_by(seen) or "unknown",
        "ended_by": ended_by.get(status, "unknown"),
        "recording_url": f"https://media.autocalls.example/{call.call_id}.mp3"
        if priced and story.is_answered
        else None,
    }


def _vaani(seen: CallSnapshot, phones: Sequence[str]) -> RecordBytes:
    call, story = seen.call, seen.story
    ended = seen.when(Stage.ENDED)
    return {
        "provider_status": vaani.status_of(seen),
        "is_final": seen.stage >= Stage.TRANSCRIBED,
        "agent_id": story.agent.agent_id,
        "agent_number": call.line,
        "from_number": call.caller,
        "to_number": call.callee,
        "started_at": seen.when(Stage.RINGING) and story.reached[Stage.DIALING],
        "answered_at": seen.when(Stage.TALKING) if story.is_answered else None,
        "ended_at": ended,
        "updated_at": None,
        "duration_seconds": _seconds(ended - call.created_at) if ended else None,
        "ended_by": story.ended_by if seen.is_over and story.is_answered else "unknown",
        "summary": story.summary if seen.has_turns else None,
    }


def _seconds(span: timedelta) -> Decimal:
    return Decimal(span // timedelta(microseconds=1)) / 1_000_000
