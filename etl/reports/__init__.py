"""The read side: the status of sources, the history of one call, the cost of a backfill."""
