"""What it costs to go from one stage to the next, against the way that merges in between.

statllama: save the adapter (hashed, synced, published), take it off the base, read it back, stack it under a fresh
slice, build the trainer, reach the first step. The other way, as the paper's scripts do it: merge into 16-bit weights,
save them, load them again, quantise, put a fresh LoRA on, build the trainer, reach the first step. Both end at the same
point and are run in turns, the other way in a process of its own, in which Unsloth is never loaded. Also printed: the
bytes each way writes.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from pathlib import Path
from typing import Any

from common import make_base, make_rows, median, process_apart, report, require_plain

from statllama.config.base_model import BaseModelSpec
from statllama.config.lora import LoraSpec
from statllama.config.train import TrainSpec
from statllama.model.adapter import load_adapter
from statllama.model.base_model import Base, choose_backend, load_base, start_backend
from statllama.store import Store
from statllama.store.canonical import digest
from statllama.train.job import Job

LORA = LoraSpec(r=16, alpha=32.0, rslora=True)
ROWS = (16, 64)  # rows, tokens of each


class FirstStep(Exception):
    """Raised when the first forward pass of a trainer is reached."""


def stop_at_first_step(trainer_class: Any) -> Any:
    """The trainer class, which raises FirstStep instead of its first step."""

    class Stops(trainer_class):  # type: ignore[misc]
        def training_step(self, *args: Any, **kwargs: Any) -> Any:
            raise FirstStep

    return Stops


def bytes_of(folder: Path) -> int:
    """Bytes of all safetensors files below a folder."""
    return sum(p.stat().st_size for p in folder.rglob("*.safetensors"))


def parameters_of(folder: Path) -> int:
    """Numbers in all safetensors files of a model's folder."""
    from math import prod

    from safetensors import safe_open

    total = 0
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as tensors:
            total += sum(prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
    return total


def stacked_switch(base: Base, rows: Any, workspace: Path, index: int) -> tuple[float, int]:
    """(seconds, bytes written) of statllama's way, after a stage has trained."""
    from statllama.model import stack
    from statllama.model.base_model import adapt
    from statllama.stages import _language, sft
    from statllama.train import training

    store, key = Store(workspace), digest(["switch", index])
    out = store.fresh_out("results", key)
    trained = adapt(base, LORA, (), seed=0, checkpointing=True)
    started = time.perf_counter()
    stack.save_adapter(trained, LORA, "base", out)
    entry = store.publish("results", key, {"kind": "adapter"})
    stack.detach(trained)
    base.check_unchanged()
    parent = load_adapter(store.verify("results", key).path)
    train = TrainSpec(steps=4, batch_size=4)
    source = {"path": "rows.jsonl", "format": "text"}
    spec = sft.Spec(name="s", type="sft", train_on="all", data=[source], lora=LORA, train=train)
    folder = store.partial("results", digest(["next", index]))
    job = Job(spec=spec, base=base, parents=(parent,), dataset=rows, data_kind="documents", folder=folder)
    model = adapt(base, LORA, (parent,), seed=1, checkpointing=True)
    trainer = _language.make_trainer(job, model, training.arguments(job, True))
    trainer.__class__ = stop_at_first_step(trainer.__class__)
    try:
        trainer.train()
    except FirstStep:
        pass
    seconds = time.perf_counter() - started
    stack.detach(model)
    return seconds, bytes_of(entry.path)


def rows_for(folder: Path) -> Any:
    """Random rows that begin with the BOS of the tokenizer in a folder."""
    from transformers import AutoTokenizer

    return make_rows(*ROWS, bos=AutoTokenizer.from_pretrained(folder).bos_token_id)


def merged_switch(base_folder: Path, spec: BaseModelSpec, folder: Path) -> tuple[float, int]:
    """(seconds, bytes written) of merging: plain PEFT and TRL, from a trained LoRA to the next first step.

    For a process without Unsloth.
    """
    start_backend("transformers")
    import torch
    import trl
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM

    rows, identity = rows_for(base_folder), {"model": {}, "tokenizer": {}}
    config = LoraConfig(r=16, lora_alpha=32, use_rslora=True, target_modules=list(LORA.target_modules))
    first = load_base(spec, identity, "auto", 512, "transformers")
    trained = get_peft_model(first.model, config)
    started = time.perf_counter()
    trained.save_pretrained(folder / "adapter")
    del trained, first
    gc.collect()
    device = {"": 0 if torch.cuda.is_available() else "cpu"}
    original = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.bfloat16, device_map=device)
    merged = PeftModel.from_pretrained(original, folder / "adapter").merge_and_unload()
    merged.save_pretrained(folder / "merged")
    del merged, original
    gc.collect()
    merged_spec = spec.model_copy(update={"model": str(folder / "merged"), "tokenizer": str(base_folder)})
    base = load_base(merged_spec, identity, "auto", 512, "transformers")
    arguments = trl.SFTConfig(
        output_dir=str(folder / "out"),
        max_steps=4,
        per_device_train_batch_size=4,
        report_to="none",
        bf16=False,
        max_length=None,
        disable_tqdm=True,
        use_cpu=base.model.device.type == "cpu",
    )
    trainer = stop_at_first_step(trl.SFTTrainer)(
        model=base.model,
        args=arguments,
        train_dataset=rows.remove_columns("seq_lengths"),
        processing_class=base.tokenizer,
        peft_config=config,
    )
    try:
        trainer.train()
    except FirstStep:
        pass
    seconds = time.perf_counter() - started
    require_plain()
    return seconds, bytes_of(folder / "merged")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=896, help="896 and 12 layers: about 100 M parameters")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--base", type=Path, help="folder of a base to take in place of a random one of that size")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--save", action="store_true", help="write results/stage_switch.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, process_apart() as plainly:
        folder = Path(name)
        model = args.base or folder / "base"
        parameters = plainly(parameters_of, model) if args.base else plainly(make_base, model, args.hidden, args.layers)
        spec = BaseModelSpec(model=str(model))
        start_backend(choose_backend())
        rows = rows_for(model)
        base = load_base(spec, {"model": {}, "tokenizer": {}}, "auto", 512, choose_backend())
        ours, merging, adapter_bytes, merged_bytes = [], [], 0, 0
        for i in range(args.rounds):
            seconds, merged_bytes = plainly(merged_switch, model, spec, folder / f"merge{i}")
            merging.append(seconds)
            seconds, adapter_bytes = stacked_switch(base, rows, folder / "workspace", i)
            ours.append(seconds)
    figures = {
        "settings": {
            **vars(args),
            "base": args.base and str(args.base),
            "parameters": parameters,
            "rank": LORA.r,
            "backend": base.backend,
        },
        "seconds": {"stack": median(ours), "merge_save_reload_quantise": median(merging)},
        "times_faster": round(median(merging) / median(ours), 2),
        "bytes_written": {"adapter": adapter_bytes, "merged_16_bit": merged_bytes},
        "merged_bytes_over_adapter_bytes": round(merged_bytes / adapter_bytes, 1),
    }
    report("stage_switch", figures, args.save)


if __name__ == "__main__":
    main()
