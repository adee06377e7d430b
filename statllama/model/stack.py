"""The adapter stack: the adapters of all stages so far, on one frozen base, shown to PEFT as ONE LoRA adapter.

With parents 1..n-1 and the new slice n, the effective weight of a module is

    W_eff x = W x + sum_i s_i B_i A_i x,    s_i = alpha_i / r_i, or alpha_i / sqrt(r_i) with rsLoRA.

Unsloth's kernels accept exactly one active adapter, so the slices are concatenated along the rank:
A = [A_1; ...; A_n], B = [(s_1/s_n) B_1, ..., B_n], scaling s_n. The frozen slices are buffers and the new slice is the
only Parameter, so gradients, optimizer state, checkpoints and the saved adapter hold the new slice alone, and training
it is numerically training a fresh LoRA on a base with the parents added exactly.

Shapes: A_i is (r_i, in_features), B_i is (out_features, r_i).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from statllama.config.specs import LoraSpec
from statllama.errors import ModelError
from statllama.model.adapter import ADAPTER_FILE, PREFIX, Adapter, _config, write_config

TRAINED, REFERENCE = "default", "ref"  # the names TRL and PEFT use


# ------------------------------------------------------------------ on disk


def save_adapter(model: PeftModel, lora: LoraSpec, base: str, folder: Path) -> None:
    """Write the new slice as an ordinary PEFT adapter in float32: the same bytes for the same weights."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, layer in _layers(model):
        if _trains(layer):
            tensors[f"{PREFIX}{name}.lora_A.weight"] = _own(layer.lora_A[TRAINED]).detach().float().cpu().contiguous()
            tensors[f"{PREFIX}{name}.lora_B.weight"] = _own(layer.lora_B[TRAINED]).detach().float().cpu().contiguous()
    save_file(tensors, folder / ADAPTER_FILE, metadata={"format": "pt"})
    write_config(lora, lora.target_modules, base, folder)


def restore_slice(model: PeftModel, folder: Path) -> None:
    """Copy the weights of a checkpoint's adapter into the new slice, in place."""
    tensors = load_file(folder / ADAPTER_FILE)
    with torch.no_grad():
        for name, layer in _layers(model):
            if _trains(layer):
                for part, modules in (("lora_A", layer.lora_A), ("lora_B", layer.lora_B)):
                    _own(modules[TRAINED]).copy_(tensors[f"{PREFIX}{name}.{part}.weight"])


# ------------------------------------------------------------------ on the model


class _Frozen(nn.Module):
    """A linear map without parameters: the frozen slices of a module that the stage does not train."""

    weight: Tensor
    bias = None  # Unsloth's decoding asks for it

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight, persistent=False)
        self.out_features, self.in_features = weight.shape

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight)


class _Stacked(nn.Linear):
    """nn.Linear whose Parameter is the new slice and whose `.weight` is the whole stack."""

    dim = 0
    frozen: Tensor

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        return torch.cat([self.frozen, cast(Tensor, self._parameters["weight"])], self.dim)


class _StackedA(_Stacked):
    """A of the stack. Dropout acts on the new slice's input alone: the frozen slices are part of the base."""

    dim = 0
    dropout = 0.0

    def forward(self, x: Tensor) -> Tensor:
        if self.dropout and self.training:
            new = F.linear(F.dropout(x, self.dropout), cast(Tensor, self._parameters["weight"]))
            return torch.cat([F.linear(x, self.frozen), new], -1)
        return F.linear(x, self.weight)


class _StackedB(_Stacked):
    dim = 1


def attach(model: nn.Module, lora: LoraSpec, parents: Sequence[Adapter], seed: int) -> PeftModel:
    """Return the base with `parents` frozen on it and a fresh trainable slice on top.

    The slice starts as PEFT starts a LoRA (A Kaiming-uniform, B zero), drawn on the CPU under `seed`, so it is the
    same on every backend and whatever the parents' modules are. ModelError when the base lacks a target module.
    """
    targets = require_modules(model, lora.target_modules)
    union = sorted({*targets, *(name for parent in parents for name in parent.slices)})
    peft = get_peft_model(cast(Any, model), _config(lora, union))
    install(cast(PeftModel, peft), lora, parents, targets, seed)
    return cast(PeftModel, peft)


def slice_seed(seed: int, depth: int) -> int:
    """Return the seed that the first A of a slice is drawn under. `depth`: the number of adapters below it.

    Under one seed all stages would draw the same A, and a gentle stage hardly leaves its start: the row spaces of two
    stages of learning rate 2e-4 overlapped by 0.99. On the bare base it is the seed itself, as plain PEFT has it.
    """
    return (seed + depth * 2_654_435_761) % 2**32


