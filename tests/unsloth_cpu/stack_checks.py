"""The stack under Unsloth against its definition: logits, gradients, dropout, packed rows."""

from __future__ import annotations

from typing import Any

import torch

from statllama.config.base_model import BaseModelSpec
from statllama.data.collate import RowCollator
from statllama.evaluation.shared_context import forks, likelihoods, takes_forks
from statllama.model import stack
from statllama.model.adapter import PREFIX
from statllama.model.base_model import load_base, scoring
from tests.conftest import make_llama, make_tokenizer
from tests.small_models import make_model
from tests.unsloth_cpu import definition
from tests.unsloth_cpu.common import LORA, autocast, check, close, defined, defined_gradients, stacked
from tests.unsloth_cpu.world import KERNELS, KernelCounter, World, move, new_slice, relative, rows, two_parents


def _stack_is_definition(world: World, quantization: str) -> None:
    base = world.base(quantization)
    parents, ids = two_parents(base), world.ids(2, world.max_length // 2)
    with stacked(base, LORA, parents) as model:
        new = new_slice(model, LORA)
        right, without = (defined(world, base, adapters, ids) for adapters in ([*parents, new], [new]))
        for mode in (True, False):
            model.train(mode)
            with KernelCounter() as counter, torch.no_grad(), autocast(world):
                got = model(input_ids=ids, use_cache=False).logits
            name = "training mode" if mode else "evaluation mode"
            close(world, name, got, right, wrong=without)
            assert all(counter.forward.values()), f"{name}: fused kernels not used: {counter.forward}"


@check
def stack_is_definition_float(world: World) -> None:
    """Base + two parents of different rank + new slice: the logits are those of the dense definition."""
    _stack_is_definition(world, "none")


@check
def stack_is_definition_nf4(world: World) -> None:
    """The same on a 4-bit base."""
    _stack_is_definition(world, "nf4")


def _architecture(world: World, kind: str, **changes: Any) -> None:
    """Logits and gradients of a stack on a 4-bit base of another architecture; the scores of shared rows."""
    folder = world.folder / "-".join([kind, *changes])
    make_model(kind, **world.shape, **changes).to(world.dtype).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    spec = BaseModelSpec(model=str(folder), quantization="nf4")
    base = load_base(spec, {"model": {}, "tokenizer": {}}, "auto", world.max_length, "unsloth")
    parents, ids, config = two_parents(base), world.ids(2, world.max_length // 2), base.model.config
    world.dense(base)
    with stacked(base, LORA, parents) as model:
        new = new_slice(model, LORA)
        right, without = (defined(world, base, adapters, ids) for adapters in ([*parents, new], [new]))
        model.train()
        with autocast(world), KernelCounter() as counter:
            out = model(input_ids=ids, labels=ids, use_cache=False)
            out.loss.backward()
        world.note(f"{kind}: fused kernels {counter.forward}")
        with autocast(world), torch.no_grad():
            logits = model(input_ids=ids, use_cache=False).logits
        close(world, f"{kind}, logits", logits, right, wrong=without)
        model.eval()
        with autocast(world), torch.no_grad():
            logits = model(input_ids=ids, use_cache=False).logits
        close(world, f"{kind}, evaluation mode", logits, right, wrong=without)
        got = {
            name.removeprefix(PREFIX).removesuffix(".default.weight"): p.grad
            for name, p in stack.trainable(model).items()
        }
    _, wanted = defined_gradients(
        world, base, parents, new, lambda w: definition.token_losses(definition.logits(w, config, ids), ids).mean()
    )
    flat = [torch.cat([part[name].flatten().double() for name in sorted(got)]) for part in (got, wanted)]
    close(world, f"{kind}, gradients", *flat)
    with scoring(base, ()) as model, torch.no_grad(), autocast(world):
        bare = model(input_ids=ids, use_cache=False).logits
    close(world, f"{kind}, the bare base afterwards", bare, defined(world, base, (), ids))
    pairs = [(row[:4], row[a:b]) for row in ids[:, 1:].tolist() for a, b in ((4, 6), (5, 7))]
    with scoring(base, parents) as model, torch.no_grad(), autocast(world):
        if not takes_forks(model):  # it has a window
            return
        found = forks(pairs, world.max_length)
        said = likelihoods(model, found, 5)
    for fork, answers in zip(found, said, strict=True):
        for continuation, (likelihood, _) in zip(fork.continuations, answers, strict=True):
            row = torch.tensor([[*fork.trunk[: fork.start], *continuation]], device=world.device)
            losses = definition.token_losses(defined(world, base, parents, row), row)[0, fork.start - 1 :]
            assert abs(likelihood + float(losses.sum())) < 50 * world.loss_tolerance


@check
def mistral_is_definition(world: World) -> None:
    """A stack on a Mistral under Unsloth."""
    _architecture(world, "mistral")


@check
def mistral_window_is_definition(world: World) -> None:
    """A sliding window that is shorter than the rows."""
    _architecture(world, "mistral", sliding_window=4)


@check
def qwen2_is_definition(world: World) -> None:
    """A stack on a Qwen 2, whose q, k and v have biases."""
    _architecture(world, "qwen2")


@check
def qwen3_is_definition(world: World) -> None:
    """A stack on a Qwen 3, which norms heads of q and k, and whose heads are of a width of their own."""
    _architecture(world, "qwen3")


@check
def positions_are_not_stretched(world: World) -> None:
    """Asked for rows longer than the base's positions, Unsloth rescales RoPE, and the base is another: never asked."""
    folder, tokenizer, positions = world.folder / "short", make_tokenizer(), 64
    shape = {**world.shape, "max_position_embeddings": positions}
    make_llama(len(tokenizer), **shape).to(world.dtype).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    spec = BaseModelSpec(model=str(folder), quantization="none")
    base = load_base(spec, {"model": {}, "tokenizer": {}}, "auto", 4 * positions, "unsloth")
    assert base.max_length == positions
    ids = world.ids(2, positions)
    with scoring(base, ()) as model, torch.no_grad(), autocast(world):
        close(world, "logits", model(input_ids=ids, use_cache=False).logits, defined(world, base, (), ids))


def _gradients(world: World, quantization: str, checkpointing: bool) -> None:
    base = world.base(quantization)
    config = base.model.config
    parents, ids = two_parents(base), world.ids(2, world.max_length // 2)
    with stacked(base, LORA, parents, checkpointing) as model:
        new = new_slice(model, LORA)
        model.train()
        with KernelCounter() as counter, autocast(world):
            loss = model(input_ids=ids, labels=ids, use_cache=False).loss
            loss.backward()
        got = {name: p.grad for name, p in stack.trainable(model).items()}
        assert {p.dtype for p in stack.trainable(model).values()} == {torch.float32}
    right, wanted = defined_gradients(
        world, base, parents, new, lambda w: definition.token_losses(definition.logits(w, config, ids), ids).mean()
    )
    names = {name: name.removeprefix(PREFIX).removesuffix(".default.weight") for name in got}
    errors = {short: relative(got[name], wanted[short]) for name, short in names.items()}
    worst = max(errors, key=lambda name: errors[name])
    flat = [torch.cat([g.flatten().double() for g in part]) for part in (got.values(), map(wanted.get, names.values()))]
    world.note(f"loss {float(loss.detach()):.6f}, by definition {float(right):.6f}")
    world.note(f"gradients: {relative(*flat):.1e}, worst of {len(errors)} {errors[worst]:.1e} ({worst})")
    assert abs(float(loss.detach()) - float(right)) < world.loss_tolerance
    assert relative(*flat) < 2 * world.tolerance
    assert errors[worst] < 4 * world.tolerance, errors
    layers = config.num_hidden_layers
    assert counter.backward == dict.fromkeys(KERNELS, layers), counter.backward
    assert counter.forward == dict.fromkeys(KERNELS, layers * (1 + checkpointing)), counter.forward


@check
def gradients_float(world: World) -> None:
    """The new slice's gradients are those of a fresh LoRA on an exactly merged base, through the fused kernels."""
    _gradients(world, "none", checkpointing=False)


@check
def gradients_nf4(world: World) -> None:
    """The same on a 4-bit base, with Unsloth's gradient checkpointing."""
    _gradients(world, "nf4", checkpointing=True)


@check
def dropout_on_new_slice_alone(world: World) -> None:
    """With parents too, dropout acts in training mode, on the new slice alone, and not in evaluation mode."""
    base, ids = world.base("nf4"), world.ids(2, world.max_length // 2)
    parents, lora = two_parents(base), LORA.model_copy(update={"dropout": 0.5})
    with stacked(base, lora, parents) as model, torch.no_grad(), autocast(world):
        model.train()
        torch.manual_seed(5)
        first, second = (model(input_ids=ids, use_cache=False).logits for _ in range(2))
        spread = relative(first, second)
        world.note(f"two passes in training mode differ by {spread:.1e}")
        assert spread > 4 * world.tolerance, "dropout is not applied"
        model.eval()
        right = defined(world, base, [*parents, new_slice(model, lora)], ids)
        close(world, "evaluation mode", model(input_ids=ids, use_cache=False).logits, right)
        model.train()
        for name, parameter in stack.trainable(model).items():
            if "lora_B" in name:
                parameter.zero_()
        got, right = model(input_ids=ids, use_cache=False).logits, defined(world, base, parents, ids)
        close(world, "training mode, new slice zero", got, right)
    gradients = []
    for checkpointing in (False, True):
        with stacked(base, lora, parents, checkpointing) as model:
            model.train()
            torch.manual_seed(5)
            with autocast(world):
                model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
            gradients.append(torch.cat([p.grad.flatten() for p in stack.trainable(model).values()]))
    close(world, "gradients with and without checkpointing", *gradients)


@check
def packed_is_unpacked(world: World) -> None:
    """Examples that share a row do not see each other; with position ids alone they would."""
    base = world.base("nf4")
    parents = two_parents(base)
    size = world.max_length // 4
    lengths = [size, size + 3, 5, size + 5, size + 7]  # longer than max_length when the two rows are joined
    data = [*rows(world, lengths[:3], per_row=3), *rows(world, lengths[3:], per_row=2, seed=1)]
    batch = {k: move(v, world.device) for k, v in RowCollator(5, "unsloth")(data).items()}
    assert batch["input_ids"].shape == (1, sum(lengths)) and sum(lengths) > world.max_length
    with stacked(base, LORA, parents) as model, torch.no_grad(), autocast(world):
        adapters = [*parents, new_slice(model, LORA)]
        model.train()
        inputs = {k: v for k, v in batch.items() if k != "labels"}
        got = model(**inputs).logits
        trap = {k: v for k, v in inputs.items() if k != "packed_seq_lengths"}
        leaky = model(**{k: v[:, : world.max_length] if torch.is_tensor(v) else v for k, v in trap.items()}).logits
    parts = batch["input_ids"].split(lengths, 1)
    right = torch.cat([defined(world, base, adapters, part) for part in parts], 1)
    close(world, "packed", got, right)
    second = slice(lengths[0], lengths[0] + lengths[1])
    leak = relative(leaky[:, second], right[:, second])
    world.note(f"position ids alone: second example {leak:.1e}")
    assert leak > 4 * world.tolerance, "position ids alone do separate examples: the trap is gone"


@check
def continuations_share_their_context(world: World) -> None:
    """Continuations in the row of their context are as likely as in rows of their own, on the base and on a stack."""
    base = world.base("nf4")
    ids = world.ids(2, 24)[:, 1:].tolist()  # without the first token, which all rows share
    pairs = [(row[:9], row[a:b]) for row in ids for a, b in ((9, 13), (13, 14), (14, 20))]
    found = forks([*pairs, (ids[0][:4], ids[0][4:6]), (ids[0][:4], ids[0][6:9])], world.max_length)
    for adapters in ((), tuple(two_parents(base))):
        with scoring(base, adapters) as model, torch.no_grad(), autocast(world):
            assert takes_forks(model)
            answers = likelihoods(model, found, 5)
        got, right = [], []
        for fork, said in zip(found, answers, strict=True):
            for continuation, (likelihood, _) in zip(fork.continuations, said, strict=True):
                row = torch.tensor([[*fork.trunk[: fork.start], *continuation]], device=world.device)
                logits = defined(world, base, adapters, row)[0, fork.start - 1 : -1]
                chances = logits.double().log_softmax(-1)[range(len(continuation)), list(continuation)]
                got.append(likelihood)
                right.append(float(chances.sum()))
        close(world, f"{len(adapters)} adapters", torch.tensor(got), torch.tensor(right))
