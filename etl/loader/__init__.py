"""Records → rows in the warehouse, one transaction per batch."""