def install(peft: PeftModel, lora: LoraSpec, parents: Sequence[Adapter], targets: Iterable[str], seed: int) -> None:
    """Turn the one adapter of a freshly made PEFT model into the stack (also after Unsloth's `get_peft_model`)."""
    wanted = set(targets)
    needed = {*wanted, *(name for parent in parents for name in parent.slices)}
    have = {name for name, _ in _layers(peft)}
    if missing := sorted(needed - have):
        raise ModelError(
            f"no adapter can be put on {missing[0]} ({len(missing)} modules like it) of this base with this backend",
            remedy=f"it adapts {', '.join(sorted({name.rpartition('.')[2] for name in have}))}: "
            "set `lora.target_modules` to some of them",
        )
    _initialise(peft, wanted, seed)
    for name, layer in _layers(peft):
        frozen = _frozen(layer, name, parents, lora.scaling)
        if name in wanted:
            if frozen is not None:
                _stack(layer, *frozen)
        else:
            a, b = frozen if frozen is not None else _nothing(layer)
            layer.lora_A[TRAINED], layer.lora_B[TRAINED] = _Frozen(a), _Frozen(b)
            layer.lora_dropout[TRAINED] = nn.Identity()


def attach_frozen(model: nn.Module, adapters: Sequence[Adapter]) -> PeftModel:
    """Return the base with `adapters` on it and nothing to train: for scoring, and the tests' reference."""
    modules = sorted({name for adapter in adapters for name in adapter.slices})
    lora = LoraSpec(r=1, alpha=1.0)
    peft = cast(PeftModel, get_peft_model(cast(Any, model), _config(lora, modules)))
    install(peft, lora, adapters, (), seed=0)
    peft.requires_grad_(False)
    return peft


def add_reference(peft: PeftModel) -> None:
    """Make PEFT adapter `ref` the stack without the new slice: the reference policy of DPO, KTO and GRPO.

    TRL's own `ref` is a copy of the new slice on the bare base, and without parents it would be the bare base.
    Call it after the trainer is built. It adds no parameter, so nothing of it enters a checkpoint.
    """
    if REFERENCE not in peft.peft_config:
        peft.add_adapter(REFERENCE, peft.peft_config[TRAINED])
    for _, layer in _layers(peft):
        trained_a, trained_b = cast(Any, layer.lora_A[TRAINED]), cast(Any, layer.lora_B[TRAINED])
        if isinstance(trained_a, _Stacked):
            a, b = trained_a.frozen, trained_b.frozen
        elif isinstance(trained_a, _Frozen):
            a, b = trained_a.weight, trained_b.weight
        else:
            a, b = _nothing(layer)
        layer.lora_A[REFERENCE], layer.lora_B[REFERENCE] = _Frozen(a), _Frozen(b)
        layer.lora_dropout[REFERENCE] = nn.Identity()
        layer.scaling[REFERENCE] = layer.scaling[TRAINED]
    peft.set_adapter(TRAINED)


def detach(peft: PeftModel) -> nn.Module:
    """Take the adapter off and hand the base back as it was: the same object, the same bits.

    A trainer leaves gradient checkpointing, input hooks, `use_cache=False` and a patched `forward` behind.
    """
    base = peft.unload()
    base.gradient_checkpointing_disable()
    base.disable_input_require_grads()
    hooks = base.get_input_embeddings()._forward_hooks
    left = [h for h, hook in hooks.items() if getattr(hook, "__name__", "") == "make_inputs_require_grads"]
    for handle in left:  # it is enabled several times, and Transformers takes back the last time alone
        del hooks[handle]
    base.__dict__.pop("forward", None)
    base.config.use_cache = True
    base.requires_grad_(False)
    base.eval()
    return cast(nn.Module, base)


@contextmanager
def without_new_slice(model: nn.Module) -> Iterator[None]:
    """Reduce the stack to the parents alone, as before the first step: the new slice's B is zero meanwhile."""
    kept = {p: p.detach().clone() for name, p in trainable(model).items() if ".lora_B." in name}
    with torch.no_grad():
        for parameter in kept:
            parameter.zero_()
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, value in kept.items():
                parameter.copy_(value)


@contextmanager
def first_adapters(peft: PeftModel, adapters: Sequence[Adapter], count: int) -> Iterator[None]:
    """Reduce a stack that `attach_frozen` made of `adapters` to its first `count`; with 0, to the base.

    The B columns of the others are zero for that time, so that, unlike with a smaller stack, no sum is rounded
    differently: an adapter without effect changes no bit. Costs a copy of those columns.
    """
    kept: list[tuple[Tensor, Tensor]] = []
    for name, layer in _layers(peft):
        ranks = [adapter.slices[name].A.shape[0] if name in adapter.slices else 0 for adapter in adapters]
        b = cast(_Frozen, layer.lora_B[TRAINED]).weight
        if any(ranks) and sum(ranks) != b.shape[1]:
            raise ValueError(f"{name}: these adapters have rank {sum(ranks)}, the model's stack has {b.shape[1]}")
        others = b[:, sum(ranks[:count]) :]
        kept.append((others, others.clone()))
    try:
        for columns, _ in kept:
            columns.zero_()
        yield
    finally:
        for columns, values in kept:
            columns.copy_(values)


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return {name: parameter} of everything that trains: the new slice alone."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


