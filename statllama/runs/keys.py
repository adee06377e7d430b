"""A stage's key: the SHA-256 of everything that can change its weights, and nothing else.

In the key: schema, stage type and its NUMERICS, every field that bears on the result, the keys of the stages below, the
identity of base, tokenizer and template, the fingerprint of each dataset's bytes, and the compute type. Not in it:
names, paths, logging, evaluation, the token budget (it changes rounding alone) and where it ran. Each field of a spec
says itself whether it is in the key (`config/keyed.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from statllama.config.benchmarks import TaskFile, task_fingerprint
from statllama.config.keyed import keyed
from statllama.config.stage import StageSpec, TrainingSpec
from statllama.config.train import LASTING
from statllama.data.cache import DATA_NUMERICS, SEARCH_NUMERICS, SELECTION_NUMERICS, described
from statllama.data.generated import GENERATIONS
from statllama.evaluation.probe import probe_version
from statllama.model.precision import compute_type
from statllama.stages import stage_module
from statllama.store.canonical import digest

KEY_SCHEMA = 2
DRIFT_NUMERICS = 2
"""Raised when the same cap on drift would publish another adapter: in the keys of stages that have one."""
SIDES_NUMERICS = 1
"""Raised when the same replay or anchor would train differently: in the keys of stages that have one."""
TRAINING = 2
"""Of a stage's numerics, those before that of the choice of its rows: of the stage type and of its data."""


def key_material(
    spec: StageSpec,
    below: Sequence[str],
    base: Mapping[str, Any],
    root: Path,
    tasks: Sequence[TaskFile] = (),
    siblings: Mapping[str, str] | None = None,
    held_out: Sequence[Mapping[str, Any]] = (),
    selects: Mapping[str, Any] | None = None,
    replayed: Sequence[TrainingSpec] = (),
) -> dict[str, Any]:
    """Return the material that the key hashes, as plain JSON data.

    `below`: keys of the stack, in order; `root`: the recipe's; `tasks`: the benchmarks whose questions are dropped from
    the data, if the stage drops them; `siblings`: {stage: key} of those that a blend is made of; `held_out`: what the
    recipe holds out (`held_rows.held_descriptions`), which its stages are not trained on; `selects`: what its best step
    or scale is chosen on (`selecting.selection_material`, `choice_material`); `replayed`: the stages whose data it
    replays.
    """
    return placed(own_material(spec, base, root, tasks, held_out, selects, replayed), spec, below, siblings)


def own_material(
    spec: StageSpec,
    base: Mapping[str, Any],
    root: Path,
    tasks: Sequence[TaskFile] = (),
    held_out: Sequence[Mapping[str, Any]] = (),
    selects: Mapping[str, Any] | None = None,
    replayed: Sequence[TrainingSpec] = (),
) -> dict[str, Any]:
    """Return the material that does not depend on other stages: see `key_material`. Reads the files that it names."""
    numerics = [stage_module(spec.type).NUMERICS]
    material = {"schema": KEY_SCHEMA, "base": dict(base), "numerics": numerics}
    if not isinstance(spec, TrainingSpec):
        fields = keyed(spec)
        if selects is not None:
            fields["choose"] |= selects
        return {**material, "stage": fields}
    body = keyed(spec)
    del body["data"]
    drops = drops_questions(spec, tasks)
    if drops:
        body["drops"] = sorted(map(task_fingerprint, tasks))
    if spec.drift is not None:
        body["drift"] |= {"probe": probe_version(), "numerics": DRIFT_NUMERICS}
    _protect(body, spec, root, replayed)
    train = body["train"]
    if train["steps"] is None and train["epochs"] is None:
        train["epochs"] = 1.0
    if selects is not None:
        train["select"] |= {"on": dict(selects)}
    train["precision"] = compute_type(spec.train.precision)
    extras = getattr(stage_module(spec.type), "key_extras", None)
    chosen: list[Any] = [SELECTION_NUMERICS] if any(map(_chooses, (spec, *replayed))) else []
    if drops:
        chosen = [[SELECTION_NUMERICS, SEARCH_NUMERICS]]
    return {
        **material,
        "numerics": [*numerics, DATA_NUMERICS, *chosen],
        "stage": body | (extras(spec, root) if extras else {}),
        "data": described(spec.data, root),
        **({"held_out": [dict(each) for each in held_out]} if held_out else {}),
    }


