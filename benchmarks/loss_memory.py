"""Peak memory of a step of sft and dpo at Llama 3's vocabulary, with losses in chunks and with whole logits.

Each figure is of a process of its own: `ru_maxrss` at its end less that before training, with base and rows loaded. The
whole side is TRL's own loss (`loss_type: nll`, log-probabilities from whole logits). A third figure is the processor
time of a dpo stage of three epochs that computes its reference once, over that of one that computes it at every step.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

from common import make_base, make_rows, report

from statllama.config.base_model import BaseModelSpec
from statllama.model.base_model import load_base, start_backend
from statllama.stages import stage_module
from statllama.train.job import Job

LLAMA_3 = 128_256
SOURCE = {"path": "rows.jsonl", "format": "auto"}


def pairs(count: int, length: int, vocabulary: int) -> Any:
    """Preference pairs of random ids whose rows are as long as `make_rows` makes them."""
    from datasets import Dataset

    ids, half = list(make_rows(2 * count, length, vocabulary)["input_ids"]), length // 2
    body = [
        {"prompt_ids": one[:half], "chosen_ids": one[half:], "rejected_ids": other[half:]}
        for one, other in zip(ids[:count], ids[count:], strict=True)
    ]
    return Dataset.from_list(body)


def stage_of(kind: str, folder: Path, length: int, count: int, vocabulary: int, **train: Any) -> tuple[Job, Any]:
    """A stage over `count` rows, and its module."""
    start_backend("transformers")
    base = load_base(
        BaseModelSpec(model=str(folder / "base"), quantization="none"),
        {"model": {}, "tokenizer": {}}, "float32", length, "transformers",
    )  # fmt: skip
    rows = (pairs if kind == "dpo" else make_rows)(count, length, vocabulary)
    module = stage_module(kind)
    fields = {"batch_size": 4, "max_length": length, "learning_rate": 1e-4, "checkpoint_every": 10**6, **train}
    body = {"name": "s", "type": kind, "data": [SOURCE], "lora": {"r": 8, "alpha": 16.0}, "train": fields}
    body |= {"train_on": "all"} if kind == "sft" else {}
    work = Path(tempfile.mkdtemp(dir=folder))
    (work / "out").mkdir()
    return Job(module.Spec.model_validate(body), base, (), rows, module.DATA_KIND, work), module


def train(job: Job, module: Any) -> None:
    """Run the stage. Its random rows have no turns, which the check of the first batch would miss."""
    from statllama.train import training
    from statllama.train.trainer import StageTrainer

    with patch.object(StageTrainer, "_check_batch", lambda *_: None):
        training.run(job, module)


def peak(kind: str, chunked: bool, folder: Path, length: int, vocabulary: int) -> float:
    """MiB that a step of 4 rows adds to what the process holds before them."""
    import trl

    job, module = stage_of(kind, folder, length, 4, vocabulary, steps=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    config = trl.SFTConfig

    def whole(**fields: Any) -> Any:
        return config(**fields | {"loss_type": "nll"})

    if chunked:
        train(job, module)
    elif kind == "sft":
        with patch.object(trl, "SFTConfig", whole):
            train(job, module)
    else:
        with patch.object(module, "in_chunks", lambda *_: None):
            train(job, module)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def seconds(once: bool, folder: Path, length: int) -> float:
    """Seconds of the processor for a dpo stage of three epochs over 16 pairs."""
    from statllama.stages import _known_reference

    job, module = stage_of("dpo", folder, length, 16, 2048, epochs=3.0)
    started = time.process_time()
    with patch.object(_known_reference, "seen_again", lambda job: once):
        train(job, module)
    return time.process_time() - started


def apart(function: Any, *arguments: Any) -> float:
    """Call a function in a fresh process: `ru_maxrss` never falls."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return float(pool.submit(function, *arguments).result())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--length", type=int, default=256, help="tokens a row")
    parser.add_argument("--vocabulary", type=int, default=LLAMA_3)
    parser.add_argument("--rounds", type=int, default=3, help="of the stages of three epochs, in turns")
    parser.add_argument("--save", action="store_true", help="write results/loss_memory.json")
    args = parser.parse_args()
    figures: dict[str, Any] = {"settings": vars(args)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_base(folder / "base", args.hidden, args.layers, args.vocabulary)
        for kind in ("sft", "dpo"):
            chunked, whole = (apart(peak, kind, c, folder, args.length, args.vocabulary) for c in (True, False))
            figures[kind] = {"chunked_mib": round(chunked), "whole_mib": round(whole)}
            figures[kind]["ratio_chunked_over_whole"] = round(chunked / whole, 3)
        (folder / "small").mkdir()
        make_base(folder / "small" / "base", 256, 4)
        times = [
            [apart(seconds, once, folder / "small", args.length) for once in (True, False)] for _ in range(args.rounds)
        ]
        once, each = (min(column) for column in zip(*times, strict=True))
        figures["dpo_of_three_epochs"] = {"seconds_once": round(once, 2), "seconds_each_step": round(each, 2)}
        figures["dpo_of_three_epochs"]["ratio_once_over_each_step"] = round(once / each, 3)
    report("loss_memory", figures, args.save)


if __name__ == "__main__":
    main()
