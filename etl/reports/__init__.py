"""The read side: status, one call's history, what a backfill would cost."""
