"""The tensors that a base's files hold, against those that its config.json asks for.

Transformers starts a tensor that is missing from its files at random, and leaves one that is too many unread, with a
warning at most. A base is what its files say: nothing missing, nothing extra, every shape as configured.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from statllama.errors import ModelError
from statllama.store.files import read_json

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
Shapes = Mapping[str, tuple[int, ...]]
SHOWN = 3  # names in an error

# What bitsandbytes keeps beside a packed weight, and buffers that older files hold and Transformers computes.
_BESIDE = re.compile(r"\.weight\.(absmax|quant_map|nested_absmax|nested_quant_map|quant_state\..*|SCB)$|\.SCB$")
_COMPUTED = re.compile(r"rotary_emb\.inv_freq$")


def stored_shapes(model: str, commit: str | None) -> dict[str, tuple[int, ...]]:
    """Return {name: shape} of the tensors in a base's safetensors files, of a folder or a hub repository.

    Reads headers alone. ModelError for a file that is missing or no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    shapes: dict[str, tuple[int, ...]] = {}
    for file in _files(model, commit):
        try:
            with safe_open(file, framework="numpy") as tensors:
                shapes |= {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise ModelError(
                f"{file} cannot be read: {str(error).splitlines()[0]}", remedy="download the base model again"
            ) from error
    return shapes


def _files(model: str, commit: str | None) -> list[Path]:
    """Return the files that Transformers loads: the one, else those of the index."""
    whole = _file(model, WEIGHTS, commit)
    if whole is not None:
        return [whole]
    index = _file(model, INDEX, commit)
    body = read_json(index) if index is not None else None
    named = body.get("weight_map") if isinstance(body, dict) else None
    if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
        raise ModelError(
            f"the base model {model} has neither {WEIGHTS} nor a readable {INDEX}",
            remedy="save the model with Transformers' `save_pretrained`",
        )
    found = {name: _file(model, name, commit) for name in sorted(set(named.values()))}
    if missing := [name for name, path in found.items() if path is None]:
        raise ModelError(
            f"the base model {model}: {INDEX} names {missing[0]}, which is missing",
            remedy="download the base model again",
        )
    return [path for path in found.values() if path is not None]


def _file(model: str, name: str, commit: str | None) -> Path | None:
    from transformers.utils import cached_file

    found = cached_file(
        model,
        name,
        revision=commit,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return None if found is None else Path(found)


def require_whole(config: PreTrainedConfig, stored: Shapes, where: str) -> None:
    """Raise ModelError unless `stored` are the tensors that the configuration asks for, no more and no fewer.

    Shapes are compared too, except of weights that are stored quantised. A head that is tied to the embedding may be
    in the files or not.
    """
    expected, tied = _expected(config)
    packed = getattr(config, "quantization_config", None) is not None
    names = {name for name in stored if not _BESIDE.search(name) and not _COMPUTED.search(name)}
    faults = {
        "missing": sorted(expected.keys() - names - tied),
        "not in its configuration": sorted(names - expected.keys()),
        "of another shape": [
            f"{name}: {list(stored[name])} instead of {list(expected[name])}"
            for name in sorted(names & expected.keys())
            if not packed and stored[name] != expected[name]
        ],
    }
    found = [f"{_counted(names)} {what}: {_first(names)}" for what, names in faults.items() if names]
    if found:
        raise ModelError(
            f"{where} is not what its config.json says: {'; '.join(found)}",
            remedy="download it again, or correct config.json (num_hidden_layers, sizes, biases, tie_word_embeddings)",
        )


def _expected(config: PreTrainedConfig) -> tuple[dict[str, tuple[int, ...]], set[str]]:
    """Return {name: shape} of a model of this configuration, which is never allocated, and the names of tied ones."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    tied: Any = model._tied_weights_keys if config.tie_word_embeddings else ()
    return shapes, set(tied or ())


def _counted(names: list[str]) -> str:
    return f"{len(names)} tensor{'s' if len(names) > 1 else ''}"


def _first(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
