"""What it saves to share stages: a study against its recipes, and against its pipelines, each run by itself.

All in fresh workspaces, from the start of a process to its end, scoring included: `statllama study` once; then
`statllama run` of every recipe; then `statllama study --only` of every pipeline, which is what one script a pipeline
does. The scores must be the same. `--steps N` gives every stage so many steps, to have it sooner.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from common import report

from statllama.study import Study, load_study, pipelines


def statllama(*arguments: str) -> float:
    """Run a command of statllama; seconds."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "statllama", *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


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
        "shared_seconds": shared,
        "recipes_alone_seconds": by_recipe,
        "pipelines_alone_seconds": by_pipeline,
        "recipes_alone_over_shared": sum(by_recipe.values()) / shared,
        "pipelines_alone_over_shared": sum(by_pipeline.values()) / shared,
    }
    report("study", results, save=given.save)


if __name__ == "__main__":
    main()
