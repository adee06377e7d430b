"""Time forecast after calibration against the time that was taken, for every stage of the recipes that run on a CPU.

    python benchmarks/time_forecast.py [--save] [--smollm2 FOLDER] [--only NAME ...] [--workspaces DIR] [--set K=V ...]

Each recipe gets a workspace of its own: `plan --calibrate` measures the machine, its forecast is written down, the run
trains and scores. Two errors are shown of a stage: of the forecast that only calibration stood behind, and of the one
made just before it trained, when the stages before it had been learned from. FOLDER: SmolLM2, imported as
docs/smollm2.md says. With `--workspaces` a killed measurement goes on where it was.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import report

from statllama.cli.console.run import ConsoleReporter
from statllama.recipe import load_recipe
from statllama.runs import runner
from statllama.runs.forecast.calibrate import calibrate
from statllama.runs.forecast.figure import Figure
from statllama.runs.forecast.outlook import outlook, taken_of
from statllama.runs.forecast.timing import total
from statllama.runs.plan import plan
from statllama.runs.session import Session
from statllama.runs.signals import StopSignal
from statllama.store import Store
from statllama.store.files import read_json, write_json

RECIPES = (
    "quickstart",
    "recipes/miniature/instruct_pipeline.yaml",
    "recipes/miniature/base_pipeline.yaml",
    "recipes/miniature/base_instruct_pipeline.yaml",
)
FORECAST = "time_forecast.json"  # in a workspace: what was forecast before anything ran


def expected(name: str, store: Store, overrides: Sequence[str]) -> dict[str, Any]:
    """{part: figure} of a recipe, after calibration and before anything ran there."""
    file = store.root / FORECAST
    if isinstance(known := read_json(file), dict):
        return known
    recipe = load_recipe(name, overrides)
    planned = plan(recipe, store)
    with StopSignal() as stop:
        session = Session(recipe, store, ConsoleReporter(), stop, base=planned[0].material["base"])
        calibrate(session.timing, planned, stop)
        seen = outlook(session.timing, planned)
    parts = {"/".join(part): made.as_json() for part, made in seen.parts.items()}
    write_json(file, parts)
    return parts


def scored(store: Store) -> dict[str, float]:
    """{stack: seconds of its scores}, {stack} drift."""
    found: dict[str, float] = {}
    for entry in store.entries("scores"):
        name = f"{'drift' if entry.manifest['kind'] == 'drift' else 'score'}/{entry.manifest['name']}"
        seconds = entry.manifest.get("seconds") or entry.manifest["score"]["seconds"]
        found[name] = found.get(name, 0.0) + seconds
    return found


def measured(name: str, folder: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Forecast, run, compare: one recipe's figures."""
    store = Store(folder)
    parts = expected(name, store, overrides)
    result = runner.run(load_recipe(name, overrides), store, ConsoleReporter())
    stages = {}
    for stage in result.results:
        entry = store.find("results", result.results[stage].name)
        assert entry is not None
        taken, before = taken_of(entry.manifest), parts.get(f"train/{stage}")
        if before is None or taken.forecast is None:
            continue  # a blend
        stages[stage] = {
            "took": round(taken.seconds, 1),
            "calibrated": round(before["usual"], 1),
            "off": round(before["usual"] / taken.seconds - 1, 3),
            "between": [round(before["low"], 1), round(before["high"], 1)],
            "just before": round(taken.forecast.usual, 1),
            "off just before": round(taken.forecast.usual / taken.seconds - 1, 3),
            "from": taken.forecast.basis,
        }
    found = scored(store)
    made = total({("score", part): Figure.from_json(parts[part]) for part in found if part in parts})
    took = sum(found[part] for part in found if part in parts)
    scores = (
        {"took": round(took, 1), "calibrated": round(made.usual, 1), "off": round(made.usual / took - 1, 3)}
        if made
        else {}
    )
    return {"stages": stages, "scores and drift": scores}


def show(name: str, found: dict[str, Any]) -> None:
    """Print a recipe's table."""
    print(f"\n{name:34} took  calibrated    off   just before    off")
    for stage, row in found["stages"].items():
        print(
            f"  {stage:26} {row['took']:8.1f} s {row['calibrated']:9.1f} s {row['off']:+6.0%} "
            f"{row['just before']:11.1f} s {row['off just before']:+6.0%}   {row['from']}"
        )
    if row := found["scores and drift"]:
        print(f"  {'scores and drift':26} {row['took']:8.1f} s {row['calibrated']:9.1f} s {row['off']:+6.0%}")


def main() -> None:
    """Measure the recipes that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--smollm2", metavar="FOLDER")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--workspaces", type=Path)
    parser.add_argument("--set", nargs="*", default=[], metavar="K=V")
    asked = parser.parse_args()
    recipes: list[tuple[str, list[str]]] = [(name, list(asked.set)) for name in RECIPES]
    if asked.smollm2:
        recipes.append(("smollm2", [f"base.model={Path(asked.smollm2).absolute()}", *asked.set]))
    figures = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, overrides in recipes:
            label = Path(name).stem if name.endswith(".yaml") else name
            if not asked.only or label in asked.only:
                figures[label] = measured(name, (asked.workspaces or Path(scratch)) / label, overrides)
                show(label, figures[label])
    errors = [abs(row["off"]) for found in figures.values() for row in found["stages"].values()]
    later = [abs(row["off just before"]) for found in figures.values() for row in found["stages"].values()]
    worst = {"worst after calibration": max(errors), "worst just before": max(later), "stages": len(errors)}
    report("time_forecast", {"recipes": figures, **worst}, asked.save)


if __name__ == "__main__":
    main()
