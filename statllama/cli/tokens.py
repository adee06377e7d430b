"""The command tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

BaseArg = Annotated[str, typer.Argument(metavar="BASE", help="A hub id, a model's folder, or quickstart/base.")]
TokensArg = Annotated[list[str], typer.Argument(metavar="TOKEN...", help="Texts that become one token each.")]
OutOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to create; it must not exist yet.")]
RevisionOption = Annotated[
    str | None, typer.Option("--revision", metavar="REV", help="Commit, tag or branch of a hub id.")
]


def tokens(base: BaseArg, words: TokensArg, out: OutOption, revision: RevisionOption = None) -> None:
    """Add tokens to a base: statllama tokens meta-llama/Llama-3.2-1B '<|stat|>' --out base

    DIR is another base, for `base.model`; a stage with `lora.token_rows` trains the new tokens' rows.
    """
    from statllama.cli.console.tokens import print_extended
    from statllama.config.shipped import located_base
    from statllama.model.base_model import start_backend
    from statllama.model.new_tokens import extend_base

    start_backend("transformers")  # quiets the libraries
    print_extended(extend_base(located_base(base, Path()), words, out, revision))
