"""A seed → the invented people, numbers, agents and campaigns of the sandbox's calls."""

import hashlib
import uuid
from dataclasses import dataclass
from functools import lru_cache
from random import Random

FIRST = (
    *("Aarav", "Aditi", "Ananya", "Arjun", "Deepa", "Farhan", "Gauri", "Harish", "Ishaan", "Jaya", "Kabir", "Kavya"),
    *("Leela", "Manoj", "Meera", "Nikhil", "Pooja", "Rahul", "Rohan", "Sana", "Shreya", "Tara", "Vikram", "Zoya"),
    *("Alice", "Brandon", "Carla", "Derek", "Elena", "Frank", "Grace", "Hector", "Irene", "Jonah", "Kelly", "Luis"),
)
LAST = (
    *("Agarwal", "Banerjee", "Chopra", "Desai", "Fernandes", "Ghosh", "Iyer", "Joshi", "Khan", "Kulkarni", "Mehta"),
    *("Menon", "Nair", "Patel", "Rao", "Reddy", "Shah", "Sharma", "Singh", "Verma", "Abbott", "Bishop", "Carter"),
    *("Dalton", "Ellis", "Foster", "Garner", "Holt", "Irwin", "Jensen", "Keller", "Lowell"),
)
AGENT_NAMES = ("Asha", "Dev", "Maya", "Rishi", "Nora", "Support Agent", "Renewals Desk", "Front Desk")
CAMPAIGNS = ("Renewal reminders", "Diwali offers", "KYC completion", "Delivery slots", "Win-back Q3", "Clinic recalls")
LINES = ("+918037565218", "+912248931170", "+14155550100")


@dataclass(frozen=True, slots=True)
class Customer:
    """Somebody who calls or is called, with an address at example.com and an E.164 number."""

    name: str
    email: str
    number: str


@dataclass(frozen=True, slots=True)
class Agent:
    """A voice agent of a provider."""

    agent_id: str
    name: str


def stable_uuid(*parts: object) -> str:
    """A version 4 UUID that depends only on its parts."""
    digest = hashlib.md5("/".join(map(str, parts)).encode(), usedforsecurity=False).digest()
    return str(uuid.UUID(bytes=digest, version=4))


@lru_cache(maxsize=32)
def customers(seed: int, count: int) -> tuple[Customer, ...]:
    """`count` customers: most with Indian numbers, a fifth with American ones that are reserved for fiction."""
    draw = Random(f"{seed}/customers")
    return tuple(_customer(draw, index) for index in range(count))


def _customer(draw: Random, index: int) -> Customer:
    first, last = draw.choice(FIRST), draw.choice(LAST)
    if draw.random() < 0.2:
        number = f"+1{draw.choice((212, 312, 415, 646, 702))}55501{draw.randrange(100):02d}"
    else:
        number = f"+91{draw.randrange(70, 100)}{draw.randrange(10**8):08d}"
    return Customer(f"{first} {last}", f"{first}.{last}{index}@example.com".lower(), number)


@lru_cache(maxsize=32)
def agents(seed: int, provider: str) -> tuple[Agent, ...]:
    """The agents of one provider."""
    return tuple(Agent(stable_uuid(seed, provider, "agent", name), name) for name in AGENT_NAMES)
