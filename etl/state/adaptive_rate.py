"""What a provider's refusals teach about the rate that it allows: lower at each, and slowly up again in peace."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp2

LOWERED = 0.75
# Slow, so that a rate that swings around the provider's limit is refused once in some hundred requests.
DOUBLES_IN = timedelta(minutes=30)
FLOOR = 1.0  # a minute: less is no progress
CLOCKS_DIFFER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class AdaptiveRate:
    """Requests a minute that were allowed after a refusal, and when that was."""

    rate: float
    at: datetime


def current_rate(configured: int, learned: AdaptiveRate | None, now: datetime) -> float:
    """Requests a minute by now: what was learned, doubled in each half hour of peace, and never more than configured.

    What was learned in the future was learned before a clock was set back, and counts no longer.
    """
    if learned is None or learned.at > now + CLOCKS_DIFFER:
        return float(configured)
    doublings = min(max(now - learned.at, timedelta(0)) / DOUBLES_IN, 64.0)
    return min(float(configured), learned.rate * exp2(doublings))


def decrease(rate: float) -> float:
    """The rate after one more refusal."""
    return max(min(rate, FLOOR), rate * LOWERED)
