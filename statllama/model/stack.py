"""The adapter stack: the adapters of all stages so far, on one frozen base, shown to PEFT as ONE LoRA adapter.

With parents 1..n-1 and the new slice n, the effective weight of a module is

    W_eff x = W x + sum_i s_i B_i A_i x,    s_i = alpha_i / r_i, or alpha_i / sqrt(r_i) with rsLoRA.

Unsloth's kernels accept exactly one active adapter, so the slices are concatenated along the rank (`factor.Factor`):
A = [A_1; ...; A_n], B = [(s_1/s_n) B_1, ..., B_n], scaling s_n. The frozen slices are buffers and the new slice is the
only Parameter, so gradients, optimizer state, checkpoints and the saved adapter hold the new slice alone, and training
it is numerically training a fresh LoRA on a base with the parents added exactly.

`up_to(model, k)` is the stack of the first k adapters, on the same model: the reference policy of DPO, KTO and GRPO,
what drift is measured from, and the earlier stage that a chat sets beside a later one.

Shapes: A_i is (r_i, in_features), B_i is (out_features, r_i).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from statllama.config.lora import LoraSpec
from statllama.errors import ModelError
from statllama.model.adapter import (
    ADAPTER_FILE,
    PREFIX,
    ROWS_FILE,
    Adapter,
    Rows,
    _config,
    layer_of,
    peft_rows,
    write_config,
    write_rows,
)
from statllama.model.factor import Factor, View
from statllama.model.token_rows import install_rows, require_rows_fit, rows_are, take_off, trained_rows

TRAINED, REFERENCE = "default", "ref"  # the names TRL and PEFT use


# ------------------------------------------------------------------ on disk


def save_adapter(model: PeftModel, lora: LoraSpec, base: str, folder: Path) -> None:
    """Write the new slice as an ordinary PEFT adapter in float32: the same bytes for the same weights."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{PREFIX}{name}.{part}.weight": factor.new.detach().float().cpu().contiguous()
        for name, part, factor in _factors(model)
        if factor.new is not None
    }
    rows = {}
    for name, table, own in trained_rows(model):
        assert table.new is not None
        rows[name] = Rows(table.new_ids, table.new.detach().float().cpu())
        tensors[peft_rows(name)] = (own + table.new.detach().float()).cpu().contiguous()
    save_file(tensors, folder / ADAPTER_FILE, metadata={"format": "pt"})
    write_config(lora, lora.target_modules, base, folder, tokens=write_rows(rows, folder) if rows else None)


def restore_slice(model: PeftModel, folder: Path) -> None:
    """Copy the weights of a checkpoint's adapter into the new slice, in place."""
    tensors = load_file(folder / ADAPTER_FILE)
    rows = load_file(folder / ROWS_FILE) if (folder / ROWS_FILE).exists() else {}
    with torch.no_grad():
        for name, table, _ in trained_rows(model):
            cast(nn.Parameter, table.new).copy_(rows[name])
        for name, part, factor in _factors(model):
            if factor.new is not None:
                factor.new.copy_(tensors[f"{PREFIX}{name}.{part}.weight"])


# ------------------------------------------------------------------ on the model


def attach(
    model: nn.Module, lora: LoraSpec, parents: Sequence[Adapter], seed: int, tokens: Sequence[int] = ()
) -> PeftModel:
    """Return the base with `parents` frozen on it and a fresh trainable slice on top, with the rows of `tokens`.

    The slice starts as PEFT starts a LoRA (A Kaiming-uniform, B zero), drawn on the CPU under `seed`, so it is the
    same on every backend and whatever the parents' modules are. ModelError when the base lacks a target module.
    """
    targets = require_modules(model, lora.target_modules, lora.layers)
    union = sorted({*targets, *(name for parent in parents for name in parent.slices)})
    require_rows_fit(model, parents, tokens, union)
    peft = get_peft_model(cast(Any, model), _config(lora, union))
    install(cast(PeftModel, peft), lora, parents, targets, seed, tokens)
    return cast(PeftModel, peft)


def slice_seed(seed: int, depth: int) -> int:
    """Return the seed that the first A of a slice is drawn under. `depth`: the number of adapters below it.

    Under one seed all stages would draw the same A, and a gentle stage hardly leaves its start: the row spaces of two
    stages of learning rate 2e-4 overlapped by 0.99. On the bare base it is the seed itself, as plain PEFT has it.
    """
    return (seed + depth * 2_654_435_761) % 2**32


