"""What one side of `gpu_train.py` does, in a process of its own: Unsloth rewrites the libraries of a whole process.

    python benchmarks/gpu_sides.py SIDE SETUP.json OUT.jsonl

Each case of the setup is measured in turn, and its figures appended to OUT at once: a kill loses only what follows.
A case that fails, or finds no memory, says so in its line and does not stop the others.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import require_plain

from statllama.train.job import Job
from statllama.train.trainer import StageTrainer

GIB = 2**30
CONTEXT_GIB = 0.75  # what the driver and the libraries take beside the allocator, of a card that is to be imitated
MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
NO_HUB: dict[str, Any] = {"model": {}, "tokenizer": {}}
SEED = 42


PROMPT = 2078  # tokens of the longest of GSM8K's 8-shot prompts


@dataclass(frozen=True)
class Case:
    """One measurement. Lengths in tokens, `micro` in rows a forward pass (pairs in dpo), which is also the batch."""

    kind: str
    """sft, dpo or generation."""
    name: str
    micro: int = 4
    length: int = 2048
    rank: int = 16
    parents: tuple[int, ...] = ()
    packing: bool = False
    card_gib: int | None = None
    """Give the allocator what a card of this size leaves, and let statllama halve its token budget until it fits."""
    warm: int = 3
    steps: int = 8
    """Optimizer steps that are measured, after the `warm` ones."""
    profile: bool = False
    """Watch three steps after the warm ones with torch's profiler, which slows them."""
    items: int = 0
    new_tokens: int = 256


@dataclass
class Meter:
    """Seconds, places, useful tokens, loss and gradient norm of each optimizer step."""

    seconds: list[float] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    useful: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    _pending: tuple[int, int] = (0, 0)
    _last: float | None = None

    def batch(self, inputs: Any) -> None:
        """A forward pass begins: count the places of its batch, and those that hold tokens."""
        from statllama.data.collate import real_tokens

        flat = inputs.get("attention_mask") is None and "labels" not in inputs
        useful = inputs["input_ids"].numel() if flat else int(real_tokens(inputs))
        self._pending = (self._pending[0] + inputs["input_ids"].numel(), self._pending[1] + useful)

    def step(self, loss: float, norm: float) -> None:
        """An optimizer step has ended."""
        synchronize()
        now = time.perf_counter()
        if self._last is not None:
            self.seconds.append(now - self._last)
            self.places.append(self._pending[0])
            self.useful.append(self._pending[1])
            self.losses.append(loss)
            self.norms.append(norm)
        self._pending, self._last = (0, 0), now

    def clear(self) -> None:
        """Forget everything."""
        vars(self).update(vars(Meter()))

    def figures(self, steps: int) -> dict[str, Any]:
        """Of the last `steps` steps."""
        names = ("seconds", "places", "useful", "losses", "norms")
        return {name: getattr(self, name)[-steps:] for name in names}


def cuda() -> bool:
    """Whether there is a GPU."""
    import torch

    return torch.cuda.is_available()


def synchronize() -> None:
    """Wait until the GPU has done all it was told."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def memory() -> dict[str, float] | None:
    """Peaks since the last reset, in GiB: of tensors, and of what the allocator took for them. None without a GPU."""
    import torch

    if not torch.cuda.is_available():
        return None
    return {"allocated": torch.cuda.max_memory_allocated() / GIB, "reserved": torch.cuda.max_memory_reserved() / GIB}


def free() -> None:
    """Hand back what is no longer used, and count peaks from here."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


@contextmanager
def card(gib: int | None) -> Iterator[None]:
    """Within, the allocator may take no more than a card of so many GiB leaves it."""
    import torch

    if gib is None:
        yield
        return
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((gib - CONTEXT_GIB) * GIB / total)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def optimizer() -> str:
    """The same on all sides: the paper's, which needs CUDA."""
    return "adamw_8bit" if cuda() else "adamw_torch"


# ------------------------------------------------------------------ statllama


