"""Forecasts of memory: what fits which card, the published peaks they were checked against, and this machine's own.

The table is a forecast: nothing of it is measured here. `--measure` runs recipes' stages, a few steps each, and sets
the forecast beside the most that the process had in memory while a stage trained (Linux: VmHWM, reset before each).
A stage's heaviest pass may come in any step, so that a few steps may show less than the whole stage would.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from common import report

from statllama.stages import stage_module
from statllama.train.fit import CPU, Place, Rows, largest_budget
from statllama.train.memory import GIB, Pass, Setting, need
from tests.train.published import LLAMA_3B, RTX4080

CARDS = (6, 8, 12, 16, 24, 48)  # GiB
LENGTHS = (512, 1024, 2048, 4096)
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


def spec_of(kind: str, length: int) -> Any:
    """A stage of rank 16 with 8-bit AdamW and steps of 64 rows; of grpo half of a row is the completion."""
    body: dict[str, Any] = {"name": "s", "type": kind, "data": [{"path": "rows.jsonl"}]}
    body["train"] = {"max_length": length, "batch_size": 64, "optimizer": "adamw_8bit", "micro_tokens": 64 * length}
    if kind == "grpo":
        body |= {"rewards": [{"name": "correctness"}], "max_completion_length": length // 2, "generations": 8}
    return stage_module(kind).Spec.model_validate(body)


def fitting(backend: Any) -> list[dict[str, Any]]:
    """Rows (pairs in dpo) of a pass that fit each card by the worst case: Llama-3.2-3B in NF4 on a stack of rank 80."""
    place, found = Place(backend=backend, below=80), []
    for kind in ("sft", "dpo", "kto", "grpo"):
        for length in LENGTHS:
            spec = spec_of(kind, length)
            item = Rows(length).item(spec)
            rows = {f"{card}": largest_budget(LLAMA_3B, spec, card * GIB, place) // item for card in CARDS}
            found.append({"stage": kind, "length": length, "rows_that_fit": rows})
    return found


def published() -> list[dict[str, Any]]:
    """The published peaks, and the forecast of each."""
    found = []
    for record in RTX4080:
        float32 = record.preparation == "float32"
        setting = Setting(
            record.shape, width=4 if float32 else 2, rank=record.rank, modules=ATTENTION, optimizer=record.optimizer,
            recompute=record.recompute, loss="whole", masked=False, unfused=float32, float_base=True,
        )  # fmt: skip
        made = need(setting, Pass(record.rows * record.length, record.length)).allocated / GIB
        found.append(
            {
                "run": str(record),
                "measured_gib": record.allocated,
                "forecast_gib": round(made, 3),
                "error": round(made / record.allocated - 1, 4),
                "reserved_over_allocated": round(record.reserved / record.allocated - 1, 3),
            }
        )
    return found


def measured(recipe: str, overrides: list[str], steps: int) -> list[dict[str, Any]]:
    """Run a recipe's stages for a few steps each, and compare."""
    from statllama.recipe import load_recipe
    from statllama.runs.forecast.device import processor
    from statllama.runs.forecast.forecast import forecast
    from statllama.runs.plan import plan
    from statllama.runs.reporting import Reporter
    from statllama.runs.session import Session
    from statllama.runs.signals import StopSignal
    from statllama.store import Store
    from statllama.train.step import StepTrainer

    few = [
        f"stages.{stage.name}.train.{setting}"
        for stage in load_recipe(recipe, overrides).trained
        for setting in ("epochs=null", f"steps={steps}", "warmup=0")
    ]
    loaded, found = load_recipe(recipe, [*overrides, *(few if steps else []), "evaluate.tasks=[]"]), []
    with tempfile.TemporaryDirectory() as name, StopSignal() as stop:
        store = Store(Path(name))
        stages = plan(loaded, store)
        session = Session(loaded, store, Reporter(), stop, base=stages[0].material["base"])
        made, take, passes = forecast(loaded, stages, session.prepare, processor()), StepTrainer._take, list[Any]()

        def watched(self: Any, model: Any, taken: Any) -> Any:
            passes.extend((one.tokens, one.pairs // one.tokens) for one in taken)
            return take(self, model, taken)

        StepTrainer._take = watched  # type: ignore[method-assign]
        for stage in stages:
            passes.clear()
            entry = session.train(stage)
            memory = made[stage.spec.name].memory
            if memory is None:
                continue
            peak = entry.manifest["metrics"]["peak_memory_bytes"]
            found.append(
                {
                    "recipe": loaded.name,
                    "stage": stage.spec.name,
                    "type": stage.spec.type,
                    "forecast_mib": round(memory.usual / 2**20),
                    "worst_mib": round(memory.high / 2**20),
                    "measured_mib": round(peak / 2**20),
                    "error": round(memory.usual / peak - 1, 3),
                    "largest_pass": max(passes, default=None),
                }
            )
            print(found[-1], flush=True)
    return found


def main() -> None:
    """Print the table, or measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--measure", metavar="RECIPE", action="append", help="run this recipe's stages; may be repeated"
    )
    parser.add_argument(
        "--set", dest="overrides", action="append", default=[], help="for the recipes that are measured"
    )
    parser.add_argument("--steps", type=int, default=8, help="of each stage that is measured; 0: all of the recipe's")
    parser.add_argument(
        "--save", action="store_true", help="write results/memory_forecast.json, or memory_measured_RECIPE.json"
    )
    args = parser.parse_args()
    if args.measure:
        rows = [row for recipe in args.measure for row in measured(recipe, args.overrides, args.steps)]
        worst = max(abs(row["error"]) for row in rows)
        overhead = {"fixed_mib": round(CPU.fixed / 2**20), "usual": CPU.usual, "worst": CPU.worst, "left": CPU.left}
        figures = {"steps": args.steps, "largest_error": worst, "overhead": overhead, "stages": rows}
        report(f"memory_measured_{'_'.join(Path(recipe).stem for recipe in args.measure)}", figures, args.save)
        return
    figures = {
        "forecast": "Llama-3.2-3B in NF4, rank 16 on a stack of rank 80, 8-bit AdamW; not measured",
        "transformers": fitting("transformers"),
        "unsloth": fitting("unsloth"),
        "published": published(),
    }
    figures["largest_error"] = max(abs(row["error"]) for row in figures["published"])  # type: ignore[attr-defined, index]
    report("memory_forecast", figures, args.save)


if __name__ == "__main__":
    main()
