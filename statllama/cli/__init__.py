"""The command line: one module for each family of commands; `console` holds all that prints."""

from statllama.cli.app import main

__all__ = ["main"]
