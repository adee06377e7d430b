"""Where a recipe's sources stand, replayed ones too, and what is wrong with `replay.stages`. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from statllama.config.source import SourceSpec
from statllama.config.stage import StageSpec, TrainingSpec
from statllama.config.yaml_lines import Path_, line_of
from statllama.errors import Problem, near


def placed_sources(stage: TrainingSpec) -> Iterator[tuple[Path_, SourceSpec]]:
    """Yield each source of a stage with its place in it: `data`, 0."""
    yield from ((("data", j), source) for j, source in enumerate(stage.data))
    if stage.replay is not None:
        yield from ((("replay", "data", j), source) for j, source in enumerate(stage.replay.data))
        if (written := stage.replay.generations) is not None:
            yield from ((("replay", "generations", "prompts", j), one) for j, one in enumerate(written.prompts))


def sources_in(stage: Mapping[str, Any]) -> Iterator[Any]:
    """Yield all sources of a stage as JSON has it, as `TrainingSpec.sources` does."""
    replay = stage.get("replay") or {}
    yield from stage.get("data", ())
    yield from replay.get("data", ())
    yield from (replay.get("generations") or {}).get("prompts", ())


def replay_problems(
    ordered: Sequence[StageSpec],
    stages: Sequence[tuple[int, StageSpec]],
    names: Sequence[str],
    lines: Mapping[Path_, int],
) -> list[Problem]:
    """Return what is wrong with the stages whose data others replay: unknown, not below, or without rows to replay.

    `ordered`: resolved, none where there are problems; `stages`: (position in the recipe, spec); `names`: of all.
    """
    below = _below(ordered)
    found = []
    for i, stage in stages:
        for name in stage.replay.stages if isinstance(stage, TrainingSpec) and stage.replay is not None else ():
            message = _wrong(stage.name, name, names, below, {other.name: other for _, other in stages})
            if message:
                path: Path_ = ("stages", i, "replay", "stages")
                found.append(Problem(f"stages[{i}].replay.stages (stage {stage.name})", message, line_of(path, lines)))
    return found


def _below(ordered: Sequence[StageSpec]) -> dict[str, set[str]]:
    """Return {stage: all stages that it is made from}; parents come first."""
    found: dict[str, set[str]] = {}
    for stage in ordered:
        found[stage.name] = {each for name in stage.needs for each in (name, *found[name])}
    return found


def _wrong(
    stage: str, name: str, names: Sequence[str], below: Mapping[str, set[str]], known: Mapping[str, StageSpec]
) -> str:
    """Say what is wrong with a stage whose data `stage` is to replay; empty where nothing is."""
    if name not in names:
        return f"unknown stage {name!r}: {near(name, [other for other in names if other != stage])}"
    other = known.get(name)
    if other is not None and (not isinstance(other, TrainingSpec) or other.type == "grpo"):
        why = "trains on no rows" if other.type != "grpo" else "has prompts without answers"
        return f"{name!r} is a {other.type} stage, which {why}: name another, or give `replay.data`"
    if below and name not in below.get(stage, ()):
        have = ", ".join(each for each in below if each in below.get(stage, ())) or "none"
        return f"{name!r} is not below this stage, which so forgets nothing of it (below: {have}); give `replay.data`"
    return ""
