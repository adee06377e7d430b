"""A base with tokens added to its vocabulary: another base, an ordinary model folder that a recipe then names.

A new token's rows, of the embedding and of an untied head, start as the mean of the rows of the tokens that its text
was split into before (Gee et al. 2022, "Fast Vocabulary Transfer for Language Model Compression", EMNLP industry
track). All other rows and weights are the base's, bit for bit. A stage with `lora.token_rows` trains the new ones.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from statllama.errors import ModelError, UsageError
from statllama.store.files import write_json
from statllama.store.new_folder import new_folder

RECORD = "new_tokens.json"
KEPT = ("README.md", "LICEN*", "NOTICE*", "USE_POLICY*")


@dataclass(frozen=True)
class NewToken:
    """A token that was added: its id, and the tokens of the mean that its rows start from."""

    text: str
    id: int
    made_of: tuple[str, ...]


@dataclass(frozen=True)
class Extended:
    """A base with new tokens."""

    folder: Path
    tokens: tuple[NewToken, ...]
    rows: int
    """Of the embedding now."""
    before: int


def extend_base(base: str, tokens: Sequence[str], out: Path, revision: str | None = None) -> Extended:
    """Write the base, a folder or a hub id, with new tokens into the folder `out`. Takes memory for the whole base.

    UsageError for a text that is a token already, or that no row could hold; ModelError for a base that cannot be read.
    """
    import torch
    from tokenizers import AddedToken
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _require_words(tokens)
    with new_folder(out) as folder:
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(base, revision=revision, trust_remote_code=False)
            model: Any = AutoModelForCausalLM.from_pretrained(
                base, revision=revision, dtype="auto", use_safetensors=True, trust_remote_code=False
            )
        except Exception as error:  # Transformers raises of all kinds
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(f"the base model {base} cannot be loaded: {first}") from error
        if getattr(model, "quantization_method", None) is not None:
            raise ModelError(
                f"the base model {base} is quantised, so it has no rows to add to",
                remedy="take the original that it was quantised from",
            )
        vocabulary = tokenizer.get_vocab()
        if known := [token for token in tokens if token in vocabulary]:
            raise UsageError(
                f"{known[0]!r} is a token of {base} already (id {vocabulary[known[0]]})",
                remedy="leave it out: `lora.token_rows` trains the rows of any token",
            )
        parts = [tokenizer(token, add_special_tokens=False)["input_ids"] for token in tokens]
        tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in tokens])
        ids = tokenizer.convert_tokens_to_ids(list(tokens))
        before = model.get_input_embeddings().weight.shape[0]
        rows = max(before, max(ids) + 1)
        if rows > before:
            model.resize_token_embeddings(rows, mean_resizing=False)
        matrices = {id(m.weight): m.weight for m in (model.get_input_embeddings(), model.get_output_embeddings())}
        with torch.no_grad():
            for matrix in matrices.values():
                for one, made_of in zip(ids, parts, strict=True):
                    matrix[one] = matrix[made_of].double().mean(0).to(matrix.dtype)
        names = [tuple(map(str, tokenizer.convert_ids_to_tokens(made_of))) for made_of in parts]
        found = tuple(NewToken(*one) for one in zip(tokens, ids, names, strict=True))
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        for pattern in KEPT if Path(base).is_dir() else ():
            for path in Path(base).glob(pattern):
                shutil.copyfile(path, folder / path.name)
        added = {token.text: {"id": token.id, "mean of": list(token.made_of)} for token in found}
        write_json(folder / RECORD, {"base": base, "revision": revision, "tokens": added})
    return Extended(out, found, rows, before)


def _require_words(tokens: Sequence[str]) -> None:
    """Raise UsageError unless all are texts that can be found in rows, each once."""
    if not tokens:
        raise UsageError("no new token is named", remedy="name some: statllama tokens BASE '<|stat|>' --out DIR")
    for token in tokens:
        if not token or token != token.strip() or re.search(r"[\x00-\x1f\x7f]", token):
            raise UsageError(
                f"{token!r} cannot be a token: it is empty, begins or ends with a space, or holds a control character"
            )
        if tokens.count(token) > 1:
            raise UsageError(f"{token!r} is named twice")
    if overlaps := [(a, b) for a in tokens for b in tokens if a != b and a in b]:
        (short, long), *_ = overlaps
        raise UsageError(f"the new token {short!r} is a part of {long!r}: one would hide the other in texts")