class Statllama:
    """Stages as `statllama run` trains them. `quantization`: `none` for the model that merging leaves, in 16 bit."""

    def __init__(self, setup: dict[str, Any], quantization: str = "nf4") -> None:
        from statllama.config.base_model import BaseModelSpec
        from statllama.model.base_model import choose_backend, load_base, start_backend

        self.setup = setup
        spec = BaseModelSpec(model=setup["base"], quantization=quantization if cuda() else "none")  # type: ignore[arg-type]
        start_backend(choose_backend())
        self.base = load_base(spec, NO_HUB, "auto", setup["longest"], choose_backend())
        self._parents: dict[tuple[int, ...], tuple[Any, ...]] = {(): ()}

    def train(self, case: Case, folder: Path) -> dict[str, Any]:
        """A stage of `case.kind` on random frozen parents of `case.parents`."""
        from statllama.data.prepare import prepare
        from statllama.stages import stage_module
        from statllama.train import training

        module, spec = stage_module(case.kind), self._spec(case)
        data = prepare(
            module.DATA_KIND, spec.data, root=Path(), tokenizer=self.base.tokenizer, cache=None, **spec.data_options
        )
        meter, notes = Meter(), []
        watched = Profiler(case)

        def note(text: str) -> None:
            notes.append(text)
            meter.clear()  # what was measured before memory ran out does not count

        def step(event: Any) -> None:
            meter.step(event.loss, event.grad_norm)
            watched.step(event.step)

        job = Job(
            spec=spec,
            base=self.base,
            parents=self._stack(case.parents),
            dataset=data.dataset,
            data_kind=module.DATA_KIND,
            folder=folder,
            on_step=step,
            on_note=note,
        )
        with metered(StageTrainer, meter, "pass_step"):
            outcome = training.run(job, module)
        sizes = {"micro": case.micro, "micro_tokens": outcome.micro_tokens}
        return {**meter.figures(case.steps), **sizes, "notes": notes, **watched.result}

    def _spec(self, case: Case) -> Any:
        from statllama.stages import stage_module

        train = {
            "steps": case.warm + case.steps,
            "batch_size": case.micro,
            "micro_tokens": case.micro * case.length * (2 if case.kind == "dpo" else 1),
            "max_length": case.length,
            "packing": case.packing,
            "optimizer": optimizer(),
            "schedule": "constant",
            "checkpoint_every": 10**6,
            "seed": SEED,
        }
        own = {"train_on": "all"} if case.kind == "sft" else {"beta": 0.1}
        formats = {"sft": "messages", "dpo": "preference"}
        return stage_module(case.kind).Spec.model_validate(
            {
                "name": case.kind,
                "type": case.kind,
                "data": [{"path": self.setup[case.kind], "format": formats[case.kind]}],
                "lora": {"r": case.rank, "alpha": 2.0 * case.rank, "rslora": True},
                "train": train,
                **own,
            }
        )

    def _stack(self, ranks: tuple[int, ...]) -> tuple[Any, ...]:
        """Random frozen adapters of these ranks, made once."""
        from step_time import parents_of

        if ranks not in self._parents:
            self._parents[ranks] = parents_of(self.base, ranks)
        return self._parents[ranks]

    def generate(self, case: Case) -> dict[str, Any]:
        """Replies of `case.new_tokens` tokens to GSM8K's 8-shot prompts, `case.micro` at a time (more short ones)."""
        from dataclasses import replace

        from statllama.config.benchmarks import find_tasks
        from statllama.config.evaluate import EvaluateSpec
        from statllama.evaluation.language_model import REPLIES
        from statllama.evaluation.suite import score
        from statllama.model.base_model import scoring

        files = {"gsm8k": self.setup["gsm8k"]}
        kwargs = {"until": [], "max_gen_toks": case.new_tokens, "min_new_tokens": case.new_tokens, "do_sample": False}
        eval_folder = Path(__file__).resolve().parent.parent / "eval"

        def replies(items: int) -> float:
            length = self.setup["longest"]
            tokens = case.micro * (PROMPT + case.new_tokens) // REPLIES
            spec = EvaluateSpec(tasks=("gsm8k",), data=files, micro_tokens=tokens, limit=items, max_length=length)
            task = find_tasks(["gsm8k"], [eval_folder], spec.data)["gsm8k"]
            task = replace(task, config={**task.config, "generation_kwargs": kwargs})
            with clocked() as seconds:
                score(model, self.base.tokenizer, [task], spec)
            synchronize()
            return seconds[-1]

        with scoring(self.base, self._stack(case.parents)) as model:
            replies(min(case.micro, 2))  # kernels are compiled, caches warm
            free()
            seconds = replies(case.items)
        return {"seconds": [seconds], "items": case.items, "new_tokens": case.items * case.new_tokens}

    def measure(self, case: Case, folder: Path) -> dict[str, Any]:
        """The figures of a case."""
        with card(case.card_gib):
            return self.generate(case) if case.kind == "generation" else self.train(case, folder)


class Merged(Statllama):
    """The base in 16 bit without adapters: what a merged model is."""

    def __init__(self, setup: dict[str, Any]) -> None:
        super().__init__(setup, quantization="none")


class Segments(Statllama):
    """One call of attention for each example of a packed row: see `statllama.model.packed_attention`."""

    def __init__(self, setup: dict[str, Any]) -> None:
        os.environ["UNSLOTH_TORCH_VARLEN"] = "0"
        super().__init__(setup)


# ------------------------------------------------------------------ TRL, plain and otherwise


