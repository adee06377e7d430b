"""What the checks run on: a random Llama, where it computes, how exactly, and the small jobs that train it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor

from statllama.config.base_model import BaseModelSpec
from statllama.config.lora import DEFAULT_MODULES, LoraSpec
from statllama.data.examples import Message, Question
from statllama.data.questions import packed_question
from statllama.model.adapter import PREFIX, Adapter, Slice, load_adapter
from statllama.model.base_model import Base, load_base
from statllama.stages import cpt, dpo, grpo, kto
from statllama.train import training
from statllama.train.job import Job, Outcome
from tests.conftest import make_llama, make_tokenizer
from tests.unsloth_cpu.definition import Weights, dense_weights

SOURCE = [{"path": "none.jsonl", "format": "text"}]  # the jobs below bring their rows along
Row = dict[str, list[int]]
KERNELS = ("LoRA_MLP", "LoRA_QKV", "LoRA_W")


@dataclass
class World:
    """A device, a compute type, a size of model, and the relative error that is allowed there."""

    folder: Path
    device: str
    dtype: torch.dtype
    tolerance: float
    """Norm of the difference over the norm of what is right, for logits and gradients."""
    loss_tolerance: float
    """Absolute, for losses of about 6."""
    adapter_tolerance: float
    """Of an adapter after a few steps. Adam's first steps are signs of gradients, so rounding weighs more there."""
    shape: dict[str, Any]
    max_length: int
    notes: list[str] = field(default_factory=list)
    _bases: dict[str, Base] = field(default_factory=dict)
    _dense: dict[int, Weights] = field(default_factory=dict)

    @property
    def gpu(self) -> bool:
        """Whether this is a real GPU."""
        return self.device == "cuda"

    def note(self, text: str) -> None:
        """Keep a line for the report of the check that runs."""
        self.notes.append(text)

    def model_folder(self) -> Path:
        """A saved random base with its tokenizer; made at its first use, without network."""
        path = self.folder / "base"
        if not path.exists():
            tokenizer = make_tokenizer()
            part = self.folder / "base.part"
            shutil.rmtree(part, ignore_errors=True)
            make_llama(len(tokenizer), **self.shape).to(self.dtype).save_pretrained(part)
            tokenizer.save_pretrained(part)
            part.rename(path)
        return path

    def base(self, quantization: str) -> Base:
        """The base through `statllama.model.base_model` and Unsloth, loaded once: checks share it, as stages do."""
        if quantization not in self._bases:
            self._bases[quantization] = self.fresh_base(quantization)
        return self._bases[quantization]

    def fresh_base(self, quantization: str) -> Base:
        """Another load of the base."""
        spec = BaseModelSpec(model=str(self.model_folder()), quantization=quantization)  # type: ignore[arg-type]
        base = load_base(spec, {"model": {}, "tokenizer": {}}, "auto", self.max_length, "unsloth")
        self.dense(base)
        return base

    def dense(self, base: Base) -> Weights:
        """The base's weights for the definition. Bases of one content share them: ask while nothing is stacked."""
        if base.checksum not in self._dense:
            self._dense[base.checksum] = dense_weights(base.model)
        return self._dense[base.checksum]

    def ids(self, rows: int, width: int, seed: int = 0) -> Tensor:
        """Random ordinary tokens, (rows, width), on the device."""
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(6, 250, (rows, width), generator=generator).to(self.device)


def random_adapter(base: Base, seed: int, rank: int, modules: Sequence[str] = DEFAULT_MODULES) -> Adapter:
    """A parent whose update of each weight has about a third of that weight's size."""
    size = 0.3 * base.model.config.initializer_range * rank**-0.5
    scaling = 1.0 + 0.5 * seed
    generator = torch.Generator().manual_seed(seed)
    slices = {}
    for name, module in base.model.named_modules():
        if name.rpartition(".")[2] in modules:
            root = module.in_features**0.5
            a = torch.randn(rank, module.in_features, generator=generator) / root
            b = torch.randn(module.out_features, rank, generator=generator) * size * root / scaling
            slices[name] = Slice(a, b, scaling)
    return Adapter(slices)


def two_parents(base: Base) -> tuple[Adapter, Adapter]:
    """Parents of different rank, scale and modules."""
    return random_adapter(base, 1, 3, ("q_proj", "v_proj", "down_proj")), random_adapter(base, 2, 5)


# ------------------------------------------------------------------ rows and jobs


def rows(world: World, lengths: Sequence[int], per_row: int = 1, seed: int = 0) -> list[Row]:
    """Documents of these lengths with BOS in front, `per_row` in a row, in the form of `statllama.data`."""
    texts = []
    for i, length in enumerate(lengths):
        body = world.ids(1, length - 1, seed=1000 * seed + i)[0].tolist()
        texts.append([0, *body])
    found = []
    for start in range(0, len(texts), per_row):
        part = texts[start : start + per_row]
        found.append(
            {
                "input_ids": [t for text in part for t in text],
                "labels": [t if i else -100 for text in part for i, t in enumerate(text)],
                "seq_lengths": [len(text) for text in part],
            }
        )
    return found


def pairs(world: World, count: int, size: int = 6) -> list[Row]:
    """Preference rows with prompts and completions of different lengths; completions end the turn."""
    found = []
    for i in range(count):
        prompt, chosen, rejected = (world.ids(1, size + (i * k) % 4, seed=100 * i + k)[0].tolist() for k in (1, 2, 3))
        found.append({"prompt_ids": [0, *prompt], "chosen_ids": [*chosen, 4], "rejected_ids": [*rejected, 4]})
    return found


