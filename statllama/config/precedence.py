"""Which of two fields that cannot stand together gives way. Loads no torch.

Fields come in layers: those of the code, a recipe's `defaults`, the stage of a recipe that is extended, the recipe's
own stage, `--set`. Where validation refuses two fields together and one of them names what is wanted, the one from a
lower layer gives way without a word, as if it had not been written: `--set stages.sft.train.steps=20` on a stage with
`epochs` trains 20 steps. Two fields of one layer are what the user wrote against himself, and stay an error. So do
pairs of which neither says what the other should be (`min_chars` above `max_chars`, `warmup` above inherited `steps`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

# {a field that is set: fields of the same mapping that then mean nothing, or something else}
REPLACED: dict[str, tuple[str, ...]] = {
    "steps": ("epochs",),
    "epochs": ("steps",),
    "path": ("hub", "problems", "config", "revision", "split"),
    "hub": ("path", "problems", "revision"),
    "problems": ("path", "hub", "config", "revision", "split"),
    "model": ("revision",),
}
OF_TASKS = ("gates", "data")  # of `evaluate`, by benchmark
PACKING = ("cpt", "sft")
"""Stage types that pack rows: a default `packing` is for them alone."""


def over(below: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields over fields, mapping by mapping; a list replaces a list, and what gives way is left out."""
    merged = remaining(below, own)
    for key, value in own.items():
        under = merged.get(key)
        merged[key] = over(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


def remaining(below: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a mapping that can stand below those that are set over them."""
    replaced = {field for name, value in own.items() if value is not None for field in REPLACED.get(name, ())}
    kept = {field: value for field, value in below.items() if field not in replaced}
    if _whole(steps := own.get("steps")) and _number(kept.get("warmup")) and kept["warmup"] > steps:
        del kept["warmup"]
    if isinstance(tasks := own.get("tasks"), list):
        scored = {name: kept[name] for name in OF_TASKS if isinstance(kept.get(name), dict)}
        kept |= {name: {task: value for task, value in of.items() if task in tasks} for name, of in scored.items()}
    return kept


def under_stage(defaults: Mapping[str, Any], stage: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `train` of a recipe's `defaults` that suits a stage of its type and fields."""
    kept = dict(defaults)
    if kept.get("packing") is True and stage.get("type") not in PACKING:
        del kept["packing"]
    group, batch = stage.get("generations"), kept.get("batch_size")
    if _whole(group) and _whole(batch):
        kept["batch_size"] = nearest_multiple(batch, group)
    return kept


def nearest_multiple(number: int, of: int) -> int:
    """Return the largest multiple of `of` up to `number`, or `of` itself where that is above it.

    >>> nearest_multiple(16, 6), nearest_multiple(4, 6)
    (12, 6)
    """
    return max(1, number // of) * of


def _whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
