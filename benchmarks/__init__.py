"""Callhouse against its peers and against the limit: the same calls, the same PostgreSQL, one run."""