def judged(world: World, count: int, size: int = 6) -> list[Row]:
    """Judged answers, good and bad in turn, as prepared data holds them."""
    answers = ("chosen_ids", "rejected_ids")
    return [
        {"prompt_ids": row["prompt_ids"], "completion_ids": row[answers[i % 2]], "label": [1 - i % 2]}
        for i, row in enumerate(pairs(world, count, size))
    ]


MODULES = {"cpt": cpt, "dpo": dpo, "grpo": grpo, "kto": kto}


def questions(world: World, count: int, size: int = 5) -> list[Row]:
    """Prompts of different lengths, as prepared data holds them."""
    found = []
    for i in range(count):
        ids = world.ids(1, size + i % 3, seed=50 + i)[0].tolist()
        question = Question((Message("user", str(i)),), {})
        found.append({"prompt_ids": [0, *ids], "question": packed_question(question)})
    return found


def job(
    world: World,
    base: Base,
    name: str,
    data: list[Row],
    *,
    kind: str = "cpt",
    parents: Sequence[Adapter] = (),
    lora: dict[str, Any] | None = None,
    stop_requested: Callable[[], bool] = lambda: False,
    notes: list[str] | None = None,
    fields: dict[str, Any] | None = None,
    **train: Any,
) -> Job:
    """A stage over `data` in an empty folder called `name`."""
    from datasets import Dataset

    folder = world.folder / "jobs" / name
    module = MODULES[kind]
    settings = {"steps": 2, "batch_size": 4, "micro_tokens": 64, "learning_rate": 1e-2, "seed": 3}
    settings |= {"max_length": world.max_length, "gradient_checkpointing": False} | train
    body = {
        "name": name,
        "type": kind,
        "data": SOURCE,
        "lora": {"r": 4, "alpha": 8.0} | (lora or {}),
        "train": settings,
    }
    spec = module.Spec.model_validate(body | (fields or {}))
    return Job(
        spec=spec,
        base=base,
        parents=tuple(parents),
        dataset=Dataset.from_list(data),
        data_kind=module.DATA_KIND,
        folder=folder,
        stop_requested=stop_requested,
        on_note=(notes if notes is not None else []).append,
    )


def train(work: Job, fresh: bool = True, look: Callable[[Any], None] = lambda trainer: None) -> tuple[Outcome, Adapter]:
    """Run a job through `statllama.train.training`, as `statllama run` does, and read the adapter that it wrote.

    `fresh` empties its folder first; `look` is shown the trainer before it trains.
    """
    if fresh:
        shutil.rmtree(work.folder, ignore_errors=True)
    module = MODULES[work.spec.type]

    def make_trainer(*args: Any) -> Any:
        trainer = module.make_trainer(*args)
        look(trainer)
        return trainer

    outcome = training.run(work, cast(Any, SimpleNamespace(make_trainer=make_trainer)))
    return outcome, load_adapter(work.folder / "out")


def start_of(base: Base, work: Job) -> Adapter:
    """The new slice that the job starts from."""
    from statllama.model import stack
    from statllama.model.base_model import adapt

    model = adapt(base, work.spec.lora, work.parents, work.spec.train.seed, checkpointing=False)
    try:
        return new_slice(model, work.spec.lora)
    finally:
        stack.detach(model)


def move(value: Any, device: str) -> Any:
    """A tensor on the device; anything else as it is."""
    return value.to(device) if torch.is_tensor(value) else value


def fill(model: Any, seed: int = 7, size: float = 0.02) -> None:
    """Give the new slice's B random values: at zero the slice would not show in any logit."""
    from statllama.model import stack

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in stack.trainable(model).items():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * size)


def new_slice(model: Any, lora: LoraSpec) -> Adapter:
    """The new slice as it is on the model."""
    from statllama.model import stack

    found: dict[str, dict[str, Tensor]] = {}
    for name, parameter in stack.trainable(model).items():
        module, _, rest = name.removeprefix(PREFIX).partition(".lora_")
        found.setdefault(module, {})[rest[0]] = parameter.detach().clone()
    return Adapter({module: Slice(part["A"], part["B"], lora.scaling) for module, part in found.items()})


def relative(got: Tensor, right: Tensor) -> float:
    """Norm of the difference over the norm of what is right."""
    got, right = got.detach().double(), right.detach().double()
    return float((got - right).norm() / right.norm())


def difference(first: Adapter, second: Adapter) -> float:
    """Relative difference of two adapters: of all their B, which start at zero."""
    return relative(
        torch.cat([s.B.flatten() for s in first.slices.values()]),
        torch.cat([second.slices[name].B.flatten() for name in first.slices]),
    )


class KernelCounter:
    """Counts forward and backward calls of Unsloth's fused LoRA kernels within a `with` block."""

    def __init__(self) -> None:
        self.forward = dict.fromkeys(KERNELS, 0)
        self.backward = dict.fromkeys(KERNELS, 0)
        self._saved: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> KernelCounter:
        module = sys.modules["unsloth.kernels.fast_lora"]
        for name in KERNELS:
            kernel = getattr(module, name)
            for part, counts in (("forward", self.forward), ("backward", self.backward)):
                raw = kernel.__dict__[part]
                self._saved.append((kernel, part, raw))
                setattr(kernel, part, staticmethod(_counted(raw.__func__, counts, name)))
        return self

    def __exit__(self, *_: object) -> None:
        for kernel, part, raw in self._saved:
            setattr(kernel, part, raw)


def _counted(function: Callable[..., Any], counts: dict[str, int], name: str) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        counts[name] += 1
        return function(*args, **kwargs)

    return wrapper
