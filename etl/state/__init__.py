"""The books: who may write, how fast, what was done, what of each list is held, and what could not be loaded."""