def install(
    peft: PeftModel,
    lora: LoraSpec,
    parents: Sequence[Adapter],
    targets: Iterable[str],
    seed: int,
    tokens: Sequence[int] = (),
) -> None:
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
    view = View(len(parents), range(len(parents) + 1))
    for name, layer in _layers(peft):
        a, b = cast(nn.Linear, layer.lora_A[TRAINED]), cast(nn.Linear, layer.lora_B[TRAINED])
        ends = _ends(name, parents)
        below_a, below_b = _below(layer, name, parents, lora.scaling)
        device, dtype = a.weight.device, _frozen_type(peft)
        dropout = float(getattr(layer.lora_dropout[TRAINED], "p", 0.0))
        new_a, new_b = (a.weight, b.weight) if name in wanted else (None, None)
        layer.lora_A[TRAINED] = Factor(below_a.to(device, dtype), ends, 0, view, cast(Any, new_a), dropout)
        layer.lora_B[TRAINED] = Factor(below_b.to(device, dtype), ends, 1, view, cast(Any, new_b))
        layer.lora_dropout[TRAINED] = nn.Identity()
    install_rows(peft.get_base_model(), parents, view, tokens)


def attach_frozen(model: nn.Module, adapters: Sequence[Adapter]) -> PeftModel:
    """Return the base with `adapters` on it and nothing to train: for scoring, and the tests' reference."""
    modules = sorted({name for adapter in adapters for name in adapter.slices})
    lora = LoraSpec(r=1, alpha=1.0)
    require_rows_fit(model, adapters, (), modules)
    peft = cast(PeftModel, get_peft_model(cast(Any, model), _config(lora, modules)))
    install(peft, lora, adapters, (), seed=0)
    peft.requires_grad_(False)
    return peft


def refer_to_parents(peft: PeftModel) -> None:
    """Make the stack without the new slice the reference policy of DPO, KTO and GRPO.

    TRL and Unsloth enter `disable_adapter` for the reference's forward pass, unless an adapter `ref` is there: TRL's is
    a copy of the new slice on the bare base. Call it once the trainer is built, which adds that one.
    """
    if REFERENCE in peft.peft_config:
        peft.delete_adapter(REFERENCE)
        peft.set_adapter(TRAINED)
    cast(Any, peft).disable_adapter = partial(up_to, peft)


def detach(peft: PeftModel) -> nn.Module:
    """Take the adapter off and hand the base back as it was: the same object, the same bits.

    A trainer leaves gradient checkpointing, input hooks, `use_cache=False` and a patched `forward` behind.
    """
    peft.__dict__.pop("disable_adapter", None)
    base = peft.unload()
    take_off(base)
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
def up_to(model: nn.Module, count: int | None = None) -> Iterator[None]:
    """Reduce a stack to its first `count` adapters; with 0, to the base. None: to all but the slice that trains.

    No weight is copied, none is changed. ValueError when the stack has no such part.
    """
    view = _view(model)
    if count is None:
        count = view.parents
    if not 0 <= count <= view.parents:
        raise ValueError(f"a stack of {view.parents} frozen adapters has no first {count}")
    with _showing(view, range(count)):
        yield


@contextmanager
def watched(model: nn.Module) -> Iterator[set[range]]:
    """Yield a set that fills with what the stack shows whenever one of its factors is read: ranges of adapters."""
    view = _view(model)
    before, view.seen = view.seen, set()
    try:
        yield view.seen
    finally:
        view.seen = before


def shown(model: nn.Module) -> range:
    """Return the adapters that the stack shows now, by their numbers in it."""
    return _view(model).shown


def shows_new(model: nn.Module) -> bool:
    """Return whether the stack shows the slice that trains now."""
    view = _view(model)
    return view.parents in view.shown


def require_parents(peft: nn.Module, parents: Sequence[Adapter]) -> None:
    """Raise ModelError unless what the stack shows now is `parents`, bit for bit, and nothing besides."""
    for name, layer in _layers(peft):
        wanted = _below(layer, name, parents, layer.scaling[TRAINED])
        for modules, expected in zip((layer.lora_A, layer.lora_B), wanted, strict=True):
            factor = cast(Factor, modules[TRAINED])
            got = factor.weight
            same = torch.equal(got, expected.to(got)) if expected.numel() else not got.any()
            if not same or layer.disable_adapters or layer.active_adapters != [TRAINED]:
                raise ModelError(f"{name}: the model does not show the {len(parents)} adapters of the stack below")
    if not rows_are(peft, parents):
        raise ModelError(f"the model does not show the rows of tokens of the {len(parents)} adapters below")


def parents_act(model: Any, ids: Tensor) -> bool:
    """Return whether the frozen adapters change a prediction of the model as it trains: its mode, gradients on.

    `model`: the stack, or what a trainer wrapped it in; `ids`: (1, length). True without frozen adapters.
    """
    view, found = _view(model), []
    if not view.parents:
        return True
    whole = range(view.parents + 1)
    for part in (whole, whole[view.parents :]):  # all of the stack; the new slice alone
        with torch.random.fork_rng(), _showing(view, part), watched(model) as seen, torch.enable_grad():
            found.append(model(input_ids=ids, use_cache=False).logits.detach())
            if seen != {part}:
                return False
    return not torch.equal(*found)


