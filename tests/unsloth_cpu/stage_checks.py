"""Whole stages through `statllama.train.training` with the trainers that Unsloth rewrote."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from datasets import Dataset
from torch import Tensor

from statllama.config.lora import DEFAULT_MODULES
from statllama.data.replay import Part, ReplayRows
from statllama.errors import Interrupted
from statllama.model import packed_attention, stack
from statllama.model.adapter import PREFIX, Adapter
from statllama.model.base_model import Base, scoring
from statllama.stages import dpo, grpo
from statllama.stages._completion_checks import of_completions
from statllama.stages.dpo import _settings
from statllama.train.arguments import arguments
from statllama.train.sides import Sides
from tests.unsloth_cpu import definition
from tests.unsloth_cpu.common import autocast, check, close, defined, defined_gradients, example_losses, stacked
from tests.unsloth_cpu.definition import Weights
from tests.unsloth_cpu.world import (
    KERNELS,
    SOURCE,
    KernelCounter,
    Row,
    World,
    difference,
    job,
    judged,
    move,
    new_slice,
    pairs,
    questions,
    random_adapter,
    rows,
    start_of,
    train,
    two_parents,
)


def _norm(gradients: dict[str, Tensor]) -> float:
    return math.sqrt(sum(float(g.square().sum()) for g in gradients.values()))


def whole_step(trainer: Any, data: Any) -> dict[str, Any]:
    """The batch of one forward pass on all rows, as the trainer makes it."""
    trainer.micro_tokens = 10**6
    (one,) = trainer.passes(trainer.step_of(trainer.data_collator(list(data))))
    batch: dict[str, Any] = one.batch
    return batch


@check
def accumulated_is_large_batch(world: World) -> None:
    """Unequal rows one a pass and all in one, and packed: the loss is the mean over all tokens, its gradient too."""
    base = world.base("nf4")
    parents = two_parents(base)
    lengths = [3, world.max_length, 6, world.max_length // 2]
    runs = {"one a pass": (rows(world, lengths), 1), "one pass": (rows(world, lengths), 8192)}
    runs["packed"] = (rows(world, [3, world.max_length - 7, 6, world.max_length // 2], per_row=2), 2)
    adapters = {}
    for name, (data, budget) in runs.items():
        sizes = {"steps": 1, "batch_size": len(data), "micro_tokens": budget}
        work = job(world, base, "accumulated", data, parents=parents, packing=name == "packed", **sizes)
        new = start_of(base, work)
        outcome, adapters[name] = train(work)

        def loss(weights: Weights, by_row: bool = False, data: list[Row] = data) -> Tensor:
            parts = example_losses(world, base, weights, data)
            return torch.stack([p.mean() for p in parts]).mean() if by_row else torch.cat(parts).mean()

        right, gradients = defined_gradients(world, base, parents, new, loss)
        _, faulty = defined_gradients(world, base, parents, new, lambda weights, loss=loss: loss(weights, True))
        got, norm, fault = outcome.history[0], _norm(gradients), _norm(faulty)
        text = f"{name}: loss {got['loss']:.5f} ({float(right):.5f}), gradient norm {got['grad_norm']:.5f} ({norm:.5f}"
        world.note(f"{text}; {fault:.5f} if rows counted alike)")
        assert outcome.tokens == sum(len(row["input_ids"]) for row in data)
        assert abs(got["loss"] - float(right)) < world.loss_tolerance
        assert abs(got["grad_norm"] / norm - 1) < 2 * world.tolerance
        assert abs(fault / norm - 1) > 4 * world.tolerance
    error = difference(adapters["one a pass"], adapters["one pass"])
    world.note(f"after the step the slices differ by {error:.1e}")
    assert error < world.adapter_tolerance
    base.check_unchanged()


@check
def joined_is_padded(world: World) -> None:
    """Rows joined without padding, as where a kernel attends within each: the adapter and losses of padded passes."""
    base = world.base("nf4")
    parents = two_parents(base)
    data = rows(world, [9, 6, 12, 5, 7, 11])
    sizes = {"steps": 2, "batch_size": 3, "micro_tokens": 20}
    found, passes = [], []

    def look(trainer: Any) -> None:
        trainer.micro_tokens = sizes["micro_tokens"]
        passes.append(trainer.passes(data[:3]))

    for name in ("padded", "joined"):
        with patch.object(packed_attention, "joins_rows", lambda *_, joined=name == "joined": joined):
            found.append(train(job(world, base, name, data, parents=parents, **sizes), look=look))
    shapes = [[tuple(one.batch["input_ids"].shape) for one in some] for some in passes]
    assert all(rows == 1 for rows, _ in shapes[1]) and shapes[0] != shapes[1], shapes
    losses = [[h["loss"] for h in outcome.history] for outcome, _ in found]
    error = difference(found[0][1], found[1][1])
    world.note(f"passes {shapes}; adapters differ by {error:.1e}; losses {losses}")
    assert error < world.adapter_tolerance
    assert all(abs(a - b) < world.loss_tolerance for a, b in zip(*losses, strict=True))
    assert found[0][0].tokens == found[1][0].tokens


@check
def replay_and_anchor_are_definition(world: World) -> None:
    """Beside the stage's rows: gradients of cross-entropy and KL by definition, and KL 0 before the first step.

    On two parents, through hidden states of Unsloth's own forward.
    """
    base = world.base("nf4")
    parents = two_parents(base)
    data, held = rows(world, [9, 6]), rows(world, [7, world.max_length, 5], seed=3)
    fields = {"replay": {"data": SOURCE, "share": 1.5}, "anchor": {"on": "replay", "coefficient": 2.0}}
    work = job(world, base, "sides", data, parents=parents, fields=fields, batch_size=2, micro_tokens=20)
    nothing: Any = None
    replay = ReplayRows([Part(Dataset.from_list(held), "documents", nothing, nothing)], 3)
    work = replace(work, replay=replay)
    right: dict[str, Tensor] = {}
    with stacked(base, work.spec.lora, parents) as model:
        new = new_slice(model, work.spec.lora)

        def loss(weights: Weights) -> Tensor:
            own = torch.cat(example_losses(world, base, weights, held)).mean()
            parent = definition.with_adapters(world.dense(base), parents)
            kl = []
            for row in held:
                ids = torch.tensor([row["input_ids"]], device=world.device)
                log_p, log_q = (
                    definition.logits(w, base.model.config, ids)[0, :-1].log_softmax(-1) for w in (parent, weights)
                )
                kl.append((log_p.exp() * (log_p - log_q)).sum(-1))
            right["kl"], right["ce"] = torch.cat(kl).mean(), own
            return 0.5 * own + 2.0 * right["kl"]

        _, gradients = defined_gradients(world, base, parents, new, loss)
        accelerator = SimpleNamespace(autocast=lambda: autocast(world), scaler=None)

        def moved(batch: dict[str, Any]) -> dict[str, Any]:
            return {k: move(v, world.device) for k, v in batch.items()}

        trainer = SimpleNamespace(model=model, accelerator=accelerator, _prepare_inputs=moved)
        sides, tokens = Sides(work), sum(len(row["input_ids"]) - 1 for row in held)
        with KernelCounter() as counter:
            parts = [sides._pass(trainer, model, one, 0.5 / tokens, 2.0 / tokens) for one in sides._passes(held, 20)]
        assert all(counter.forward.values()), f"fused kernels not used: {counter.forward}"
        entropy, kl = (torch.stack(parts).sum(0) / tokens).tolist()
        named = {name: p.grad for name, p in stack.trainable(model).items() if p.grad is not None}
        ours = {name.removeprefix(PREFIX).removesuffix(".default.weight"): grad for name, grad in named.items()}
        got = torch.cat([ours[name].flatten().double() for name in sorted(gradients)])
    close(world, "gradient", got, torch.cat([gradients[name].flatten() for name in sorted(gradients)]))
    world.note(f"CE {entropy:.5f} ({float(right['ce']):.5f}), KL {kl:.6f} ({float(right['kl']):.6f})")
    assert abs(entropy - float(right["ce"])) < world.loss_tolerance
    assert abs(kl / float(right["kl"]) - 1) < 10 * world.tolerance
    outcome, _ = train(work)
    first, last = outcome.history[0], outcome.history[-1]
    world.note(f"a stage: KL {first['anchor_kl']:.2g}, then {last['anchor_kl']:.2g}")
    assert abs(first["anchor_kl"]) < world.tolerance and last["anchor_kl"] > abs(first["anchor_kl"])
    base.check_unchanged()


@check
def dpo_starts_at_ln2(world: World) -> None:
    """Two parents of different rank: the first loss is ln 2, and the reference is the parent stack; computed once."""
    base = world.base("nf4")
    parents = two_parents(base)
    data = pairs(world, 2, size=world.max_length // 5)
    work = job(world, base, "dpo", data, kind="dpo", parents=parents, batch_size=2)
    sums: list[Tensor] = []

    def look(trainer: Any) -> None:
        assert "UnslothDPOTrainer" in {c.__name__ for c in type(trainer).__mro__}, type(trainer).__mro__
        batch = {k: move(v, world.device) for k, v in whole_step(trainer, data).items()}
        with torch.no_grad(), autocast(world):
            sums.append(torch.cat(trainer.compute_ref_log_probs(trainer.model, batch)).double())
        ids, mask = batch["input_ids"], batch["completion_mask"][:, 1:]
        for adapters in (parents, ()):
            values = -definition.token_losses(defined(world, base, adapters, ids), ids)
            sums.append((values * mask).sum(1))

    outcome, adapter = train(work, look=look)
    first, second = told(world, outcome, adapter, sums)
    assert (work.folder / "reference.safetensors").exists()
    assert abs(first - math.log(2)) < world.loss_tolerance / 2
    assert abs(second - math.log(2)) > world.loss_tolerance
    base.check_unchanged()


def told(world: World, outcome: Any, adapter: Any, sums: list[Tensor]) -> list[float]:
    """The losses of a run, after the check that its reference is the parent stack and its slice float32.

    `sums`: log-probabilities by the trainer's reference, by the parents added exactly, and by the bare base.
    """
    got, right, bare = sums
    gap = float((got - right).norm() / (bare - right).norm())
    losses = [h["loss"] for h in outcome.history]
    words = ", ".join(f"{loss:.6f}" for loss in losses)
    world.note(f"losses {words}; reference {gap:.1e} of the way from the parents to the bare base")
    assert gap < 10 * world.tolerance
    assert all(s.A.dtype is torch.float32 for s in adapter.slices.values())
    return losses


@check
def kto_starts_at_a_half(world: World) -> None:
    """Two parents of different rank: the first loss is 1/2, the reference the parent stack, for other answers too."""
    base = world.base("nf4")
    parents = two_parents(base)
    data = judged(world, 2, size=world.max_length // 5)
    sizes = {"batch_size": 2, "micro_tokens": 1, "steps": 2}
    work = job(world, base, "kto", data, kind="kto", parents=parents, **sizes)
    sums: list[Tensor] = []

    def look(trainer: Any) -> None:
        assert "UnslothKTOTrainer" in {c.__name__ for c in type(trainer).__mro__}, type(trainer).__mro__
        made = whole_step(trainer, [trainer.train_dataset[i] for i in range(len(data))])
        batch = {k: move(v, world.device) for k, v in made.items()}
        with torch.no_grad(), autocast(world):
            sums.append(torch.cat(trainer.compute_ref_log_probs(trainer.model, batch)).double())
        for adapters in (parents, ()):
            both = []
            for prefix in ("", "KL_"):
                ids, mask = batch[f"{prefix}input_ids"], batch[f"{prefix}completion_mask"][:, 1:]
                both.append((-definition.token_losses(defined(world, base, adapters, ids), ids) * mask).sum(1))
            sums.append(torch.cat(both))

    outcome, adapter = train(work, look=look)
    first, second = told(world, outcome, adapter, sums)
    assert (work.folder / "reference.safetensors").exists()
    assert abs(first - 0.5) < world.loss_tolerance / 2
    assert second < 0.5 - world.loss_tolerance
    base.check_unchanged()


@check
def grpo_starts_at_kl_0(world: World) -> None:
    """Two parents of different rank: KL is 0 before the first step, and the reference is the parent stack."""
    base = world.base("nf4")
    parents = two_parents(base)
    fields = {"rewards": [{"name": "format"}], "generations": 2, "max_completion_length": 5}
    sizes = {"batch_size": 4, "micro_tokens": 64, "steps": 2}
    work = job(world, base, "grpo", questions(world, 4), kind="grpo", parents=parents, fields=fields, **sizes)
    seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def look(trainer: Any) -> None:
        assert "UnslothGRPOTrainer" in {c.__name__ for c in type(trainer).__mro__}, type(trainer).__mro__
        compute = trainer.compute_loss

        def spy(model: Any, inputs: dict[str, Tensor], *args: Any, **kwargs: Any) -> Any:
            seen.append(_completions(world, base, parents, inputs))
            return compute(model, inputs, *args, **kwargs)

        trainer.compute_loss = spy

    made = grpo.build
    grpo.build = lambda *args: _varied  # type: ignore[assignment]
    try:
        outcome, adapter = train(work, look=look)
    finally:
        grpo.build = made
    first, second = outcome.history
    gap = max(float((got - right).norm() / (bare - right).norm()) for got, right, bare in seen[:2])
    world.note(f"KL {first['kl']:.1e}, {second['kl']:.1e}; reference {gap:.1e} of the way to the bare base")
    assert abs(first["kl"]) < world.tolerance**2
    assert second["kl"] > first["kl"]
    assert gap < 10 * world.tolerance
    assert all(s.A.dtype is torch.float32 for s in adapter.slices.values())
    base.check_unchanged()


def _varied(prompts: Any, completions: Any, completion_ids: Any, **columns: Any) -> list[float]:
    return [float(sum(ids) % 7) for ids in completion_ids]


def _completions(
    world: World, base: Base, parents: Sequence[Adapter], inputs: dict[str, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Sums of log-probabilities: the trainer's reference, by definition with the parents, and on the bare base."""
    mask = inputs["completion_mask"]
    rows_ = []
    for adapters in (parents, ()):
        sums = []
        for i in range(len(mask)):
            prompt = inputs["prompt_ids"][i][inputs["prompt_mask"][i].bool()]
            ids = torch.cat([prompt, inputs["completion_ids"][i][mask[i].bool()]])[None]
            values = -definition.token_losses(defined(world, base, adapters, ids), ids)
            sums.append(values[0, len(prompt) - 1 :].sum())
        rows_.append(torch.stack(sums).double())
    reference = of_completions(inputs["ref_per_token_logps"], inputs)
    return (reference * mask).sum(1).double(), rows_[0], rows_[1]


