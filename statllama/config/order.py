"""The order of a recipe's stages: each after its parents and the siblings it blends. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from statllama.config.stage import StageSpec
from statllama.config.yaml_lines import Path_, line_of
from statllama.errors import Problem, near


def order(
    stages: Sequence[tuple[int, StageSpec]], names: Sequence[str], lines: Mapping[Path_, int], problems: list[Problem]
) -> list[StageSpec]:
    """Resolve `parents` and sort so that they come first. Unknown, repeated and cyclic ones are added to `problems`.

    `stages`: (position in the recipe, spec). `names`: of all stages; those with errors are not in `stages`. A stage
    without `parents` stands on the one before it; a blend stands where its siblings stand.
    """
    resolved: dict[str, tuple[int, StageSpec]] = {}
    previous: str | None = None
    for i, stage in stages:
        if stage.name in resolved:
            line = line_of(("stages", i, "name"), lines)
            problems.append(Problem(f"stages[{i}].name", f"a stage named {stage.name!r} already exists", line))
            continue
        if stage.parents is None and not stage.siblings:
            stage = stage.model_copy(update={"parents": "base" if previous is None else (previous,)})
        previous = stage.name
        problems += _unknown(i, stage, names, lines)
        resolved[stage.name] = i, stage
    if problems:
        return []
    ordered: dict[str, StageSpec] = {}
    while len(ordered) < len(resolved):
        waiting = {name: stage for name, (_, stage) in resolved.items() if name not in ordered}
        ready = next((stage for stage in waiting.values() if set(stage.needs) <= ordered.keys()), None)
        if ready is None:
            around = _cycle(waiting)
            message = f"these stages are each other's ancestors: {', '.join(around)}"
            line = line_of(("stages", resolved[around[0]][0], "parents"), lines)
            problems.append(Problem("stages", message, line, remedy="break the cycle in their `parents`"))
            return []
        i = resolved[ready.name][0]
        ordered[ready.name] = _placed(i, ready, ordered, lines, problems) if ready.siblings else ready
    return [] if problems else list(ordered.values())


def _unknown(i: int, stage: StageSpec, names: Sequence[str], lines: Mapping[Path_, int]) -> list[Problem]:
    """Return the parents and siblings that are no stages, or listed twice."""
    found = []
    where, line = f"stages[{i}].parents (stage {stage.name})", line_of(("stages", i, "parents"), lines)
    parents = () if stage.parents is None or stage.parents == "base" else stage.parents
    for name in parents:
        if name == "base":
            found.append(Problem(where, "`base` stands alone: write `parents: base`", line))
        elif name not in names:
            found.append(Problem(where, f"unknown stage {name!r}: {near(name, [*names, 'base'])}", line))
        elif parents.count(name) > 1:
            found.append(Problem(where, f"{name!r} is listed twice", line))
    for name in stage.siblings:
        if name not in names:
            at = line_of(("stages", i, "of", name), lines)
            found.append(
                Problem(f"stages[{i}].of (stage {stage.name})", f"unknown stage {name!r}: {near(name, names)}", at)
            )
    return found


def _placed(
    i: int, blend: StageSpec, ordered: Mapping[str, StageSpec], lines: Mapping[Path_, int], problems: list[Problem]
) -> StageSpec:
    """Return the blend on the parents of its siblings, which all have the same."""
    first, *others = (ordered[name] for name in blend.siblings)
    where = f"stages[{i}].of (stage {blend.name})"
    for other in others:
        if other.parents != first.parents:
            message = f"{first.name} stands on {_words(first)}, {other.name} on {_words(other)}"
            line = line_of(("stages", i, "of", other.name), lines)
            problems.append(Problem(where, message, line, remedy="blend stages on the same parents"))
    if blend.parents not in (None, first.parents):
        message = f"its stages stand on {_words(first)}, but it names {_words(blend)}"
        line = line_of(("stages", i, "parents"), lines)
        problems.append(Problem(where.replace(".of", ".parents"), message, line, remedy="remove `parents`"))
    return blend.model_copy(update={"parents": first.parents})


def _words(stage: StageSpec) -> str:
    return "base" if stage.parents == "base" else ", ".join(stage.parents or ())


def _cycle(waiting: Mapping[str, StageSpec]) -> list[str]:
    """Return the names of the stages on a cycle, or between two, of stages that all have one below them: sorted."""
    left = dict(waiting)
    while free := left.keys() - {name for stage in left.values() for name in stage.needs}:
        left = {name: stage for name, stage in left.items() if name not in free}
    return sorted(left)
