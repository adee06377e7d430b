"""What it saves to share stages: a study against its recipes, and against its pipelines, each run by itself.

All in fresh workspaces, from the start of a process to its end, scoring included: `statllama study` once; then
`statllama run` of every recipe; then `statllama study --only` of every pipeline, which is what one script a pipeline
does. The scores must be the same. `--steps N` gives every stage so many steps, to have it sooner.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from common import report

from statllama.runs.study_file import Study, load_study, pipelines


@dataclass(frozen=True)
class Spent:
    """Seconds of the clock, and of the processors: the latter leave out what else the machine did meanwhile."""

    clock: float
    processors: float


def statllama(*arguments: str) -> Spent:
    """Run a command of statllama."""
    started, before = time.perf_counter(), _processors()
    subprocess.run([sys.executable, "-m", "statllama", *arguments], check=True, stdout=subprocess.DEVNULL)
    return Spent(time.perf_counter() - started, _processors() - before)


def _processors() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def over(each: Iterable[Spent], together: Spent) -> dict[str, float]:
    """Ratio of several runs to one, by the clock and by the processors."""
    runs = list(each)
    return {
        "clock": sum(run.clock for run in runs) / together.clock,
        "processors": sum(run.processors for run in runs) / together.processors,
    }


def scores(folder: Path, name: str) -> dict[str, Any]:
    """The scores that a run of a study wrote."""
    found: dict[str, Any] = json.loads((folder / name).read_text())["scores"]
    return found


def copied(study: Study, folder: Path, steps: int | None) -> Path:
    """The study and its recipes as files of their own, every stage with `steps` steps."""
    names = []
    for recipe in study.recipes:
        body = yaml.safe_load(recipe.to_yaml())
        for stage in body["stages"]:
            if steps is not None and "train" in stage:
                stage["train"] |= {"steps": steps, "epochs": None}
        names.append(f"{recipe.name}.yaml")
        (folder / names[-1]).write_text(yaml.safe_dump(body, sort_keys=False), encoding="utf-8")
    path = folder / "copy.study.yaml"
    path.write_text(yaml.safe_dump({"name": study.spec.name, "recipes": names}), encoding="utf-8")
    return path


def main() -> None:
    """Measure, print, and save where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", default="miniature")
    parser.add_argument("--steps", type=int, help="steps of every stage; default: the recipes' own")
    parser.add_argument("--save", action="store_true", help="write results/study.json")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        file = str(copied(load_study([given.study]), folder, given.steps))
        study = load_study([file])
        chosen = pipelines(study)
        shared = statllama("study", file, "--workspace", str(folder / "shared"), "--out", str(folder / "shared.json"))
        together = scores(folder, "shared.json")
        by_recipe = {
            recipe.name: statllama("run", str(recipe.source), "--workspace", str(folder / recipe.name))
            for recipe in study.recipes
        }
        by_pipeline = {}
        for i, pipeline in enumerate(chosen):
            out = f"{i}.json"
            by_pipeline[pipeline.name] = statllama(
                *("study", file, "--only", pipeline.name),
                *("--workspace", str(folder / f"alone{i}"), "--out", str(folder / out)),
            )
            alone = scores(folder, out)[pipeline.recipe.name]
            assert alone[pipeline.last] == together[pipeline.recipe.name][pipeline.last], pipeline.name
    results = {
        "study": given.study,
        "steps": given.steps,
        "pipelines": len(chosen),
        "shared_seconds": asdict(shared),
        "recipes_alone_seconds": {name: asdict(spent) for name, spent in by_recipe.items()},
        "pipelines_alone_seconds": {name: asdict(spent) for name, spent in by_pipeline.items()},
        "recipes_alone_over_shared": over(by_recipe.values(), shared),
        "pipelines_alone_over_shared": over(by_pipeline.values(), shared),
    }
    report("study", results, save=given.save)


if __name__ == "__main__":
    main()