class Trl:
    """A plain script: Transformers, PEFT, bitsandbytes and TRL at their best settings, in a process without Unsloth.

    SDPA, TRL's own packing (best fit decreasing) and loss in chunks, gradient checkpointing, the LoRA that TRL makes.
    """

    liger = False

    def __init__(self, setup: dict[str, Any]) -> None:
        from statllama.config.base_model import BaseModelSpec
        from statllama.model.base_model import load_base, start_backend

        self.setup = setup
        start_backend("transformers")
        spec = BaseModelSpec(model=setup["base"], quantization="nf4" if cuda() else "none")
        self.base = load_base(spec, NO_HUB, "auto", setup["longest"], "transformers")

    def measure(self, case: Case, folder: Path) -> dict[str, Any]:
        """The figures of a case."""
        from peft import LoraConfig

        from statllama.model.stack import detach

        lora = LoraConfig(
            r=case.rank,
            lora_alpha=2 * case.rank,
            use_rslora=True,
            target_modules=list(MODULES),
            task_type="CAUSAL_LM",
        )
        meter = Meter()
        given = {"model": self.base.model, "processing_class": self.base.tokenizer, "peft_config": lora}
        trainer = trl_trainer(case, self.setup, folder, meter, liger=self.liger, **given)
        try:
            with metered(type(trainer), meter):
                trainer.train()
        finally:
            detach(trainer.model)
        require_plain()
        return {**meter.figures(case.steps), "micro": case.micro}


class Liger(Trl):
    """The same with Liger's fused kernels."""

    liger = True


class Authors:
    """The authors' way, in their words: Unsloth's model and TRL's trainer on padded rows, 4 a pass.

    They trained in float16; here it is bfloat16 as on all sides. Unsloth would take the padding out by itself today,
    which their version did not: that is switched off.
    """

    def __init__(self, setup: dict[str, Any]) -> None:
        from statllama.model.base_model import start_backend

        os.environ["UNSLOTH_DISABLE_AUTO_PADDING_FREE"] = "1"
        self.setup = setup
        start_backend("unsloth")

    def measure(self, case: Case, folder: Path) -> dict[str, Any]:
        """The figures of a case, on a base of its own."""
        from unsloth import FastLanguageModel

        from statllama.model.base_model import resolve_dtype

        model, tokenizer = FastLanguageModel.from_pretrained(
            self.setup["base"], max_seq_length=case.length, dtype=resolve_dtype("auto"),
            load_in_4bit=cuda(),
            use_exact_model_name=True,
        )  # fmt: skip
        model = FastLanguageModel.get_peft_model(
            model, r=case.rank, lora_alpha=2 * case.rank, target_modules=list(MODULES), lora_dropout=0, bias="none",
            use_rslora=True, use_gradient_checkpointing="unsloth", random_state=SEED,
        )  # fmt: skip
        tokenizer.padding_side = "right"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = "<|finetune_right_pad_id|>"
        meter = Meter()
        trainer = trl_trainer(case, self.setup, folder, meter, model=model, processing_class=tokenizer)
        with metered(type(trainer), meter):
            trainer.train()
        return {**meter.figures(case.steps), "micro": case.micro}


