"""What a validation costs: the time of `train.select` on held-out rows, over the plain step, in one run.

One sft-like stage on a parent validates after every second step, so that steps with and without a validation take
turns; beside it the same stage without `select`, whose steps must take as long as those without a validation. A
validation is a forward pass over the held-out rows, so it is also told per token over a plain step's time per token
(forward and backward). `share`: what `select` adds to the time of a stage that validates as often as it does by
default. On a CPU it is processor time, which does not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from common import Clock, make_base, median, mixed_rows, report
from step_time import NO_HUB, parents_of

from statllama.config.base_model import BaseModelSpec
from statllama.config.lora import LoraSpec
from statllama.config.selection import VALIDATIONS
from statllama.config.train import TrainSpec
from statllama.data.holdout import Holdout
from statllama.model.base_model import Base, choose_backend, load_base, start_backend
from statllama.train.job import Job

SOURCE = [{"path": "rows.jsonl", "format": "text", "holdout": 0.05}]


class ProcessorClock(Clock):
    """Collects the processor time of the moments at which it is called."""

    def __call__(self, *_: Any) -> None:
        self.times.append(time.process_time())


def gaps(base: Base, parents: Any, held: Holdout, selects: bool, args: argparse.Namespace, folder: Path) -> list[float]:
    """Return the seconds of each step but the first, what follows it included."""
    from statllama.stages import sft
    from statllama.train import training
    from statllama.train.selection import on_holdout

    train = TrainSpec(
        steps=args.steps,
        batch_size=args.batch,
        micro_tokens=args.micro_tokens,
        max_length=args.length,
        learning_rate=1e-4,
        checkpoint_every=10**6,
        **({"select": {"on": "holdout", "every": 2}} if selects else {}),
    )
    spec = sft.Spec(name="s", type="sft", data=SOURCE, lora=LoraSpec(r=16, alpha=16.0), train=train, train_on="all")
    clock = ProcessorClock() if base.model.device.type == "cpu" else Clock()
    job = Job(
        spec=spec,
        base=base,
        parents=parents,
        dataset=rows_of(args, args.steps * args.batch),
        data_kind="documents",
        folder=folder,
        on_step=clock,
        validation=on_holdout(held, args.micro_tokens, 0) if selects else None,
    )
    training.run(job, sft)
    return clock.gaps(skip=0)


def rows_of(args: argparse.Namespace, count: int) -> Any:
    """Return rows of `length` / 4 to `length` tokens."""
    return mixed_rows(count, args.length // 4, args.length, args.vocabulary)


def tokens(rows: Any) -> int:
    """Return the tokens of all rows."""
    return sum(map(len, rows["input_ids"]))


def measure(base: Base, parents: Any, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return the figures, of stages that run in turns."""
    rows = rows_of(args, args.rows)
    held = Holdout("s", "documents", rows, tuple(map(str, range(args.rows))), "", {})
    plain: list[float] = []
    between: list[float] = []
    validated: list[float] = []
    for i in range(args.rounds):
        plain += gaps(base, parents, held, False, args, folder / f"plain{i}")
        found = gaps(base, parents, held, True, args, folder / f"selects{i}")
        validated += found[::2]  # the first gap ends with step 2
        between += found[1::2]
    step, validation = median(plain), median(validated) - median(between)
    a_step = tokens(rows_of(args, args.steps * args.batch)) / args.steps
    ratio = validation / step
    return {
        "seconds_per_step": {"without_select": round(step, 4), "between_validations": round(median(between), 4)},
        "seconds_per_validation": round(validation, 4),
        "validation_over_step": round(ratio, 3),
        "tokens": {"step": round(a_step), "validation": tokens(rows)},
        "token_of_validation_over_token_of_step": round(ratio * a_step / tokens(rows), 3),
        f"share_of_a_stage_of_{args.stage}_steps": round(VALIDATIONS * ratio / args.stage, 4),
    }


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
    parser.add_argument("--rows", type=int, default=40, help="rows that are held out")
    parser.add_argument("--steps", type=int, default=6, help="steps a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stage", type=int, default=300, help="steps of the stage whose share is told")
    parser.add_argument("--quantization", choices=("nf4", "none"), default="none")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--save", action="store_true", help="write results/validation.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = args.base or Path(name) / "base"
        if args.base is None:
            make_base(place, args.hidden, args.layers, args.vocabulary)
        spec = BaseModelSpec(model=str(place), quantization=args.quantization)
        start_backend(choose_backend())
        base = load_base(spec, NO_HUB, args.precision, args.length, choose_backend())
        figures = measure(base, parents_of(base, (16,)), args, Path(name))
    settings = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    report("validation", {"settings": settings, **figures}, args.save)


if __name__ == "__main__":
    main()
