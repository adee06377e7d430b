"""A thousand recipes on a hundred workers, on paper: the real driver's loop on a clock that only counts.

    python benchmarks/cluster_plan.py [--recipes 1000] [--workers 100] [--scale 60] [--save]

The study: the pipelines of the miniature study, with other seeds of their first stages and other settings of the last.
`Filling`, the agenda and the order of works are those of `--executor ray`; the cluster is simulated: workers start,
load the base, take a work each, and die. Stages last as long as they took here (results/time_forecast.json: a model of
3.5 M parameters on two cores), stretched by `--scale`: only their ratios are measured, no hour is forecast for a GPU.
What one work asks of the file system is counted by store_operations.py, and added up here for the whole study.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from common import RESULTS, report
from simulated import BASE, CHECKPOINT, START, Graph, Outcome, Piece, Recipe, first_come, graph_of, simulate, violations

from statllama.runs.cluster.agenda import Agenda, Course
from statllama.runs.cluster.schedule import in_order, urgency
from statllama.runs.cluster.work import Kind

SEEDS = 10  # of first stages; a tenth of the recipes stands on each
EFFICIENCY = 0.85  # of several devices on one stage: assumed
BENCHMARKS = ("stats", "general")


def measured() -> dict[str, float]:
    """{stage or kind of work: seconds here}, means over the recipes of the miniature study."""
    recipes = json.loads((RESULTS / "time_forecast.json").read_text(encoding="utf-8"))["recipes"]
    took: dict[str, list[float]] = {}
    for name, found in recipes.items():
        if name == "quickstart":
            continue
        for stage, row in found["stages"].items():
            label = "dtft" if stage.startswith("dtft") else f"{stage}, first" if (name, stage) == FIRST else stage
            took.setdefault(label, []).append(row["took"])
        stacks = len(found["stages"])
        works = (stacks + 1) * len(BENCHMARKS) + stacks  # scores of the base too; a drift of each stage
        took.setdefault("score", []).append(found["scores and drift"]["took"] / works)
    return {name: sum(values) / len(values) for name, values in took.items()}


FIRST = ("instruct_pipeline", "sft")  # an sft on the base is shorter than one after others


def paths(count: int) -> list[tuple[str, ...]]:
    """The stages of each recipe, each named with what tells it from others of its place: `dpo/3`.

    Of ten recipes four end in a tuning after SFT and DPO, two in GRPO after SFT, two in DPO after CPT and SFT, two in
    DPO after CPT, dialogues and SFT. A tenth stands on each of ten seeds of the stages before the last; the tunings of
    a seed share four variants of their DPO.
    """
    found: list[tuple[str, ...]] = []
    for i in range(count):
        seed, shape, number = i * SEEDS // count, i % 10, i // 10
        if shape < 4:
            found.append((f"sft, first/{seed}", f"dpo/{shape}", f"dtft/{number}"))
        elif shape < 6:
            found.append((f"sft, first/{seed}", f"grpo/{i}"))
        elif shape < 8:
            found.append((f"cpt/{seed}", "sft/0", f"dpo/{i}"))
        else:
            found.append((f"cpt/{seed}", "instruct/0", "sft/0", f"dpo/{i}"))
    return found


def study(
    count: int, scale: float, *, shared: bool = True, known: bool = True, off: float = 0.0, devices: int = 1
) -> list[Recipe]:
    """The courses of so many recipes.

    `shared`: recipes that begin alike share what they begin with. `known`: there are forecasts. `off`: standard
    deviation of the logarithm of true over forecast length. As in the agenda, scores and drifts have no forecast.
    `devices`: of each stage that others wait for, which are then 0.85 times as much faster.
    """
    seconds, draw = measured(), random.Random(0)
    pieces: dict[str, Piece] = {}

    def piece(kind: Kind, name: str, key: str, on: int = 1) -> Piece:
        found = Piece(kind, name, key, None, 0.0, on)
        if found.id not in pieces:
            length = scale * seconds[name.partition("/")[0] if kind == "train" else "score"]
            length /= 1 if on == 1 else EFFICIENCY * on
            forecast = length if kind == "train" and known else None
            pieces[found.id] = replace(found, seconds=forecast, length=length * math.exp(draw.gauss(0.0, off)))
        return pieces[found.id]

    courses = []
    for i, stages in enumerate(paths(count)):
        lacks: list[tuple[Piece, frozenset[str]]] = []
        lacks += [(piece("score", "base", task), frozenset()) for task in BENCHMARKS]
        below, before = "" if shared else f"{i}:", frozenset[str]()
        for stage in stages:
            below = f"{below} {stage}"
            trained = piece("train", stage, below, devices if stage != stages[-1] else 1)
            lacks.append((trained, before))
            before |= {trained.id}
            lacks += [(piece("score", stage, f"{below} on {task}"), before) for task in BENCHMARKS]
            lacks.append((piece("measure", stage, below), before))
        courses.append(Recipe(f"recipe {i}", tuple(lacks)))
    return courses


def scenarios(recipes: int, workers: int, scale: float) -> dict[str, Outcome]:
    """The study under each condition."""
    found: dict[str, Outcome] = {}

    def told(name: str, courses: Sequence[Recipe], on: int = workers, lost: float | None = None) -> None:
        graph = graph_of(courses)
        found[name] = simulate(courses, on, lost)
        assert not (wrong := violations(found[name], graph)), wrong[0]
        print(f"{name:42} " + "  ".join(f"{what} {value}" for what, value in found[name].row().items()), flush=True)

    told("longest path first", study(recipes, scale))
    with first_come():
        told("first come", study(recipes, scale))
    told("longest path, no forecasts", study(recipes, scale, known=False))
    told("longest path, forecasts off by 25 %", study(recipes, scale, off=0.25))
    with first_come():
        told("first come, lengths off by 25 %", study(recipes, scale, off=0.25))
    for hours in (24.0, 6.0, 2.0, 0.5):
        told(f"a process lives {hours:g} h", study(recipes, scale), lost=hours)
    told("first stages on 4 devices each", study(recipes, scale, devices=4))
    told("nothing shared", study(recipes, scale, shared=False))
    for some in (workers // 10, workers // 2, workers * 2, workers * 4):
        if some:
            told(f"{some} workers", study(recipes, scale), on=some)
    return found


def driver_cost(recipes: int, scale: float) -> dict[str, float]:
    """Milliseconds of a processor that the driver takes at the start of such a study."""
    courses = cast(Sequence[Course], study(recipes, scale))
    agenda = Agenda.of_courses(courses)
    urgent = urgency(agenda.works, agenda.needs)
    one = next(iter(agenda.works.values()))

    def least(call: Callable[[], object]) -> float:
        times = []
        for _ in range(5):
            began = time.process_time()
            call()
            times.append(time.process_time() - began)
        return round(1e3 * min(times), 2)

    return {
        "all that is left, anew": least(lambda: Agenda.of_courses(courses)),
        "urgency of all, anew": least(lambda: urgency(agenda.works, agenda.needs)),
        "what is ready, when a work has ended": least(
            lambda: in_order(agenda.without(one).works, agenda.needs, urgent)
        ),
    }


def planning_cost(recipes: int = 24) -> dict[str, float]:
    """What it takes the driver to plan one more recipe of a study: processor time and memory, in the mean of some."""
    from statllama.recipe import load_recipe
    from statllama.runs.plan import plan
    from statllama.runs.reporting import Reporter
    from statllama.runs.runner import prepared_course
    from statllama.runs.session import Session
    from statllama.runs.signals import StopSignal
    from statllama.store import Store

    kept, loaded = [], None
    with tempfile.TemporaryDirectory() as place:
        store, began, before = Store(Path(place)), 0.0, 0
        for i in range(-2, recipes):  # two to warm up: the data are tokenised once
            if i == 0:
                began, before = time.process_time(), _resident()
            rate = f"stages.dtft_gentle.train.learning_rate={1e-5 * (i + 3)}"
            recipe = load_recipe("recipes/miniature/instruct_pipeline.yaml", [rate]).down_to("dtft_gentle")
            planned = plan(recipe, store, contents=True)
            base = planned[0].material["base"]
            session = Session(recipe, store, Reporter(), StopSignal(), base=base, loaded=loaded)
            loaded = session.loaded
            kept.append(prepared_course(f"recipe {i}", session, planned))
        seconds, grown = time.process_time() - began, _resident() - before
    return {"ms": round(1e3 * seconds / recipes, 1), "MiB": round(grown / recipes / 2**20, 2)}


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def store_totals(recipes: int, scale: float) -> dict[str, Any]:
    """File system operations and requests of the whole study, from those of one work of each kind."""
    file = RESULTS / "store_operations.json"
    if not file.is_file():
        return {}
    each = json.loads(file.read_text(encoding="utf-8"))["works"]
    kinds = [piece.kind for piece, _ in graph_of(study(recipes, scale)).values()]
    counts = {kind: kinds.count(kind) for kind in ("train", "score", "measure")}
    names = sorted({name for kind in counts for name in each[kind]})
    sums = {name: round(sum(count * each[kind].get(name, 0) for kind, count in counts.items())) for name in names}
    return {"works": counts, "in all": sums}


def main() -> None:
    """Simulate, print, and save where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--scale", type=float, default=60.0, help="seconds there for one measured here")
    parser.add_argument("--save", action="store_true", help="write results/cluster_plan.json")
    asked = parser.parse_args()
    if asked.recipes < SEEDS or asked.workers < 1:
        parser.error(f"--recipes from {SEEDS}, --workers from 1")
    shared, alone = (graph_of(study(asked.recipes, asked.scale, shared=each)) for each in (True, False))
    figures = {
        "recipes": asked.recipes,
        "workers": asked.workers,
        "scale": asked.scale,
        "assumed": {"checkpoint": CHECKPOINT, "start": START, "base": BASE, "efficiency": EFFICIENCY},
        "measured seconds": {name: round(value, 2) for name, value in measured().items()},
        "stages": {"shared": _stages(shared), "each recipe by itself": _stages(alone)},
        "works": {"shared": len(shared), "each recipe by itself": len(alone)},
        "planning a recipe": planning_cost(),
        "driver, ms": driver_cost(asked.recipes, asked.scale),
        "scenarios": {n: o.row() for n, o in scenarios(asked.recipes, asked.workers, asked.scale).items()},
        "store": store_totals(asked.recipes, asked.scale),
    }
    report("cluster_plan", figures, asked.save)


def _stages(graph: Graph) -> int:
    return sum(piece.kind == "train" for piece, _ in graph.values())


if __name__ == "__main__":
    main()
