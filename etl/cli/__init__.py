"""The command line: arguments and environment in, output and an exit status out."""

from etl.cli.app import app, main

__all__ = ["app", "main"]
