"""The conformance suite for providers, the ones that ship and your own: see :mod:`etl.testing.conformance`."""
