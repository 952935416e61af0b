"""A template and a random draw → the turns of one conversation, each with its offset in seconds."""

from dataclasses import dataclass
from pathlib import Path
from random import Random

AMOUNTS = ("₹499", "₹1,250", "₹2,999", "$45", "$120.50")
DAYS = ("Monday", "Tuesday", "Wednesday", "tomorrow", "the 14th", "Saturday")
TIMES = ("10 am", "half past eleven", "3 in the afternoon", "six in the evening")

# Talks are separated by empty lines; a line starts with its speaker, A (agent) or C (customer); a bar is a line break.
TALKS = (Path(__file__).parent / "conversations.txt").read_text("utf-8").rstrip("\n").split("\n\n")
VOICEMAIL = "A Hello {name}, this is {agent}. Sorry to have missed you: we'll try again on {day}."


@dataclass(frozen=True, slots=True)
class Utterance:
    """One turn: `speaker` is agent or customer, `offset` counts whole seconds from the answer."""

    speaker: str
    text: str
    offset: int


def draw_turns(draw: Random, outcome: str, agent: str, name: str) -> tuple[Utterance, ...]:
    """What is said in a call with this outcome; nothing where nobody answers."""
    if outcome not in ("completed", "voicemail"):
        return ()
    template = draw.choice(TALKS) if outcome == "completed" else VOICEMAIL
    words = {"day": draw.choice(DAYS), "time": draw.choice(TIMES), "amount": draw.choice(AMOUNTS)}
    turns, offset = [], 1
    for line in template.splitlines():
        text = line[2:].format(agent=agent, name=name.split()[0], **words).replace("|", "\n")
        turns.append(Utterance("agent" if line[0] == "A" else "customer", text, offset))
        offset += 2 + len(text) // 14
    return tuple(turns)
