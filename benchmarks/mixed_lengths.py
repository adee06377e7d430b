"""Useful tokens a second of padded rows of mixed lengths: the token budget against plain TRL's micro-batches of rows.

One effective batch, rows of 20 to 500 tokens, the same steps on the same base. statllama splits each step's rows by
`micro_tokens`; plain TRL pads micro-batches of 2, 4, 8 and 16 rows, at its best and at each. Rows of equal length
show that the budget costs nothing there. Both run in turns; the plain side has a process of its own, without Unsloth.
Useful tokens are those of the rows; "computed" counts the padding of each forward pass too. With `--base` it is a
trained model, such as SmolLM2-135M-Instruct as `statllama import` makes it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from common import Clock, make_base, mixed_rows, process_apart, report, require_plain
from step_time import NO_HUB

from statllama.config.base_model import BaseModelSpec
from statllama.config.lora import LoraSpec
from statllama.config.train import TrainSpec
from statllama.data.budget import split
from statllama.model.base_model import Base, choose_backend, load_base, start_backend
from statllama.train.job import Job

Lengths = tuple[int, int]
BATCH, RANK = 16, 16
MICRO = (2, 4, 8, 16)


def seconds_of(clock: Clock, steps: int) -> float:
    """Seconds of the last `steps` steps."""
    return clock.times[-1] - clock.times[-1 - steps]


def ours(base: Base, lengths: Lengths, steps: int, budget: int, folder: Path) -> float:
    """Seconds of `steps` steps of a statllama stage, after one to warm up."""
    from statllama.stages import sft
    from statllama.train import training

    train = TrainSpec(steps=steps + 1, batch_size=BATCH, micro_tokens=budget, gradient_checkpointing=False)
    source = {"path": "rows.jsonl", "format": "text"}
    lora = LoraSpec(r=RANK, alpha=16.0)
    spec = sft.Spec(name="s", type="sft", train_on="all", data=[source], lora=lora, train=train)
    clock, rows = Clock(), mixed_rows((steps + 1) * BATCH, *lengths, bos=base.tokenizer.bos_token_id)
    training.run(Job(spec, base, (), rows, "documents", folder, on_step=clock), sft)
    return seconds_of(clock, steps)


@cache
def plain_base(spec: BaseModelSpec, length: int) -> Base:
    """The base as Transformers loads it, once."""
    start_backend("transformers")
    return load_base(spec, NO_HUB, "auto", length, "transformers")


def plain(spec: BaseModelSpec, lengths: Lengths, steps: int, micro: int, folder: Path) -> float:
    """Seconds of `steps` steps of a plain TRL script with micro-batches of `micro` rows, after one to warm up."""
    base = plain_base(spec, 512)
    import trl
    from peft import LoraConfig
    from transformers import TrainerCallback

    from statllama.model.stack import detach

    clock, rows = Clock(), mixed_rows((steps + 1) * BATCH, *lengths, bos=base.tokenizer.bos_token_id)

    class Watch(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **kwargs: Any) -> None:
            if "loss" in logs:  # and not the summary at the end
                clock()

    config = trl.SFTConfig(
        output_dir=str(folder),
        max_steps=steps + 1,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=BATCH // micro,
        gradient_checkpointing=False,
        optim="adamw_torch",
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        bf16=False,
        loss_type="nll",
        max_length=None,
        use_cpu=base.model.device.type == "cpu",
    )
    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    trainer = trl.SFTTrainer(
        model=base.model,
        args=config,
        train_dataset=rows.remove_columns("seq_lengths"),
        processing_class=base.tokenizer,
        peft_config=LoraConfig(r=RANK, lora_alpha=16, target_modules=modules, task_type="CAUSAL_LM"),
        callbacks=[Watch()],
    )
    trainer.train()
    detach(trainer.model)
    require_plain()
    return seconds_of(clock, steps)


def computed_over_useful(lengths: Lengths, steps: int, passes: Callable[[list[int]], list[list[int]]]) -> float:
    """Tokens computed over those of the rows, were they drawn in the order of the file. `passes`: splits a step."""
    rows = [len(ids) for ids in mixed_rows((steps + 1) * BATCH, *lengths)["input_ids"]]
    computed = 0
    for start in range(0, len(rows), BATCH):
        step = rows[start : start + BATCH]
        computed += sum(len(group) * max(step[i] for i in group) for group in passes(step))
    return computed / sum(rows)


def by_rows(micro: int, step: list[int]) -> list[list[int]]:
    """Split a step into micro-batches of rows."""
    return [list(range(start, start + micro)) for start in range(0, len(step), micro)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", help="a base's folder; without it a Llama with random weights is made")
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--steps", type=int, default=4, help="steps a round that are timed")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--micro", type=int, nargs="+", default=MICRO, help="rows of plain TRL's micro-batches")
    parser.add_argument("--budget", type=int, default=8192)
    parser.add_argument("--quantization", choices=("nf4", "none"), default="none")
    parser.add_argument("--save", action="store_true", help="write results/mixed_lengths.json")
    args = parser.parse_args()
    figures: dict[str, Any] = {}
    budgeted = partial(split, budget=args.budget)
    with tempfile.TemporaryDirectory() as name, process_apart() as plainly:
        folder = Path(name)
        if args.base is None:
            plainly(make_base, folder / "base", args.hidden, args.layers)
        spec = BaseModelSpec(model=args.base or str(folder / "base"), quantization=args.quantization)
        start_backend(choose_backend())
        base = load_base(spec, NO_HUB, "auto", 512, choose_backend())
        parameters = base.model.num_parameters()
        for kind, lengths in (("rows of 20 to 500", (20, 500)), ("rows of 256", (256, 256))):
            seconds: dict[str, list[float]] = {}
            for i in range(args.rounds):
                seconds.setdefault("statllama", []).append(
                    ours(base, lengths, args.steps, args.budget, folder / f"{kind}{i}") / args.steps
                )
                for micro in args.micro:
                    took = plainly(plain, spec, lengths, args.steps, micro, folder / f"{kind}{micro}{i}")
                    seconds.setdefault(f"plain TRL, {micro} rows", []).append(took / args.steps)
            best = {side: min(values) for side, values in seconds.items()}
            others = {side: value for side, value in best.items() if side != "statllama"}
            figures[kind] = {
                "seconds_a_step": {side: round(value, 3) for side, value in best.items()},
                "speed_over_plain_at_its_best": round(min(others.values()) / best["statllama"], 3),
                "speed_over_each": {side: round(value / best["statllama"], 3) for side, value in others.items()},
                "computed_over_useful": {
                    "statllama": round(computed_over_useful(lengths, args.steps, budgeted), 3),
                    **{
                        f"plain TRL, {n} rows": round(computed_over_useful(lengths, args.steps, partial(by_rows, n)), 3)
                        for n in args.micro
                    },
                },
            }
    settings = {**vars(args), "parameters": parameters, "backend": base.backend, "batch": BATCH}
    report("mixed_lengths", {"settings": settings, **figures}, args.save)


if __name__ == "__main__":
    main()
