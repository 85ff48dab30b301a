"""The command line: parse, call, print. Results go to stdout; progress, notices and errors to stderr."""

from spaceprobe.cli.commands import main

__all__ = ["main"]
