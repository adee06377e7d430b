"""How many of a batch's places hold tokens, packed against padded, on a stage's own mixture.

A padded batch is as wide as its longest row, and rows come in the order of training. Both ways hold the same examples;
what differs is how many rows, and so how many steps of the same micro-batch size, an epoch takes.

    python benchmarks/packing.py --recipe instruct_pipeline --stage sft --set base.tokenizer=FOLDER ... [--save]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from common import report

from statllama.config.stage import StageSpec
from statllama.recipe import load_recipe
from statllama.runs.reporting import Reporter
from statllama.runs.session import Session
from statllama.runs.signals import StopSignal
from statllama.store import Store


def epoch(session: Session, spec: StageSpec, packing: bool, micro_batch: int) -> dict[str, Any]:
    """What an epoch takes: rows, micro-batches, tokens, and the share of the places that hold one."""
    train = spec.train.model_copy(update={"packing": packing})
    prepared = session.prepare(spec.model_copy(update={"train": train}))
    lengths = [len(ids) for ids in prepared.dataset["input_ids"]]
    batches = [lengths[i : i + micro_batch] for i in range(0, len(lengths), micro_batch)]
    places = sum(len(batch) * max(batch) for batch in batches)
    return {
        "rows": len(lengths),
        "micro_batches": len(batches),
        "tokens": sum(lengths),
        "tokens_a_micro_batch": sum(lengths) / len(batches),
        "share_of_places": sum(lengths) / places,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--stage", required=True)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--micro-batch", type=int, default=4)
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    recipe = load_recipe(options.recipe, options.set)
    spec = recipe.stage(options.stage)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "workspace")
        store.require_space(0)
        session = Session(recipe, store, Reporter(), StopSignal())
        padded, packed = (epoch(session, spec, packing, options.micro_batch) for packing in (False, True))
    figures = {
        "recipe": options.recipe,
        "stage": options.stage,
        "max_length": spec.train.max_length,
        "micro_batch": options.micro_batch,
        "padded": padded,
        "packed": packed,
        "useful_tokens_a_step_packed_over_padded": packed["tokens_a_micro_batch"] / padded["tokens_a_micro_batch"],
    }
    report("packing", figures, options.save)


if __name__ == "__main__":
    main()