def _protect(body: dict[str, Any], spec: TrainingSpec, root: Path, replayed: Sequence[TrainingSpec]) -> None:
    """Put into a stage's fields what its replay and anchor are made of, and take out one that changes nothing."""
    if not spec.anchored_on:
        body.pop("anchor", None)
    if spec.replay is None or not spec.replayed:
        body.pop("replay", None)
    else:
        del body["replay"]["data"]
        body["replay"]["weight"] = spec.replay.strength
        if (written := spec.replay.generations) is not None:
            del body["replay"]["generations"]["prompts"]
            body["generated"] = {"numerics": GENERATIONS, "prompts": described(written.prompts, root)}
        body["replayed"] = [described(spec.replay.data, root), *(_rows_of(stage, root) for stage in replayed)]
    if spec.replayed or spec.anchored_on:
        body["sides"] = SIDES_NUMERICS


def _rows_of(stage: TrainingSpec, root: Path) -> dict[str, Any]:
    """Return what decides a stage's rows, when another one replays them."""
    how = {name: getattr(stage, name, None) for name in ("type", "train_on", "deduplicate")}
    return {**how, "seed": stage.train.seed, "data": described(stage.data, root)}


def drops_questions(spec: TrainingSpec, tasks: Sequence[TaskFile]) -> bool:
    """Return whether the stage leaves out rows for the benchmarks' sake. Of what a model writes copies are left out
    unless they are to be ignored.
    """
    drops = spec.decontaminate == "drop" or (spec.decontaminate == "stop" and spec.generated is not None)
    return drops and bool(tasks)


def _chooses(spec: TrainingSpec) -> bool:
    """Return whether the stage leaves out rows by their texts."""
    filters = (bool(s.where or s.min_chars or s.max_chars) for s in spec.sources)
    return spec.deduplicate != "none" or any(filters)


def placed(
    own: Mapping[str, Any], spec: StageSpec, below: Sequence[str], siblings: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return a stage's own material with its place: the keys below it and of the siblings that it blends."""
    material = {**own, "parents": list(below)}
    if spec.siblings:
        shares = dict(zip(spec.siblings, spec.shares, strict=True))  # type: ignore[attr-defined]
        material["of"] = [[(siblings or {})[name], share] for name, share in shares.items()]
    return material


def stage_key(material: Mapping[str, Any]) -> str:
    """Return the hash, 64 hex digits."""
    return digest(material)


LENGTH = ("steps", "epochs", "decay")
"""Fields of `train` that say how long a stage is, and its decay."""


def trunk_of(material: Mapping[str, Any]) -> str | None:
    """Return the hash of what a stage's first steps depend on, the same for any number of steps. None for a stage that
    trains nothing, or whose first steps depend on their number.
    """
    stage = material["stage"]
    train = stage.get("train")
    if not isinstance(train, Mapping) or train.get("schedule") not in LASTING or 0 < train.get("warmup", 0) < 1:
        return None
    lasting = {name: value for name, value in train.items() if name not in LENGTH}
    return digest({**material, "stage": {**stage, "train": lasting}})


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Say in words why a stage's key differs from that of the recipe's last run."""
    if before.get("schema") != after["schema"]:
        return "this version of statllama makes keys in another way"
    if before.get("base") != after["base"]:
        what = ", ".join(dict.fromkeys(_of_base(before.get("base", {}), after["base"])))
        return f"the base model, tokenizer or chat template changed ({what})"
    old, new = before.get("stage", {}), after["stage"]
    if old.get("type") != new["type"]:
        return f"type {old.get('type')} -> {new['type']}"
    if before["numerics"][:TRAINING] != after["numerics"][:TRAINING]:
        return "this version of statllama trains it differently"
    if len(before["numerics"]) == len(after["numerics"]) and before["numerics"] != after["numerics"]:
        return "this version of statllama chooses its rows differently"
    if before.get("parents") != after["parents"]:
        return "a stage below it changed"
    changes = list(_of_stage(old, new))
    changes += _of_data(before.get("data", []), after.get("data", []))
    changes += _of_held_out(before.get("held_out", []), after.get("held_out", []))
    if before.get("of") != after.get("of"):
        changes.append("a stage that it blends, or its share, changed")
    return "; ".join(changes)


def _of_base(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Name the files that differ between two identities; where they are not listed, what differs."""
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping) and "files" in old and "files" in new:
            files = sorted({*old["files"], *new["files"]})
            yield from (file for file in files if old["files"].get(file) != new["files"].get(file))
        else:
            words = f" {_short(old)} -> {_short(new)}" if name == "quantization" else ""
            yield f"{name.replace('_', ' ')}{words}"


