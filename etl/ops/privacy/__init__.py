"""People out of the warehouse: `etl erase`, the tombstones that keep them out, and how long what is kept."""
