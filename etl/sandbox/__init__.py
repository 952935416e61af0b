"""A seed becomes four voice-AI providers on loopback: calls that live, lists that move, faults to switch on."""