SPOKEN = {
    "replayed": "the rows that it replays changed",
    "generated": "the prompts of the generations that it replays changed, or how this version of statllama writes them",
    "choose": "what its scale is chosen on changed",
    "sides": "this version of statllama replays or anchors differently",
    "drops": "the questions that are dropped from its data changed",
    "rewards_version": "this version of statllama judges completions differently",
    "local_rewards": "the file of a local reward changed",
    "libraries": "the libraries that judge its completions changed",
}
"""What a difference in a stage's material says, where its name and values would not."""


def _of_stage(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*before, *after}):
        if name in SPOKEN:
            if before.get(name) != after.get(name):
                values = ", ".join(_changed(before.get(name), after.get(name), "")) if name == "libraries" else ""
                yield SPOKEN[name] + (f" ({values})" if values else "")
        else:
            for change in _changed(before.get(name), after.get(name), name):
                is_type = change.startswith("train.precision ")
                if not change.startswith("train.select.on."):
                    yield f"the compute type: {change} (`auto` is this machine's)" if is_type else change
            if _chosen_on(before.get(name)) != _chosen_on(after.get(name)):
                yield "what its best step is selected on changed"


def _chosen_on(train: Any) -> Any:
    """Return what the best step is selected on, of the material of `train`; None without a selection."""
    select = train.get("select") if isinstance(train, Mapping) else None
    return None if select is None else select.get("on")


def _of_data(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Name the fields of sources that differ, unless their bytes do."""
    if len(before) != len(after) or any(
        old.get(name) != new.get(name) for old, new in zip(before, after, strict=True) for name in ("bytes", "kinds")
    ):
        yield "the data changed"
        return
    for i, (old, new) in enumerate(zip(before, after, strict=True)):
        for change in _changed(old, new, f"data.{i}"):
            yield change.replace(".weight ", " share of the mixture ")


def _of_held_out(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Say how what the recipe's stages are not trained on differs: what is held out, or how it is found."""
    if before == after:
        return
    if not before or not after:
        yield "rows of the recipe are now held out" if after else "no row of the recipe is held out any more"
    elif {each["numerics"] for each in before} != {each["numerics"] for each in after}:
        yield "this version of statllama chooses its rows differently"
    else:
        shares = [sorted(each["share"] for each in held if each["share"] is not None) for held in (before, after)]
        listed = [", ".join(f"{share:g}" for share in of) or "none" for of in shares]
        words = f" (shares {listed[0]} -> {listed[1]})" if shares[0] != shares[1] else ""
        yield f"what the recipe holds out of training changed{words}"


def _changed(before: Any, after: Any, path: str) -> list[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        found: list[str] = []
        for name in sorted({*before, *after}):
            found += _changed(before.get(name), after.get(name), f"{path}.{name}" if path else name)
        return found
    return [] if before == after else [f"{path} {_short(before)} -> {_short(after)}"]


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
