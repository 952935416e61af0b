"""The rate that a provider really allows: lowered by each refusal, raised again while there is none (pure)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp2
from typing import Any

DECREASE = 0.75
DOUBLES_IN = timedelta(minutes=30)  # slowly: near the provider's limit, one request in some hundred is refused
MIN_RATE_PER_MINUTE = 1.0  # a lower one is no progress
MAX_CLOCK_SKEW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class AdaptiveRate:
    """Requests a minute after a refusal, and when that was."""

    per_minute: float
    at: datetime


def current_rate(configured: int, adaptive: AdaptiveRate | None, now: datetime) -> float:
    """The adaptive rate, doubled in each half hour without a refusal → requests a minute, at most as configured.

    A rate from the future was stored before a clock was set back, and is ignored.
    """
    if adaptive is None or adaptive.at > now + MAX_CLOCK_SKEW:
        return float(configured)
    doublings = min(max(now - adaptive.at, timedelta(0)) / DOUBLES_IN, 64.0)
    return min(float(configured), adaptive.per_minute * exp2(doublings))


def adaptive_rate(row: Any) -> AdaptiveRate | None:
    """The adaptive rate that a row of ``ops.rate_limits`` has."""
    return None if row.adaptive_rate_per_minute is None else AdaptiveRate(row.adaptive_rate_per_minute, row.adapted_at)


def stored_rate(row: Any, now: datetime) -> float | None:
    """The current rate by a row of ``ops.rate_limits``; ``None`` before the first run."""
    return current_rate(row.requests_per_minute, adaptive_rate(row), now) if row.requests_per_minute else None


def decrease(rate_per_minute: float) -> float:
    """The rate after one more refusal."""
    return max(min(rate_per_minute, MIN_RATE_PER_MINUTE), rate_per_minute * DECREASE)