# ------------------------------------------------------------------ details


def require_modules(model: nn.Module, targets: Sequence[str]) -> list[str]:
    """Return the full names of the base's linear modules named in `targets`. ModelError lists what the base has
    instead.
    """
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    short = sorted({name.rpartition(".")[2] for name in linear})
    missing = [t for t in targets if t not in short]
    if missing:
        raise ModelError(
            f"the base model has no linear module {', '.join(map(repr, missing))}; it has: {', '.join(short)}",
            remedy="set `lora.target_modules` to modules of this base",
        )
    return [name for name in linear if name.rpartition(".")[2] in targets]


def _layers(peft: nn.Module) -> Iterator[tuple[str, LoraLayer]]:
    """Yield (module name in the base, LoRA layer) of every adapted module, in the model's order."""
    for name, module in peft.named_modules():
        if isinstance(module, LoraLayer):
            yield name.removeprefix(PREFIX), module


def _linear(modules: nn.ModuleDict) -> nn.Linear:
    """Return the trained adapter's lora_A or lora_B."""
    return cast(nn.Linear, modules[TRAINED])


def _own(linear: nn.Module) -> Tensor:
    """Return the new slice's own Parameter, (r, in) or (out, r)."""
    return cast(Tensor, linear._parameters["weight"])


def _trains(layer: LoraLayer) -> bool:
    return not isinstance(layer.lora_A[TRAINED], _Frozen)


def _initialise(peft: PeftModel, targets: set[str], seed: int) -> None:
    """Start the new slice in float32 with PEFT's own draws: two nn.Linear, then Kaiming-uniform on A, zeros in B."""
    generator_state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    for name, layer in _layers(peft):
        if name not in targets:
            continue
        a, b = _linear(layer.lora_A), _linear(layer.lora_B)
        fresh = nn.Linear(a.in_features, a.out_features, bias=False)
        nn.Linear(b.in_features, b.out_features, bias=False)  # PEFT makes it here, and it draws numbers
        nn.init.kaiming_uniform_(fresh.weight, a=math.sqrt(5))
        a.weight = nn.Parameter(fresh.weight.detach().to(a.weight.device))
        b.weight = nn.Parameter(torch.zeros(b.out_features, b.in_features, device=b.weight.device))
    torch.random.set_rng_state(generator_state)


def _frozen(layer: LoraLayer, name: str, parents: Sequence[Adapter], scaling: float) -> tuple[Tensor, Tensor] | None:
    """Return A and B of the parents' slices on this module, ready for the adapter's `scaling`; None without any."""
    slices = [parent.slices[name] for parent in parents if name in parent.slices]
    if not slices:
        return None
    device = _linear(layer.lora_A).weight.device
    a = torch.cat([s.A for s in slices], 0)
    b = torch.cat([s.B * (s.scaling / scaling) for s in slices], 1)
    expected = (layer.in_features, layer.out_features)
    if (a.shape[1], b.shape[0]) != expected:
        raise ModelError(
            f"{name}: the adapter is for a module of {a.shape[1]} -> {b.shape[0]}, this base has {expected}"
        )
    return a.to(device), b.to(device)


def _nothing(layer: LoraLayer) -> tuple[Tensor, Tensor]:
    """Return a rank-1 update that is zero."""
    device = _linear(layer.lora_A).weight.device
    width, height = cast(int, layer.in_features), cast(int, layer.out_features)
    return torch.zeros(1, width, device=device), torch.zeros(height, 1, device=device)


def _stack(layer: LoraLayer, a: Tensor, b: Tensor) -> None:
    """Swap the classes of lora_A and lora_B, so that `.weight` is the stack and the Parameter the new slice."""
    dropout = layer.lora_dropout[TRAINED]
    for linear, kind, frozen in ((layer.lora_A[TRAINED], _StackedA, a), (layer.lora_B[TRAINED], _StackedB, b)):
        linear.register_buffer("frozen", frozen, persistent=False)
        linear.__class__ = kind
    cast(_StackedA, layer.lora_A[TRAINED]).dropout = float(getattr(dropout, "p", 0.0))
    layer.lora_dropout[TRAINED] = nn.Identity()
