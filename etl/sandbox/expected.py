"""A world at a moment → the rows that a complete warehouse has, from the calls themselves.

Nothing here reads rendered records. A column is left out where the provider's record does not decide it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from etl.sandbox import autocalls, ravan, ringg, vaani
from etl.sandbox.http_messages import JsonObject
from etl.sandbox.lifecycle import Stage
from etl.sandbox.vendor import CallSnapshot
from etl.sandbox.world import World


def expected_rows(world: World, provider: str, at: datetime | None = None) -> list[JsonObject]:
    """One row per listed call, oldest first: columns of bi.calls, and `turns` as (speaker, text) without tool events.

    Times are UTC, costs and durations Decimal, absent values None. Raises KeyError for an unknown provider.
    """
    moment = at or world.now()
    return [_row(world, world.snapshot(call, moment)) for call in world.calls(provider, moment)]


def _row(world: World, state: CallSnapshot) -> JsonObject:
    call, life = state.call, state.lifecycle
    special = {"ringg": _ringg, "ravan": _ravan, "autocalls": _autocalls, "vaani": _vaani}[call.provider]
    turns = ravan.turns_of(state) if call.provider == "ravan" else state.turns
    fields: JsonObject = {
        "provider_call_id": call.call_id,
        "direction": call.kind,
        "outcome": life.outcome if state.is_over else "in_progress",
        "is_final": state.is_over,
        "agent_id": life.agent.agent_id,
        "agent_name": life.agent.name,
        "created_at": call.created_at,
        "answered_at": None,
        "updated_at": None,
        "duration_seconds": Decimal(life.talk_seconds) if state.is_over else None,
        "cost": life.cost if state.is_priced else None,
        "customer_number": None if call.kind == "web" else call.customer.number,
        "turns": [(turn.speaker, turn.text) for turn in turns],
        "has_transcript": bool(turns),
    }
    fields |= special(state, world.phones)
    if fields["direction"] == "unknown":  # both numbers are the organisation's own
        del fields["customer_number"]
    return fields


def _ringg(state: CallSnapshot, phones: Sequence[str]) -> JsonObject:
    call, life = state.call, state.lifecycle
    is_plain = not call.shape("extras", 2)
    duration, started = ringg.duration(state), ringg.attempted_at(state)
    seconds = None if duration is None else Decimal(str(duration))
    fields: JsonObject = {
        "provider_status": ringg.status_of(state),
        "is_final": state.is_over and (is_plain or state.is_priced),
        "customer_name": call.customer_name,
        "started_at": started,
        "ended_at": started + timedelta(seconds=float(seconds)) if started and seconds is not None else None,
        "duration_seconds": seconds,
        "campaign_name": None,
    }
    if ringg.is_transferred(state):
        fields["outcome"] = "transferred"
    elif is_plain and state.is_over:
        # Without sub_status and voicemail_detected only the status decides.
        unclear = {"no_answer": "failed", "busy": "failed", "voicemail": "completed"}
        fields["outcome"] = unclear.get(life.outcome, life.outcome)
    if call.kind == "inbound":
        fields |= {"from_number": call.customer.number, "to_number": call.line}
    return fields


def _ravan(state: CallSnapshot, phones: Sequence[str]) -> JsonObject:
    call, life = state.call, state.lifecycle
    ours = (call.caller in phones, call.callee in phones)
    direction = {(True, False): "outbound", (False, True): "inbound"}.get(ours, "unknown")
    return {
        "provider_status": ravan.status_of(state),
        "direction": direction,
        "from_number": call.caller,
        "to_number": call.callee,
        "customer_name": call.customer_name,
        "customer_email": call.customer.email if call.customer_name else None,
        "started_at": ravan.started_at(state),
        "ended_at": state.when(Stage.ENDED),
        "ended_by": life.ended_by if state.is_over and life.is_answered else "unknown",
        "summary": life.summary if state.turns else None,
        "sentiment": life.sentiment if state.is_evaluated else None,
        "latency_ms": life.latency_ms if state.is_over and life.is_answered else None,
    }


def _autocalls(state: CallSnapshot, phones: Sequence[str]) -> JsonObject:
    call, life = state.call, state.lifecycle
    is_web, status = call.kind == "web", autocalls.status_of(state)
    ended_by = {"ended_by_customer": "customer", "ended_by_assistant": "agent"}
    return {
        "provider_status": status,
        "agent_id": None,
        "campaign_name": life.campaign,
        "from_number": None if is_web else call.caller,
        "to_number": None if is_web else call.callee,
        "agent_number": None if is_web else call.line,
        "customer_name": call.customer_name if call.shape("variables", 2) else None,
        "started_at": None,
        "ended_at": None,
        "updated_at": autocalls.updated_at(state),
        "answered_by": autocalls.answered_by(state) or "unknown",
        "ended_by": ended_by.get(status, "unknown"),
        "recording_url": autocalls.recording_url(state),
    }


def _vaani(state: CallSnapshot, phones: Sequence[str]) -> JsonObject:
    call, life = state.call, state.lifecycle
    ended = state.when(Stage.ENDED)
    microseconds = (ended - call.created_at) // timedelta(microseconds=1) if ended else 0
    is_transferred = vaani.is_transferred(state)
    return {
        "provider_status": vaani.status_of(state),
        "is_final": state.stage >= Stage.TRANSCRIBED,
        "agent_number": call.line,
        "from_number": call.caller,
        "to_number": call.callee,
        "started_at": state.when(Stage.RINGING) and life.reached[Stage.DIALING],
        "answered_at": state.when(Stage.TALKING) if life.is_answered else None,
        "ended_at": ended,
        "duration_seconds": Decimal(microseconds) / 1_000_000 if ended else None,
        "ended_by": life.ended_by if state.is_over and life.is_answered and not is_transferred else "unknown",
        "summary": life.summary if state.turns else None,
    } | ({"outcome": "transferred"} if is_transferred else {})
