"""What it saves to share stages: a study against its recipes, and against its pipelines, each run by itself.

All in fresh workspaces, from the start of a process to its end, scoring included: `statllama study` once; then
`statllama run` of every recipe; then `statllama study --only` of every pipeline, which is what one script a pipeline
does. The scores must be the same. `--quick` takes a sixth of the steps.
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

from common import report

from statllama.study import load_study, pipelines


def statllama(*arguments: str) -> float:
    """Run a command of statllama; seconds."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "statllama", *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def scores(folder: Path, name: str) -> dict[str, Any]:
    """The scores that a run of a study wrote."""
    found: dict[str, Any] = json.loads((folder / name).read_text())["scores"]
    return found


def main() -> None:
    """Measure, print, and save where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", default="miniature")
    parser.add_argument("--quick", action="store_true", help="a sixth of the steps: for trying this script")
    parser.add_argument("--save", action="store_true", help="write results/study.json")
    given = parser.parse_args()
    study = load_study([given.study])
    chosen = pipelines(study)
    short = []
    if given.quick:
        short = ["--set", "defaults.train.epochs=0.15"]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        shared = statllama(
            "study", given.study, *short, "--workspace", str(folder / "shared"), "--out", str(folder / "shared.json")
        )
        together = scores(folder, "shared.json")
        by_recipe = {
            recipe.name: statllama("run", str(recipe.source), *short, "--workspace", str(folder / recipe.name))
            for recipe in study.recipes
        }
        by_pipeline = {}
        for i, pipeline in enumerate(chosen):
            out = f"{i}.json"
            by_pipeline[pipeline.name] = statllama(
                *("study", given.study, *short, "--only", pipeline.name),
                *("--workspace", str(folder / f"alone{i}"), "--out", str(folder / out)),
            )
            alone = scores(folder, out)[pipeline.recipe.name]
            assert alone[pipeline.last] == together[pipeline.recipe.name][pipeline.last], pipeline.name
    results = {
        "shared_seconds": shared,
        "recipes_alone_seconds": by_recipe,
        "pipelines_alone_seconds": by_pipeline,
        "recipes_alone_over_shared": sum(by_recipe.values()) / shared,
        "pipelines_alone_over_shared": sum(by_pipeline.values()) / shared,
    }
    report("study", results, save=given.save)


if __name__ == "__main__":
    main()
