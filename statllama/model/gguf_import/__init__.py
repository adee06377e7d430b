"""A GGUF file as a base folder: weights, configuration, tokenizer, chat template and where they came from.

`read_source` looks at all that can be wrong without writing anything; `write_base` then writes the folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from statllama.errors import ModelError
from statllama.model.gguf_import.header import AGAIN, Header, read_header
from statllama.model.gguf_import.tokenizer import Tokenizer, read_tokenizer
from statllama.model.gguf_import.weights import (
    TYPES,
    Progress,
    Weight,
    choose_type,
    is_tied,
    needed_bytes,
    rope_factors,
    weights_of,
    write_weights,
)
from statllama.model.layout import config_from_gguf, layout_of
from statllama.store.files import require_bytes, write_json

MOST_SIZE = 1 << 24
"""The largest size in the metadata; the longest context of any model is 10 million."""
SAMPLING = {
    "temp": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "penalty_repeat": "repetition_penalty",
}
"""{key under `general.sampling.`: Transformers' name in generation_config.json}."""


@dataclass(frozen=True)
class GgufSource:
    """A file that can be imported: all of it fits together."""

    header: Header
    config: dict[str, Any]
    """The body of config.json."""
    generation: dict[str, Any]
    """The body of generation_config.json."""
    tokenizer: Tokenizer
    weights: tuple[Weight, ...]
    type: str
    """Type of the written weights: f16, bf16 or f32."""

    @property
    def nbytes(self) -> int:
        """Return the bytes that the folder takes, at most."""
        text = sum(len(piece.encode()) + 64 for piece in self.tokenizer.pieces)
        return needed_bytes(list(self.weights), self.type) + text + 64 * len(self.tokenizer.merges) + (1 << 20)


def read_source(path: Path, type_: str | None = None) -> GgufSource:
    """Read a GGUF file's header and check all of it. `type_`: of the weights to be written; None: see `choose_type`.

    ModelError says what cannot be imported and why: another architecture, tokenizer or type of tensor, a damaged file.
    """
    header = read_header(path)
    _require_sizes(header)
    where = str(path)
    config = config_from_gguf(header.fields, where, tied=is_tied(header), factors=rope_factors(header))
    try:
        layout = layout_of(config, where)
    except ModelError as error:  # of a base that does not fit into GGUF: here the file does not fit together
        raise ModelError(error.message.replace("GGUF cannot hold this base: it", "it"), remedy=AGAIN) from None
    weights = weights_of(header, layout)
    tokenizer = read_tokenizer(header.fields, where, layout.vocabulary)
    chosen = choose_type(header, type_)
    special = {f"{name}_token_id": tokenizer.special.get(name) for name in ("bos", "eos", "pad")}
    config |= {"dtype": TYPES[chosen][1], **special}
    return GgufSource(header, config, _generation(header, tokenizer), tokenizer, tuple(weights), chosen)


def _require_sizes(header: Header) -> None:
    """Raise ModelError for sizes that no model has: lists as long as them are made before tensors are looked at."""
    prefix = f"{header.fields.get('general.architecture')}."
    for key, value in header.fields.items():
        if key.startswith(prefix) and isinstance(value, int) and value > MOST_SIZE:
            raise ModelError(f"{header.path}: {key} is {value:,}; at most {MOST_SIZE:,} is read", remedy=AGAIN)
    layers = header.fields.get(f"{prefix}block_count")
    if isinstance(layers, int) and layers > len(header.tensors):
        problem = f"{prefix}block_count is {layers:,}, and the file has {len(header.tensors):,} tensors"
        raise ModelError(f"{header.path}: {problem}", remedy=AGAIN)


def write_base(source: GgufSource, folder: Path, progress: Progress | None = None) -> list[str]:
    """Write the base into an empty folder; names of its weights. config.json comes last: without it there is no model.

    StoreError when the disk has too little room, or refuses; ModelError when the file's numbers are damaged.
    """
    require_bytes(folder, source.nbytes)
    files = write_weights(source.header, list(source.weights), folder, source.type, progress)
    source.tokenizer.write(folder, int(source.config["max_position_embeddings"]))
    write_json(folder / "generation_config.json", source.generation)
    write_json(folder / "config.json", source.config)
    return files


def _generation(header: Header, tokenizer: Tokenizer) -> dict[str, Any]:
    """Make generation_config.json: at what a reply ends, and how to sample where the file says so."""
    ends = list(tokenizer.ends)
    body: dict[str, Any] = {"eos_token_id": ends[0] if len(ends) == 1 else ends}
    body |= {f"{name}_token_id": tokenizer.special[name] for name in ("bos", "pad") if name in tokenizer.special}
    stated = {ours: header.fields.get(f"general.sampling.{key}") for key, ours in SAMPLING.items()}
    sampling = {name: value for name, value in stated.items() if isinstance(value, int | float)}
    return body | ({"do_sample": True, **sampling} if sampling else {})
