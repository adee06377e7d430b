"""Step time of a stage over the same step in a plain TRL + PEFT script, on the same base, rows and settings.

Both run in turns (A B A B ...), each on its own load of the same base; the medians' ratio is printed. The plain side
has a process of its own, in which Unsloth is never loaded. A third figure is a stage on two parents (rank 16 + 64
below a new slice of rank 8) over a plain rank-8 adapter, a fourth what gradient checkpointing costs. On a 4-bit base
TRL casts the LoRA to bfloat16 and statllama keeps it in float32; with `--quantization none` both do the same
arithmetic.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from common import Clock, make_base, make_rows, median, process_apart, report, require_plain

from statllama.config.base_model import BaseModelSpec
from statllama.config.lora import LoraSpec
from statllama.config.train import TrainSpec
from statllama.model.adapter import load_adapter
from statllama.model.base_model import Base, checksum, choose_backend, load_base, start_backend
from statllama.train.job import Job

NO_HUB: dict[str, Any] = {"model": {}, "tokenizer": {}}


def stage_gaps(
    base: Base, rows: Any, steps: int, rank: int, parents: tuple[Any, ...], folder: Path, checkpointing: bool = False
) -> list[float]:
    """Seconds a step of a statllama stage."""
    from statllama.stages import sft
    from statllama.train import training

    fields = {"learning_rate": 1e-4, "checkpoint_every": 10**6, "gradient_checkpointing": checkpointing}
    train = TrainSpec(steps=steps, batch_size=4, **fields)
    source = {"path": "rows.jsonl", "format": "text"}
    spec = sft.Spec(name="s", type="sft", train_on="all", data=[source], lora=LoraSpec(r=rank, alpha=16.0), train=train)
    clock = Clock()
    job = Job(
        spec=spec,
        base=base,
        parents=parents,
        dataset=rows,
        data_kind="documents",
        folder=folder,
        on_step=clock,
    )
    training.run(job, sft)
    return clock.gaps(skip=2)


@cache
def plain_base(spec: BaseModelSpec, length: int) -> Base:
    """The base as Transformers loads it, once."""
    start_backend("transformers")
    return load_base(spec, NO_HUB, "auto", length, "transformers")


def plain_gaps(spec: BaseModelSpec, length: int, steps: int, rank: int, folder: Path) -> list[float]:
    """Seconds a step of a plain TRL script: SFTTrainer with a peft_config. For a process without Unsloth."""
    base = plain_base(spec, length)
    import trl
    from peft import LoraConfig
    from transformers import TrainerCallback

    from statllama.model.stack import detach

    clock, rows = Clock(), make_rows(steps * 4, length)

    class Watch(TrainerCallback):
        def on_log(self, *args: Any, **kwargs: Any) -> None:
            clock()

    config = trl.SFTConfig(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=4,
        learning_rate=1e-4,
        optim="adamw_torch",
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        bf16=False,
        gradient_checkpointing=False,
        loss_type="nll",
        max_length=None,
        use_cpu=base.model.device.type == "cpu",
    )
    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    lora = LoraConfig(r=rank, lora_alpha=16, target_modules=modules, task_type="CAUSAL_LM")
    trainer = trl.SFTTrainer(
        model=base.model,
        args=config,
        train_dataset=rows.remove_columns("seq_lengths"),
        processing_class=base.tokenizer,
        peft_config=lora,
        callbacks=[Watch()],
    )
    trainer.train()
    detach(trainer.model)
    require_plain()
    return clock.gaps(skip=2)


def parents_of(base: Base, ranks: tuple[int, ...]) -> tuple[Any, ...]:
    """Random frozen adapters of these ranks."""
    import torch

    from statllama.model import stack

    adapters: list[Any] = []
    for i, rank in enumerate(ranks):
        with tempfile.TemporaryDirectory() as folder:
            lora = LoraSpec(r=rank, alpha=16.0)
            peft = stack.attach(base.model, lora, (), seed=i)
            with torch.no_grad():
                for name, parameter in stack.trainable(peft).items():
                    if "lora_B" in name:
                        parameter.normal_(std=0.01)
            stack.save_adapter(peft, lora, "base", Path(folder))
            adapters.append(load_adapter(Path(folder)))
            stack.detach(peft)
    return tuple(adapters)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--length", type=int, default=256, help="tokens a row")
    parser.add_argument("--steps", type=int, default=8, help="steps a round")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--quantization", choices=("nf4", "none"), default="none")
    parser.add_argument("--save", action="store_true", help="write results/step_time_<quantization>.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, process_apart() as plainly:
        folder, size = Path(name), (args.length, args.steps)
        parameters = plainly(make_base, folder / "base", args.hidden, args.layers)
        spec = BaseModelSpec(model=str(folder / "base"), quantization=args.quantization)
        start_backend(choose_backend())
        base = load_base(spec, NO_HUB, "auto", args.length, choose_backend())
        rows = make_rows(args.steps * 4, args.length)
        stack = parents_of(base, (16, 64))
        stage, plain, stacked, single, recomputed = [], [], [], [], []
        for i in range(args.rounds):
            plain += plainly(plain_gaps, spec, *size, 16, folder / f"plain{i}")
            stage += stage_gaps(base, rows, args.steps, 16, (), folder / f"stage{i}")
            single += plainly(plain_gaps, spec, *size, 8, folder / f"single{i}")
            stacked += stage_gaps(base, rows, args.steps, 8, stack, folder / f"stacked{i}")
            recomputed += stage_gaps(base, rows, args.steps, 16, (), folder / f"recomputed{i}", True)
        assert checksum(base.model) == base.checksum
    figures = {
        "settings": {**vars(args), "parameters": parameters, "backend": base.backend},
        "seconds_per_step": {"plain_trl": median(plain), "stage": median(stage)},
        "ratio_stage_over_plain_trl": round(median(stage) / median(plain), 4),
        "ratio_gradient_checkpointing_on_over_off": round(median(recomputed) / median(stage), 4),
        "ratio_rank_16_64_8_stack_over_plain_rank_8": round(median(stacked) / median(single), 4),
    }
    report(f"step_time_{args.quantization}", figures, args.save)


if __name__ == "__main__":
    main()
