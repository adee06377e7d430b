"""A stage's key: the SHA-256 of everything that can change its weights, and nothing else.

In the key: schema, stage type and its NUMERICS, every field that bears on the result, the keys of the stages below, the
identity of base, tokenizer and template, and the fingerprint of each dataset's bytes. Not in it: names, paths, logging,
evaluation, the token budget (it changes rounding alone) and where it ran.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from statllama.config.benchmarks import TaskFile, task_fingerprint
from statllama.config.specs import UNKEYED_TRAIN_FIELDS, StageSpec, TrainingSpec
from statllama.data.cache import DATA_NUMERICS, described
from statllama.evaluation.probe import probe_version
from statllama.stages import stage_module
from statllama.store.canonical import digest

KEY_SCHEMA = 1


def key_material(
    spec: StageSpec,
    below: Sequence[str],
    base: Mapping[str, Any],
    root: Path,
    tasks: Sequence[TaskFile] = (),
    siblings: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the material that the key hashes, as plain JSON data.

    `below`: keys of the stack, in order; `root`: the recipe's; `tasks`: the benchmarks whose questions are dropped from
    the data, if the stage drops them; `siblings`: {stage: key} of those that a blend is made of.
    """
    shared = {"schema": KEY_SCHEMA, "parents": list(below), "base": dict(base)}
    if isinstance(spec, TrainingSpec):
        return {**shared, **_trained(spec, root, tasks)}
    body = spec.model_dump(mode="json", exclude={"name", "parents", "of"})
    shares = dict(zip(spec.of, spec.shares, strict=True))  # type: ignore[attr-defined]
    made_of = [[(siblings or {})[name], share] for name, share in shares.items()]
    return {**shared, "numerics": [stage_module(spec.type).NUMERICS], "stage": body, "of": made_of}


def _trained(spec: TrainingSpec, root: Path, tasks: Sequence[TaskFile]) -> dict[str, Any]:
    """Return the part of a stage that trains."""
    body = spec.model_dump(mode="json", exclude={"name", "parents", "data", "decontaminate"})
    if spec.decontaminate == "drop" and tasks:
        body["drops"] = sorted(map(task_fingerprint, tasks))
    body["train"] = {k: v for k, v in body["train"].items() if k not in UNKEYED_TRAIN_FIELDS}
    if body["train"]["steps"] is None and body["train"]["epochs"] is None:
        body["train"]["epochs"] = 1.0
    if spec.drift is None:
        del body["drift"]  # as before there were caps
    else:
        body["drift"]["probe"] = probe_version()
    extras = getattr(stage_module(spec.type), "key_extras", None)
    return {
        "numerics": [stage_module(spec.type).NUMERICS, DATA_NUMERICS],
        "stage": body | (extras(spec, root) if extras else {}),
        "data": [described(source, root) for source in spec.data],
    }


def stage_key(material: Mapping[str, Any]) -> str:
    """Return the hash, 64 hex digits."""
    return digest(material)


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Say in words why a stage's key differs from that of the recipe's last run."""
    if before.get("base") != after["base"]:
        return "the base model, tokenizer or chat template changed"
    if before.get("numerics") != after["numerics"]:
        return "this version of statllama trains it differently"
    if before.get("parents") != after["parents"]:
        return "a stage below it changed"
    changes = list(_changed(before.get("stage", {}), after["stage"], ""))
    if before.get("data") != after.get("data"):
        changes.append("the data changed")
    if before.get("of") != after.get("of"):
        changes.append("a stage that it blends changed")
    return "; ".join(changes) or "the key's schema changed"


def _changed(before: Any, after: Any, path: str) -> list[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        found: list[str] = []
        for name in sorted({*before, *after}):
            found += _changed(before.get(name), after.get(name), f"{path}.{name}" if path else name)
        return found
    return [] if before == after else [f"{path} {_short(before)} -> {_short(after)}"]


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
