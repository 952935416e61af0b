"""A template and a random draw → the turns of one conversation, each with its offset in seconds."""

from dataclasses import dataclass
from random import Random

AMOUNTS = ("₹499", "₹1,250", "₹2,999", "$45", "$120.50")
DAYS = ("Monday", "Tuesday", "Wednesday", "tomorrow", "the 14th", "Saturday")
TIMES = ("10 am", "half past eleven", "3 in the afternoon", "six in the evening")

# A line starts with its speaker, A the agent or C the customer; a bar is a line break within the turn.
TALKS = (
    """A Hello, this is {agent} from Brightline Insurance. Am I speaking with {name}?
C Yes, speaking.
A Your policy is due for renewal on {day}. The premium is {amount}. Shall I renew it for you now?
C What was it last year?
A It was slightly lower; the difference is the new roadside cover.
C Alright, go ahead and send me the link.
A Done. You will have it by SMS in a minute. Thank you, {name}.""",
    """A Good morning {name}, {agent} here from Parcelwala. Your parcel is out for delivery.
C I'm not at home today.
A No problem. Would {day} at {time} suit you?
C {day} is fine.
A Booked: {day}, {time}. Have a good day.""",
    """C Hi, I was charged {amount} twice.
A I'm sorry about that. May I have the last four digits of your account?
C 4471.
A Thank you. I can see both charges: one of them is a hold and drops off within three working days.
C Three days? Okay.
A I have also sent you a confirmation by e-mail.""",
    """A Namaste, main {agent} bol rahi hoon, City Clinic se. Kya {name} ji se baat ho rahi hai?
C Haan, boliye.
A Aapka follow-up {day} ko {time} par rakha hai. Kya aap aa payenge?
C Nahi, thoda late kar dijiye.
A Theek hai, ek ghanta aage kar diya. Dhanyavaad.""",
    """A नमस्ते {name} जी, मैं {agent} बोल रही हूँ।
C जी, बताइए।
A आपका केवाईसी अधूरा है। क्या मैं लिंक भेज दूँ?
C हाँ, भेज दीजिए।
A धन्यवाद, आपका दिन शुभ हो।""",
    """A Hi {name}, it's {agent} with Northwind Energy. We noticed that your usage went up this month.
C Yeah, the bill was {amount}. That's crazy.
A I understand. A smart thermostat could take about 12% off. Shall I book a visit?
C Maybe. When?
A {day}, {time}?
C Works for me.
A Great, see you then!""",
    """C Hello? I'd like to book a table.
A Of course! For how many people, and when?
C Four, {day}, {time}.
A Four on {day} at {time}, under the name {name}. Is that right?
C Yes, perfect.""",
    """A Hello, may I speak to {name}?
C Who is this?
A This is {agent}, calling about the demo that you asked for on our website.
C Oh, right. I'm driving; can you call back?
A Certainly. Is {day} at {time} better?
C Yes. Thanks.
A Talk to you then.""",
    """A Hi {name}, {agent} from Kirana Express. Did your last order arrive in good condition?
C The milk was leaking.
A I'm sorry to hear that. I have refunded {amount} to your wallet.
C That was quick, thank you.""",
    """A Good evening. This is {agent} with an important reminder about your instalment of {amount}.
C I already paid it yesterday.
A Let me check…|Yes, I can see the payment now.
C Good.
A Sorry for the trouble, and thank you.""",
    """C I forgot my password and the app keeps saying: "error 42".
A I can help. I've sent a one-time link to the address that ends in example.com.
C Got it… it's asking for a new password.
A Choose one with at least twelve characters.
C Done, I'm in. Cheers!
A Wonderful. Anything else?
C No.""",
    """A Hello {name}, we met you at the expo. Would you have two minutes for three questions?
C Not interested. Please take me off the list.
A Understood, I have removed your number. Goodbye.""",
    """A Hi, is this {name}?
C Wrong number.
A My apologies. Goodbye.""",
    """C Hola, do you speak Spanish? ¿Hablan español?
A Yes, a little. ¿En qué puedo ayudarle?
C Quiero cambiar mi cita.
A Muy bien: {day}, {time}.
C Gracias.""",
)
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