@check
def grpo_of_sequences_is_gspo(world: World) -> None:
    """One ratio for a completion, clipped: the second step on the same completions has arXiv 2507.18071's loss."""
    base = world.base("nf4")
    parents = two_parents(base)
    fields = {"rewards": [{"name": "format"}], "generations": 4, "max_completion_length": 5, "iterations": 2}
    fields |= {"importance_sampling_level": "sequence", "epsilon": 0.005, "beta": 0.1}
    sizes = {"batch_size": 8, "micro_tokens": 1024, "steps": 2}
    work = job(world, base, "gspo", questions(world, 4), kind="grpo", parents=parents, fields=fields, **sizes)
    wanted = [0.0, 0.0]

    def look(trainer: Any) -> None:
        compute = trainer.compute_loss

        def spy(model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
            new = _token_log_probs(world, base, [*parents, new_slice(trainer.model, work.spec.lora)], inputs)
            wanted[trainer.state.global_step] += float(_gspo(inputs, new)) * len(new) / 8
            return compute(model, inputs, *args, **kwargs)

        trainer.compute_loss = spy

    made = grpo.build
    grpo.build = lambda *args: _sums  # type: ignore[assignment]
    try:
        outcome, _ = train(work, look=look)
    finally:
        grpo.build = made
    got = [entry["loss"] for entry in outcome.history]
    world.note(f"losses {got[0]:.5f}, {got[1]:.5f}; by definition {wanted[0]:.5f}, {wanted[1]:.5f}")
    assert all(abs(one - right) < world.loss_tolerance for one, right in zip(got, wanted, strict=True))
    assert abs(wanted[1] - wanted[0]) > 5 * world.loss_tolerance
    base.check_unchanged()


def _sums(prompts: Any, completions: Any, completion_ids: Any, **columns: Any) -> list[float]:
    return [float(sum(ids)) for ids in completion_ids]


def _token_log_probs(world: World, base: Base, adapters: Sequence[Adapter], inputs: dict[str, Tensor]) -> list[Tensor]:
    found = []
    for prompt, asked, ids, mask in zip(
        *(inputs[f"{part}_{kind}"] for part in ("prompt", "completion") for kind in ("ids", "mask")), strict=True
    ):
        row = torch.cat([prompt[asked.bool()], ids[mask.bool()]])[None]
        losses = definition.token_losses(defined(world, base, adapters, row), row)
        found.append(-losses[0, int(asked.sum()) - 1 :].double())
    return found


def _gspo(inputs: dict[str, Any], new: list[Tensor]) -> Tensor:
    old, ref = (of_completions(inputs[f"{name}_per_token_logps"], inputs).double() for name in ("old", "ref"))
    losses = []
    for one, before, parent, advantage in zip(new, old, ref, inputs["advantages"].double(), strict=True):
        size = len(one)
        ratio = (one - before[:size]).mean().exp()
        kl = ((parent[:size] - one).exp() - (parent[:size] - one) - 1).mean()
        losses.append(0.1 * kl - torch.min(ratio * advantage, ratio.clamp(0.995, 1.005) * advantage))
    return torch.stack(losses).mean()


@check
def stages_share_one_base(world: World) -> None:
    """All seven modules, then two modules, on one base; then the bare base and the stack score as defined."""
    base = world.fresh_base("nf4")
    size = world.max_length // 2
    data = rows(world, [size, 6, size + 5, 7])
    parents: tuple[Adapter, ...] = ()
    layers = base.model.config.num_hidden_layers
    for number, modules in enumerate((DEFAULT_MODULES, ("q_proj", "v_proj"))):
        lora = {"r": 4 + 2 * number, "target_modules": modules}
        checkpointing = {"steps": 1, "gradient_checkpointing": number == 0}
        work = job(world, base, f"stage{number}", data, parents=parents, lora=lora, **checkpointing)
        with KernelCounter() as counter:
            outcome, adapter = train(work)
        base.check_unchanged()
        weights = definition.with_adapters(world.dense(base), parents)
        right = float(torch.cat(example_losses(world, base, weights, data)).mean())
        world.note(f"stage {number}: loss {outcome.history[0]['loss']:.5f}, by definition {right:.5f}")
        assert abs(outcome.history[0]["loss"] - right) < world.loss_tolerance
        assert {name.rpartition(".")[2] for name in adapter.slices} == set(modules)
        assert counter.backward == dict.fromkeys(KERNELS, layers), counter.backward
        parents = (*parents, adapter)
    _scores_as_defined(world, base, (), size)
    _scores_as_defined(world, base, (*parents, random_adapter(base, 2, 5, ("o_proj", "up_proj"))), size)
    _scores_as_defined(world, base, (), size)
    assert not base.model.get_input_embeddings()._forward_hooks, "hooks stay on the base"
    base.check_unchanged()


def _scores_as_defined(world: World, base: Base, adapters: Sequence[Adapter], size: int) -> None:
    """Logits and greedy generation (alone, and beside a shorter prompt padded on the left) under `scoring`."""
    ids, steps = world.ids(2, size), 4
    with scoring(base, adapters) as model, torch.no_grad():
        assert not model.training
        assert model.config.use_cache
        got = model(input_ids=ids, use_cache=False).logits
        tail = model(input_ids=ids, use_cache=False, logits_to_keep=3).logits
        settings = {"max_new_tokens": steps, "do_sample": False, "pad_token_id": 5, "eos_token_id": None}
        alone = model.generate(input_ids=ids[:1], attention_mask=torch.ones_like(ids[:1]), **settings)
        padded, mask = ids.clone(), torch.ones_like(ids)
        padded[1, :3], mask[1, :3] = 5, 0
        both = model.generate(input_ids=padded, attention_mask=mask, **settings)
    right = defined(world, base, adapters, ids)
    name = f"scoring {len(adapters)} adapters"
    close(world, name, got, right)
    close(world, f"{name}, last logits", tail, right[:, -3:])
    assert both.shape == (2, size + steps)
    for tokens in (alone[:1], both[:1], both[1:, 3:]):
        _is_greedy(world, base, adapters, tokens, steps)


def _is_greedy(world: World, base: Base, adapters: Sequence[Adapter], tokens: Tensor, steps: int) -> None:
    """Each of the last `steps` tokens has the largest logit by definition, or one that rounding can exceed."""
    values = defined(world, base, adapters, tokens)[0, -steps - 1 : -1]
    chosen = values.gather(-1, tokens[0, -steps:, None])[:, 0]
    behind = (values.amax(-1) - chosen) / values.std(-1)
    assert float(behind.max()) < 4 * world.tolerance, f"generated tokens are not the most likely ones: {behind}"


@check
def arguments_survive(world: World) -> None:
    """Unsloth's rewritten configs keep every training argument that is set, and its trainers use them."""
    base = world.base("none")
    unusual = {"weight_decay": 0.03, "adam_betas": [0.8, 0.95], "adam_epsilon": 1e-6, "schedule": "constant"}
    unusual |= {"steps": 1, "micro_tokens": 1, "max_grad_norm": 0.7, "learning_rate": 3e-4, "seed": 77}
    data = {"cpt": rows(world, [world.max_length, 5]), "dpo": pairs(world, 2, size=world.max_length // 5)}
    fixed = {
        "cpt": {"dataset_kwargs": {"skip_prepare_dataset": True}, "max_length": None, "packing": False,
                "padding_free": False, "eval_packing": False, "pad_to_multiple_of": None, "shuffle_dataset": False,
                "completion_only_loss": False, "assistant_only_loss": False, "loss_type": "nll"},
        "dpo": _settings(dpo.Spec.model_validate({"name": "x", "type": "dpo", "data": SOURCE})),
    }  # fmt: skip
    for kind, settings in fixed.items():
        work = job(world, base, kind, data[kind], kind=kind, batch_size=2, **unusual)
        seen: dict[str, Any] = {}

        def look(trainer: Any, seen: dict[str, Any] = seen) -> None:
            seen["args"], seen["trainer"] = trainer.args, trainer
            seen["rows"] = trainer.train_dataset
            seen["dtypes"] = {p.dtype for p in stack.trainable(trainer.model).values()}
            seen["limit"] = trainer.model.max_seq_length

        outcome, _ = train(work, look=look)
        wanted = {**arguments(work, False), **settings, "report_to": []}
        # Unsloth sets it to the model's limit, which is that of the longest stage: nothing is cut.
        assert seen["args"].max_length in (None, world.max_length)
        kept = {key: getattr(seen["args"], key) for key in wanted.keys() - {"max_length"}}
        changed = {key: (wanted[key], value) for key, value in kept.items() if not _same(value, wanted[key])}
        assert not changed, f"{kind}: {changed}"
        assert any("Unsloth" in c.__name__ for c in type(seen["trainer"]).__mro__)
        assert seen["limit"] == world.max_length
        assert seen["rows"].to_list() == data[kind]
        optimizer = seen["trainer"].optimizer
        optimizer = getattr(optimizer, "optimizer", optimizer)
        groups = [g for g in optimizer.param_groups if g["params"]]
        assert type(optimizer) is torch.optim.AdamW
        assert sum(len(g["params"]) for g in groups) == 2 * 7 * base.model.config.num_hidden_layers
        assert seen["dtypes"] == {p.dtype for g in groups for p in g["params"]} == {torch.float32}
        found = {(g["lr"], g["betas"], g["eps"], g["weight_decay"]) for g in groups}
        assert found == {(3e-4, (0.8, 0.95), 1e-6, 0.03)}, found
        world.note(f"{kind}: {len(wanted)} arguments kept; loss {outcome.history[0]['loss']:.4f}")


def _same(kept: Any, wanted: Any) -> bool:
    """Equal, or an object made of the dict that was given, with each of its items."""
    if isinstance(wanted, dict) and not isinstance(kept, dict):
        return all(getattr(kept, key) == value for key, value in wanted.items())
    return bool(kept == wanted)


@check
def resumed_is_unbroken(world: World) -> None:
    """Stopped after 2 of 4 steps and resumed: the same adapter (bit for bit on a CPU)."""
    base = world.base("none")
    data = rows(world, [9, 6, 8, 5])
    sizes = {"steps": 4, "batch_size": 1, "checkpoint_every": 1}
    parents = (random_adapter(base, 1, 3),)
    whole, right = train(job(world, base, "whole", data, parents=parents, **sizes))
    steps = iter((False, True))
    broken = job(world, base, "broken", data, parents=parents, stop_requested=lambda: next(steps), **sizes)
    try:
        train(broken)
    except Interrupted as error:
        world.note(str(error).splitlines()[0])
    else:
        raise AssertionError("the run was not interrupted")
    outcome, got = train(job(world, base, "broken", data, parents=parents, **sizes), fresh=False)
    assert outcome.resumed_from == 2, outcome
    losses = [[h["loss"] for h in o.history] for o in (whole, outcome)]
    error = difference(got, right)
    world.note(f"adapters differ by {error:.1e}; losses {losses}")
    assert error == 0.0 if not world.gpu else error < world.adapter_tolerance
    assert all(abs(a - b) < world.loss_tolerance for a, b in zip(*losses, strict=True))