@contextmanager
def _showing(view: View, part: range) -> Iterator[None]:
    before, view.shown = view.shown, part
    try:
        yield
    finally:
        view.shown = before


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return {name: parameter} of everything that trains: the new slice alone."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


# ------------------------------------------------------------------ details


def require_modules(model: nn.Module, targets: Sequence[str], layers: Sequence[int] | None = None) -> list[str]:
    """Return the full names of the base's linear modules named in `targets`, of these decoder layers alone.

    ModelError lists what the base has instead.
    """
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    short = sorted({name.rpartition(".")[2] for name in linear})
    missing = [t for t in targets if t not in short]
    if missing:
        raise ModelError(
            f"the base model has no linear module {', '.join(map(repr, missing))}; it has: {', '.join(short)}",
            remedy="set `lora.target_modules` to modules of this base",
        )
    found = [name for name in linear if name.rpartition(".")[2] in targets]
    if layers is None:
        return found
    places = {name: layer_of(name) for name in found}
    if absent := sorted(set(layers) - set(places.values())):
        last = max((place for place in places.values() if place is not None), default=-1)
        raise ModelError(
            f"the base model has no layer {absent[0]} with {', '.join(targets)}; its layers are 0 to {last}",
            remedy="set `lora.layers` to layers of this base",
        )
    return [name for name in found if places[name] in layers]


def _layers(peft: nn.Module) -> Iterator[tuple[str, LoraLayer]]:
    """Yield (module name in the base, LoRA layer) of every adapted module, in the model's order."""
    for name, module in peft.named_modules():
        if isinstance(module, LoraLayer):
            yield name.removeprefix(PREFIX), module


def _factors(peft: nn.Module) -> Iterator[tuple[str, str, Factor]]:
    """Yield (module name in the base, `lora_A` or `lora_B`, factor), in the model's order."""
    for name, layer in _layers(peft):
        yield name, "lora_A", cast(Factor, layer.lora_A[TRAINED])
        yield name, "lora_B", cast(Factor, layer.lora_B[TRAINED])


def _view(model: nn.Module) -> View:
    return next(factor.view for _, _, factor in _factors(model))


def _frozen_type(peft: nn.Module) -> torch.dtype:
    """Return the type of frozen slices: what the base computes in, to which kernels cast them anyway.

    In float16 the small B of a gentle stage would lose its digits, so there it is float32.
    """
    dtype = cast(Any, peft).get_input_embeddings().weight.dtype
    return torch.float32 if dtype is torch.float16 else cast(torch.dtype, dtype)


def _initialise(peft: PeftModel, targets: set[str], seed: int) -> None:
    """Start the new slice in float32 with PEFT's own draws: two nn.Linear, then Kaiming-uniform on A, zeros in B."""
    generator_state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    for name, layer in _layers(peft):
        if name not in targets:
            continue
        a, b = cast(nn.Linear, layer.lora_A[TRAINED]), cast(nn.Linear, layer.lora_B[TRAINED])
        fresh = nn.Linear(a.in_features, a.out_features, bias=False)
        nn.Linear(b.in_features, b.out_features, bias=False)  # PEFT makes it here, and it draws numbers
        nn.init.kaiming_uniform_(fresh.weight, a=math.sqrt(5))
        a.weight = nn.Parameter(fresh.weight.detach().to(a.weight.device))
        b.weight = nn.Parameter(torch.zeros(b.out_features, b.in_features, device=b.weight.device))
    torch.random.set_rng_state(generator_state)


def _ends(name: str, parents: Sequence[Adapter]) -> tuple[int, ...]:
    """Return where each parent's slice of a module ends along the rank, after a leading 0."""
    ranks = [parent.slices[name].A.shape[0] if name in parent.slices else 0 for parent in parents]
    return (0, *accumulate(ranks))


def _below(layer: LoraLayer, name: str, parents: Sequence[Adapter], scaling: float) -> tuple[Tensor, Tensor]:
    """Return A and B of the parents' slices on this module, of rank 0 without any, for the adapter's `scaling`."""
    expected = cast("tuple[int, int]", (layer.in_features, layer.out_features))
    slices = [parent.slices[name] for parent in parents if name in parent.slices]
    for one in slices:
        if (one.A.shape[1], one.B.shape[0]) != expected:
            raise ModelError(
                f"{name}: the adapter is for a module of {one.A.shape[1]} -> {one.B.shape[0]}, this base has {expected}"
            )
    if not slices:
        return torch.zeros(0, expected[0]), torch.zeros(expected[1], 0)
    return torch.cat([s.A for s in slices], 0), torch.cat([s.B * (s.scaling / scaling) for s in slices], 1)
