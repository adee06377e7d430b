"""Speed of one stage on two ranks with a thread each, over one process with one thread, and over one with two.

The same steps of the same rows under the same token budget, in turns (A B C A B C ...); the ratios of the medians are
printed. Each side is a fresh set of processes that meet as ranks do, on a random Llama; rows are of mixed lengths.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import Clock, make_base, median, mixed_rows, report

from statllama.config.base_model import BaseModelSpec
from statllama.config.lora import LoraSpec
from statllama.config.train import TrainSpec
from statllama.train.ranks import joined

SIDES = {"one thread": (1, 1), "two threads": (1, 2), "two ranks": (2, 1)}
"""{side: (ranks, threads of each)}"""


def train(rank: int, size: int, address: str, folder: Path, args: Any) -> list[float]:
    """Seconds of each step, but for the first two."""
    import torch

    from statllama.model.base_model import load_base, start_backend
    from statllama.stages import sft
    from statllama.train import training
    from statllama.train.job import Job

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    start_backend("transformers")
    spec = BaseModelSpec(model=str(folder / "base"), quantization="none")
    base = load_base(spec, {"model": {}, "tokenizer": {}}, "auto", args.longest, "transformers")
    fields: dict[str, Any] = {"checkpoint_every": 10**6, "max_length": args.longest, "micro_tokens": args.budget}
    stage = sft.Spec(
        name="s",
        type="sft",
        train_on="all",
        data=[{"path": "rows.jsonl", "format": "text"}],
        lora=LoraSpec(r=16),
        train=TrainSpec(steps=args.steps, batch_size=args.batch, **fields),
    )
    clock = Clock()
    with joined(rank, size, address) as ranks, tempfile.TemporaryDirectory() as name:
        job = Job(
            spec=stage,
            base=base,
            parents=(),
            dataset=mixed_rows(args.batch * args.steps, args.longest // 20, args.longest),
            data_kind="documents",
            folder=Path(ranks.broadcast(name)),
            on_step=clock,
            ranks=ranks,
        )
        training.run(job, sft)
        ranks.any(False)  # the folder is rank 0's, and the others train in it
    return clock.gaps(skip=2)


def side(folder: Path, ranks: int, threads: int) -> list[float]:
    """Run the ranks of one side; rank 0's seconds a step."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, __file__, *sys.argv[1:], "--as"]
    started = [
        subprocess.Popen(
            [*command, json.dumps([rank, ranks, f"tcp://127.0.0.1:{port}", str(folder)])],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for rank in range(ranks)
    ]
    said = [process.communicate()[0] for process in started]
    found: list[float] = json.loads(said[0].splitlines()[-1])
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--longest", type=int, default=400, help="tokens of the longest row")
    parser.add_argument("--batch", type=int, default=16, help="rows a step")
    parser.add_argument("--budget", type=int, default=2048, help="tokens of a forward pass")
    parser.add_argument("--steps", type=int, default=8, help="steps a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--save", action="store_true", help="write results/ranks.json")
    parser.add_argument("--as", dest="as_rank", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.as_rank:
        rank, size, address, folder = json.loads(args.as_rank)
        print(json.dumps(train(rank, size, address, Path(folder), args)))
        return
    seconds: dict[str, list[float]] = {name: [] for name in SIDES}
    with tempfile.TemporaryDirectory() as name:
        parameters = make_base(Path(name) / "base", args.hidden, args.layers)
        for _ in range(args.rounds):
            for label, (ranks, threads) in SIDES.items():
                seconds[label] += side(Path(name), ranks, threads)
    medians = {label: median(found) for label, found in seconds.items()}
    settings = {key: value for key, value in vars(args).items() if key != "as_rank"}
    figures = {
        "settings": {**settings, "parameters": parameters},
        "seconds_per_step": medians,
        "speed_two_ranks_over_one_thread": round(medians["one thread"] / medians["two ranks"], 3),
        "speed_two_ranks_over_two_threads": round(medians["two threads"] / medians["two ranks"], 3),
    }
    report("ranks", figures, args.save)


if __name__ == "__main__":
    main()
