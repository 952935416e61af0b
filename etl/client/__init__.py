"""A request for a source → the value read from its answer: the only HTTP there is."""

import sys

# httpx brings a command line of its own, whose imports would cost a sixth of a run with nothing new.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
