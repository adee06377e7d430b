"""What replay and anchor cost: time and peak memory of a stage's step, plain and with each, in one run.

The same sft-like stage on a parent, on the same base and rows: plain; with replayed rows (`--share` of the batch); with
an anchor on the replayed rows beside that, and on them alone (weight 0); with an anchor on the stage's own rows. They
run in turns (A B C ... A B C ...), and the ratios of the medians are printed. On a CPU seconds are of the process's own
time, and the peak is of a process of its own for each; on a GPU it is that of the allocator.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from common import Clock, make_base, median, mixed_rows, report
from step_time import NO_HUB, parents_of

from statllama.config.base_model import BaseModelSpec
from statllama.config.lora import LoraSpec
from statllama.config.train import TrainSpec
from statllama.data.replay import Part, ReplayRows
from statllama.model.base_model import Base, choose_backend, load_base, start_backend
from statllama.train.job import Job

SOURCE = [{"path": "rows.jsonl", "format": "text"}]
ANCHOR = {"coefficient": 1.0}


class Spent(Clock):
    """Collects moments: on a CPU of the process's own time, which others on the machine do not lengthen."""

    def __init__(self, own: bool) -> None:
        super().__init__()
        self.own = own

    def __call__(self, *_: Any) -> None:
        self.times.append(time.process_time() if self.own else time.perf_counter())


def kinds(share: float) -> dict[str, dict[str, Any]]:
    """The fields of each kind of stage."""
    replay = {"data": SOURCE, "share": share}
    return {
        "plain": {},
        "replay": {"replay": replay},
        "replay and anchor on it": {"replay": replay, "anchor": ANCHOR},
        "anchor on replayed rows alone": {"replay": {**replay, "weight": 0.0}, "anchor": ANCHOR},
        "anchor on own rows": {"anchor": {"on": "own", **ANCHOR}},
    }


def measured(base: Base, parents: Any, fields: dict[str, Any], args: argparse.Namespace, folder: Path) -> Any:
    """Seconds a step of a stage, and its peak memory in bytes."""
    from statllama.stages import sft
    from statllama.train import training

    train = TrainSpec(
        steps=args.steps,
        batch_size=args.batch,
        micro_tokens=args.micro_tokens,
        max_length=args.length,
        learning_rate=1e-4,
        checkpoint_every=10**6,
    )
    lora = LoraSpec(r=16, alpha=16.0)
    spec = sft.Spec(name="s", type="sft", train_on="all", data=SOURCE, lora=lora, train=train, **fields)
    rows = mixed_rows(args.steps * args.batch, args.length // 4, args.length, args.vocabulary)
    none: Any = None
    replay = ReplayRows([Part(rows, "documents", none, none)], 1) if spec.replayed else None
    clock = Spent(base.model.device.type == "cpu")
    job = Job(
        spec=spec,
        base=base,
        parents=parents,
        dataset=rows,
        replay=replay,
        data_kind="documents",
        folder=folder,
        on_step=clock,
    )
    outcome = training.run(job, sft)
    return clock.gaps(skip=1), outcome.peak_memory_bytes


def loaded(folder: Path, args: argparse.Namespace) -> tuple[Base, Any]:
    """The base, and a parent of rank 16."""
    spec = BaseModelSpec(model=str(folder), quantization=args.quantization)
    start_backend(choose_backend())
    base = load_base(spec, NO_HUB, args.precision, args.length, choose_backend())
    return base, parents_of(base, (16,))


def peak_apart(base: Path, name: str, args: argparse.Namespace, folder: Path) -> int:
    """Peak of a process of its own."""
    model, parents = loaded(base, args)
    peak: int = measured(model, parents, kinds(args.share)[name], args, folder)[1]
    return peak


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, help="a folder with a base; without it, a random one")
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--vocabulary", type=int, default=32768)
    parser.add_argument("--length", type=int, default=192, help="tokens of the longest row")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--micro-tokens", type=int, default=1024)
    parser.add_argument("--share", type=float, default=0.25)
    parser.add_argument("--steps", type=int, default=4, help="steps a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quantization", choices=("nf4", "none"), default="none")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--save", action="store_true", help="write results/anchor.json")
    args = parser.parse_args()
    names = list(kinds(args.share))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = args.base or folder / "base"
        if args.base is None:
            make_base(place, args.hidden, args.layers, args.vocabulary)
        base, parents = loaded(place, args)
        gaps: dict[str, list[float]] = {one: [] for one in names}
        peaks: dict[str, int] = {}
        for i in range(args.rounds):
            for one in names:
                seconds, peaks[one] = measured(base, parents, kinds(args.share)[one], args, folder / f"{one}{i}")
                gaps[one] += seconds
        if base.model.device.type == "cpu":
            for one in names:
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                    peaks[one] = pool.submit(peak_apart, place, one, args, folder / f"{one}-apart").result()
    plain = median(gaps["plain"])
    settings = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    figures = {
        "settings": settings | {"backend": base.backend, "dtype": str(base.dtype)},
        "seconds_per_step": {one: round(median(gaps[one]), 4) for one in names},
        "ratio_of_time_over_plain": {one: round(median(gaps[one]) / plain, 3) for one in names},
        "peak_mib": {one: round(peaks[one] / 2**20, 1) for one in names},
        "ratio_of_peak_over_plain": {one: round(peaks[one] / peaks["plain"], 3) for one in names},
    }
    report("anchor", figures, args.save)


if __name__ == "__main__":
    main()
