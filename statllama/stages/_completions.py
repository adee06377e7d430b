"""The tensors of a grpo step, (completions, tokens) each, and numbers without a dimension: taken out, or stretched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def of_rows(step: dict[str, Any], rows: Sequence[int], trim: bool) -> dict[str, Any]:
    """Return the tensors of some completions; with `trim`, without the columns that are padding in all of them."""
    index = torch.tensor(rows, dtype=torch.long, device=step["prompt_ids"].device)
    batch = {name: v[index] if isinstance(v, Tensor) and v.ndim else v for name, v in step.items()}
    if not trim:
        return batch
    prompt, completion = (int(batch[f"{part}_mask"].sum(1).max()) for part in ("prompt", "completion"))
    whole = step["completion_ids"].shape[1]
    for name, value in batch.items():
        if name in ("prompt_ids", "prompt_mask"):
            batch[name] = value[:, -prompt:]  # padded on the left
        elif isinstance(value, Tensor) and value.ndim == 2 and value.shape[1] == whole:
            batch[name] = value[:, :completion]
    return batch


def stretched(step: dict[str, Any], rows: int, prompt: int, completion: int) -> dict[str, Any] | None:
    """Return `rows` rows of a step, repeated as needed, with so many tokens of each part; None for other shapes.

    Added tokens are the row's first one, and count as if they had been given and generated.
    """
    widths = {"prompt": step["prompt_ids"].shape[1], "completion": step["completion_ids"].shape[1]}
    more = {"prompt": max(0, prompt - widths["prompt"]), "completion": max(0, completion - widths["completion"])}
    index = torch.arange(rows, device=step["prompt_ids"].device) % len(step["prompt_ids"])
    found: dict[str, Any] = {}
    for name, value in step.items():
        if not isinstance(value, Tensor) or not value.ndim:
            found[name] = value
            continue
        chosen = value[index]
        if chosen.ndim == 2:
            part = "prompt" if name.startswith("prompt") else "completion"
            if chosen.shape[1] != widths[part]:
                return None
            added = chosen[:, :1].expand(-1, more[part])
            chosen = torch.cat([added, chosen] if part == "prompt" else [chosen, added], 1)
        found[name] = torch.ones_like(chosen) if name.endswith("_mask") else chosen
    return found
