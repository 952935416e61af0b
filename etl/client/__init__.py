"""A request for a source → the value read from its answer: the only HTTP there is."""
