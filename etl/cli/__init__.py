"""The door: a command line and the environment in, the right room called, its result said, an exit status out."""

from etl.cli.app import app, main

__all__ = ["app", "main"]
