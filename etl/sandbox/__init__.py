"""A seed → four voice-AI vendors on loopback: calls that go on, lists that change, faults to switch on."""
