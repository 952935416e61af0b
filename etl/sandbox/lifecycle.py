"""A call → everything that happens to it, drawn from the seed, and the stage that it has reached at a moment."""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import IntEnum
from functools import lru_cache
from random import Random

from etl.sandbox.conversations import Utterance, draw_turns
from etl.sandbox.personas import CAMPAIGNS, Agent, agents
from etl.sandbox.simulated_call import SimulatedCall

# How often outbound calls end in each outcome; a provider without a word for one never has it.
OUTCOMES = {
    "ringg": {"completed": 66, "no_answer": 13, "busy": 6, "failed": 5, "canceled": 3, "voicemail": 7},
    "ravan": {"completed": 70, "no_answer": 15, "busy": 6, "failed": 5, "canceled": 4},
    "autocalls": {"completed": 68, "no_answer": 14, "busy": 6, "failed": 5, "voicemail": 7},
    "vaani": {"completed": 70, "no_answer": 16, "busy": 8, "failed": 6},
}
SUMMARIES = (
    "The customer confirmed the details and asked for a link.",
    "The customer could not talk and asked for a call back.",
    "A billing question was answered; a refund is on its way.",
    "The appointment was moved to a later time.",
    "The customer was not interested and asked to be removed.",
)


class Stage(IntEnum):
    """How far a call has come; each stage shows more than the one before."""

    DIALING = 0
    RINGING = 1
    RETRY = 2
    TALKING = 3
    ENDED = 4
    PRICED = 5
    TRANSCRIBED = 6
    EVALUATED = 7


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """Everything that happens to a call; `reached[stage]` is when it reaches a stage. Costs have no unit."""

    agent: Agent
    campaign: str | None
    outcome: str
    reached: tuple[datetime, ...]
    is_answered: bool
    is_retried: bool
    ended_by: str
    cost: Decimal
    carrier_cost: Decimal
    model_cost: Decimal
    summary: str
    sentiment: str
    latency_ms: int
    turns: tuple[Utterance, ...]

    @property
    def talk_seconds(self) -> int:
        """Whole seconds from answer to end, 0 where nobody answered."""
        return int((self.reached[Stage.ENDED] - self.reached[Stage.TALKING]).total_seconds())

    def stage(self, at: datetime) -> Stage:
        """The last stage reached at a moment; a listed call has reached the first."""
        return Stage(max(0, bisect_right(self.reached, at) - 1))


@lru_cache(maxsize=2048)
def draw_lifecycle(seed: int, call: SimulatedCall) -> Lifecycle:
    """The lifecycle of a call, drawn from the seed, without its overrides."""
    draw = Random(f"{seed}/{call.provider}/{call.number}")
    agent = draw.choice(agents(seed, call.provider))
    outcome = _outcome(draw, call)
    turns = draw_turns(draw, outcome, agent.name, call.customer.name)
    is_answered = bool(turns)
    is_retried = call.provider == "ringg" and call.kind == "outbound" and draw.random() < 0.06
    reached = _moments(draw, call, turns, is_retried)
    minutes = Decimal(max(1, round((reached[4] - reached[3]).total_seconds()))) / 60
    carrier, model = (_money(minutes * Decimal(rate) * is_answered) for rate in ("1.37", "2.11"))
    return Lifecycle(
        agent, draw.choice(CAMPAIGNS) if call.kind == "outbound" else None, outcome, reached, is_answered, is_retried,
        draw.choice(("customer", "customer", "agent")), _money(carrier + model + Decimal("0.31")), carrier, model,
        draw.choice(SUMMARIES), draw.choice(("positive", "neutral", "negative")), draw.randrange(400, 1900), turns,
    )  # fmt: skip


def _outcome(draw: Random, call: SimulatedCall) -> str:
    if call.kind != "outbound":
        return "completed" if draw.random() < 0.93 else "failed"
    weights = OUTCOMES[call.provider]
    return draw.choices(tuple(weights), tuple(weights.values()))[0]


def _moments(draw: Random, call: SimulatedCall, turns: tuple[Utterance, ...], is_retried: bool) -> tuple[datetime, ...]:
    ringing = call.created_at + _span(draw, call, 1, 6)
    retry = ringing + _span(draw, call, 20, 40)
    answered = retry + _span(draw, call, 300, 900) if is_retried else ringing + _span(draw, call, 3, 20)
    length = turns[-1].offset + len(turns[-1].text) // 14 + 2 if turns else 0
    ended = answered + timedelta(seconds=draw.randint(length, length + 20) if turns else 0)
    minutes = ((2, 8), (35, 45), (24 * 60, 36 * 60))  # to the cost, the transcript and the analysis
    later = (ended + _span(draw, call, 60 * low, 60 * high) for low, high in minutes)
    return (call.created_at, ringing, retry if is_retried else answered, answered, ended, *later)


def _span(draw: Random, call: SimulatedCall, low: int, high: int) -> timedelta:
    """A random span, in whole seconds where the provider shows whole seconds."""
    seconds = draw.uniform(low, high)
    return timedelta(seconds=round(seconds, 6) if call.created_at.microsecond else round(seconds))


def _money(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"))
