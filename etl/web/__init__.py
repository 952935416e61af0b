"""The daemon's web page: the state of every source and the stored calls, as HTML for a person."""
