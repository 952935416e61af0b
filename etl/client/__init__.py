"""A request for a source → the value read from its response: the only HTTP client."""

import sys

# httpx imports its own command line, which would take a sixth of a run without new calls.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
