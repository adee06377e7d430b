"""Prints which tokens a base was given."""

from __future__ import annotations

import json

from statllama.cli.console.terminal import Out, plain, print_path
from statllama.model.new_tokens import Extended


def print_extended(done: Extended) -> None:
    """Print each token with what its rows start from, and the lines for a recipe."""
    for token in done.tokens:
        Out.print(f"{plain(token.text)}  id {token.id}, rows: mean of {plain(' '.join(token.made_of))}")
    grown = f"{done.before:,} -> {done.rows:,}" if done.rows > done.before else f"{done.rows:,} as before"
    Out.print(f"rows of the embedding: {grown}")
    print_path("a base with them: ", done.folder)
    listed = json.dumps([token.text for token in done.tokens], ensure_ascii=False)
    Out.print(
        f"in a recipe: `base.model: {plain(str(done.folder))}`, and in a stage `lora: {{token_rows: {plain(listed)}}}`"
    )
