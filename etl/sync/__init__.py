"""One run on one source: pages in, batches out, coverage and checkpoints kept."""