def trl_trainer(
    case: Case, setup: dict[str, Any], folder: Path, meter: Meter, *, liger: bool = False, **given: Any
) -> Any:
    """TRL's trainer for a case on raw rows: it renders, tokenises, packs or pads them itself."""
    import trl
    from datasets import Dataset, load_dataset
    from transformers import TrainerCallback

    class Watch(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if logs and "loss" in logs:
                meter.step(float(logs["loss"]), float(logs["grad_norm"]))

    common: dict[str, Any] = {
        "output_dir": str(folder),
        "max_steps": case.warm + case.steps,
        "per_device_train_batch_size": case.micro,
        "gradient_accumulation_steps": 1,
        "learning_rate": 2e-5,
        "lr_scheduler_type": "constant",
        "optim": optimizer(),
        "bf16": cuda(),
        "use_cpu": not cuda(),
        "gradient_checkpointing": True,
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "use_liger_kernel": liger,
        "max_length": case.length,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "seed": SEED,
    }
    rows = load_dataset("json", data_files=setup[case.kind], split="train", cache_dir=str(folder / "rows"))
    if "peft_config" not in given and case.kind == "sft":  # Unsloth's trainer takes texts
        template = given["processing_class"].apply_chat_template
        texts = [template(messages, tokenize=False) for messages in rows["messages"]]
        rows = Dataset.from_dict({"text": texts})
    given |= {"train_dataset": rows, "callbacks": [Watch()]}
    if case.kind == "dpo":
        return trl.DPOTrainer(args=trl.DPOConfig(**common, beta=0.1), **given)
    return trl.SFTTrainer(args=trl.SFTConfig(**common, packing=case.packing), **given)


# ------------------------------------------------------------------ both


@contextmanager
def clocked() -> Iterator[list[float]]:
    """Within, the list gets the seconds of each call that answers all requests of a benchmark."""
    from statllama.evaluation.language_model import LanguageModel

    seconds: list[float] = []
    real = LanguageModel.answer

    def answer(self: Any, asked: Any) -> Any:
        started = time.perf_counter()
        answers = real(self, asked)
        seconds.append(time.perf_counter() - started)
        return answers

    LanguageModel.answer = answer
    try:
        yield seconds
    finally:
        LanguageModel.answer = real


@contextmanager
def metered(trainer_class: Any, meter: Meter, method: str = "training_step") -> Iterator[None]:
    """Within, the meter counts the batches that a method of every trainer of the class gets: one a forward pass."""
    real = getattr(trainer_class, method)

    def counted(self: Any, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        meter.batch(inputs)
        return real(self, model, inputs, *args, **kwargs)

    setattr(trainer_class, method, counted)
    try:
        yield
    finally:
        setattr(trainer_class, method, real)


class Profiler:
    """torch's profiler over three steps of a case that asks for it: `result` has the costliest kernels."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.result: dict[str, Any] = {}
        self.running: Any = None

    def step(self, number: int) -> None:
        """Called after each optimizer step."""
        if not self.case.profile:
            return
        from torch.profiler import ProfilerActivity, profile

        if number == self.case.warm:
            activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda() else [])]
            self.running = profile(activities=activities)
            self.running.start()
            self.began = time.perf_counter()
        elif number == self.case.warm + 3 and self.running is not None:
            synchronize()
            wall = time.perf_counter() - self.began
            self.running.stop()
            self.result = {"profile": kernels(self.running, wall)}
            self.running = None


def kernels(profiled: Any, wall: float) -> dict[str, Any]:
    """Of three steps: wall time, the GPU's busy time, its costliest kernels and the CPU's costliest calls, seconds."""

    def costliest(of: Callable[[Any], float], rows: Sequence[Any]) -> list[dict[str, Any]]:
        top = sorted(rows, key=of, reverse=True)[:40]
        return [{"name": row.key[:120], "calls": row.count, "seconds": of(row) / 1e6} for row in top if of(row)]

    rows = profiled.key_averages()
    on_gpu = [row for row in rows if str(row.device_type).endswith("CUDA")]
    return {
        "wall_seconds": wall,
        "gpu_busy_seconds": sum(row.self_device_time_total for row in on_gpu) / 1e6,
        "kernels": costliest(lambda row: row.self_device_time_total, on_gpu),
        "calls": costliest(lambda row: row.self_cpu_time_total, [row for row in rows if row not in on_gpu]),
    }


SIDES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "statllama": Statllama,
    "merged": Merged,
    "trl": Trl,
    "liger": Liger,
    "authors": Authors,
    "segments": Segments,
}


def make_base(folder: Path, shape: dict[str, int], tokenizer: str) -> int:
    """Save a random Llama of a shape with a real tokenizer; returns its number of parameters. On the GPU if any."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    chosen = AutoTokenizer.from_pretrained(tokenizer)
    config = LlamaConfig(
        vocab_size=max(shape["vocab_size"], len(chosen)),
        **{name: size for name, size in shape.items() if name != "vocab_size"},
        max_position_embeddings=131_072,
        rope_parameters={
            "rope_type": "llama3", "rope_theta": 500_000.0, "factor": 32.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
        },
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=chosen.bos_token_id,
        eos_token_id=chosen.eos_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder)
    chosen.save_pretrained(folder)
    return sum(parameter.numel() for parameter in model.parameters())


def main() -> None:
    """Measure the cases of one side."""
    import torch

    name, setup_file, out = sys.argv[1:]
    setup = json.loads(Path(setup_file).read_text("utf-8"))

    def tell(**line: Any) -> None:
        with Path(out).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"side": name, **line}) + "\n")

    if name == "base":
        tell(parameters=make_base(Path(setup["base"]), setup["shape"], setup["tokenizer"]))
        return
    began = time.perf_counter()
    side = SIDES[name](setup)
    tell(load={"seconds": time.perf_counter() - began, "memory": memory()})
    for body in setup["cases"]:
        case = Case(**{**body, "parents": tuple(body["parents"])})
        if time.time() > setup["deadline"]:
            tell(case=case.name, skipped="no time was left")
            continue
        free()
        with tempfile.TemporaryDirectory() as folder:
            try:
                figures = side.measure(case, Path(folder))
            except torch.OutOfMemoryError:
                figures = {"out_of_memory": True}
            except Exception as error:  # whatever it is, the other cases are worth having
                figures = {"failed": f"{type(error).__name__}: {error}"[:2000]}
                if setup["strict"]:
                    raise
        tell(case=case.name, kind=case.kind, rank=case.rank, **figures, memory=memory())


if __name__ == "__main__":
    main()
