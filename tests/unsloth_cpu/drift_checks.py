"""Drift under Unsloth: slices that are left out for a moment are left out of its kernels too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from unittest.mock import patch

import torch
from datasets import Dataset

from statllama.config.benchmarks import chosen_tasks
from statllama.config.evaluate import EvaluateSpec
from statllama.config.protect import DriftSpec
from statllama.data.holdout import Holdout
from statllama.evaluation import drift
from statllama.evaluation.drift import measure
from statllama.evaluation.probe import Row, probe_rows
from statllama.evaluation.suite import Suite
from statllama.model.adapter import Adapter, Slice
from statllama.model.base_model import Base, scoring
from statllama.train.selection import on_benchmark, on_holdout
from tests.benchmarks_for_tests import choice_task, reply_task
from tests.unsloth_cpu.common import check, defined
from tests.unsloth_cpu.world import KernelCounter, World, difference, job, random_adapter, train, two_parents
from tests.unsloth_cpu.world import rows as documents


def _some_rows(world: World, base: Base) -> tuple[Row, ...]:
    return probe_rows(base.tokenizer, min(64, world.max_length))[:: 16 if world.gpu else 40]


def _divergence(world: World, base: Base, ours: Sequence[Adapter], theirs: Sequence[Adapter]) -> float:
    """Mean KL by definition: one text at a time, in float64."""
    values = []
    for row in _some_rows(world, base):
        ids = torch.tensor([row.ids], device=world.device)
        log_p, log_q = (defined(world, base, x, ids)[0].double().log_softmax(-1) for x in (ours, theirs))
        values.append((log_p.exp() * (log_p - log_q)).sum(-1)[row.positions])
    return float(torch.cat(values).mean())


@check
def drift_is_definition(world: World) -> None:
    """KL to the parent and to the base, and exactly 0 where the last adapter has no effect."""
    base = world.base("nf4")
    parents = two_parents(base)
    adapters = [*parents, random_adapter(base, 3, 2, ("q_proj", "up_proj"))]
    rows = _some_rows(world, base)
    with KernelCounter() as counter, scoring(base, adapters) as model:
        got = measure(model, adapters, rows)
    assert all(counter.forward.values()), f"fused kernels not used: {counter.forward}"
    right = _divergence(world, base, adapters, parents), _divergence(world, base, adapters, ())
    world.note(f"to parent {got.to_parent:.6f} ({right[0]:.6f}), to base {got.to_base:.6f} ({right[1]:.6f})")
    for value, wanted in zip((got.to_parent, got.to_base), right, strict=True):
        assert abs(value / wanted - 1) < 5 * world.tolerance
    nothing = Adapter({name: Slice(s.A, 0 * s.B, s.scaling) for name, s in adapters[2].slices.items()})
    with scoring(base, [*parents, nothing]) as model:
        assert measure(model, [*parents, nothing], rows).to_parent == 0.0
    base.check_unchanged()


@check
def measuring_drift_leaves_training_alone(world: World) -> None:
    """With a cap that is never reached a stage trains as without one; what it measured is the adapter's drift."""
    base = world.base("nf4")
    parents, data = two_parents(base), documents(world, [9, 6])
    sizes = {"steps": 2, "batch_size": 2, "lora": {"dropout": 0.1}, "gradient_checkpointing": True}
    work = job(world, base, "measured", data, parents=parents, **sizes)
    capped = replace(work, spec=work.spec.model_copy(update={"drift": DriftSpec(max=100.0, every=2)}))
    plain, right = train(work)
    rows = _some_rows(world, base)
    with patch.object(drift, "rows_for", lambda base: rows):
        outcome, got = train(capped)
    losses = [[h["loss"] for h in o.history] for o in (plain, outcome)]
    (before,) = [h["drift"] for h in outcome.history if "drift" in h]
    with scoring(base, [*parents, got]) as model:
        after = measure(model, [*parents, got], rows).to_parent
    world.note(f"losses {losses}, drift {before}, {after} after the stage")
    assert before > 0
    assert abs(after / before - 1) < (0.5 if world.gpu else 1e-3)  # bfloat16 rounds differently under autocast
    if world.gpu:
        assert difference(got, right) < world.adapter_tolerance
    else:
        assert losses[0] == losses[1] and difference(got, right) == 0.0
    base.check_unchanged()


@check
def validating_leaves_training_alone(world: World) -> None:
    """A stage that selects its best step trains as without; the held-out loss is that of the adapter by definition."""
    base = world.base("nf4")
    parents, data, held = two_parents(base), documents(world, [9, 6]), documents(world, [8, 12, 5])
    sizes = {"steps": 2, "batch_size": 2, "lora": {"dropout": 0.1}, "gradient_checkpointing": True}
    plain, right = train(job(world, base, "last", data, parents=parents, **sizes))
    work = job(world, base, "best", data, parents=parents, select={"on": "holdout", "every": 2}, **sizes)
    kept = Holdout("best", "documents", Dataset.from_list(held), ("0", "1", "2"), "", {})
    outcome, got = train(replace(work, validation=on_holdout(kept, 64, 0)))
    losses = [[h["loss"] for h in o.history] for o in (plain, outcome)]
    nats = []
    for row in held:
        logits = defined(world, base, [*parents, got], torch.tensor([row["input_ids"]], device=world.device))[0]
        labels = torch.tensor(row["labels"], device=world.device)[1:]
        nats.append(torch.nn.functional.cross_entropy(logits[:-1].double(), labels, reduction="none")[labels >= 0])
    wanted, selected = float(torch.cat(nats).mean()), outcome.metrics()["selected"]
    world.note(f"losses {losses}, held-out loss {selected['value']} ({wanted})")
    assert selected["step"] == 2
    assert abs(selected["value"] / wanted - 1) < 5 * world.tolerance
    if world.gpu:
        assert difference(got, right) < world.adapter_tolerance
    else:
        assert losses[0] == losses[1] and difference(got, right) == 0.0
    base.check_unchanged()


@check
def asking_a_benchmark_leaves_training_alone(world: World) -> None:
    """Choices and replies, with Unsloth's model as it trains; the score is that of the adapter's stack."""
    base = world.base("nf4")
    parents, data = two_parents(base), documents(world, [9, 6])
    sizes = {"steps": 2, "batch_size": 2, "lora": {"dropout": 0.1}, "gradient_checkpointing": True}
    plain, right = train(job(world, base, "unasked", data, parents=parents, **sizes))
    choice_task(world.folder / "eval", "letters", 4)
    reply_task(world.folder / "eval", "replies", 2)
    for task in ("letters", "replies"):
        spec = EvaluateSpec(tasks=(task,), max_length=world.max_length, chat_template=False)
        suite = Suite(chosen_tasks(spec, world.folder), spec)
        work = job(world, base, task, data, parents=parents, select={"on": task, "every": 2}, **sizes)
        outcome, got = train(replace(work, validation=on_benchmark(suite, task, base.tokenizer)))
        with scoring(base, [*parents, got]) as model:
            score = suite.score(task, model, base.tokenizer)
        losses = [[h["loss"] for h in o.history] for o in (plain, outcome)]
        world.note(f"{task}: losses {losses}, score {outcome.metrics()['selected']['value']} ({score.value})")
        if world.gpu:
            assert difference(got, right) < world.adapter_tolerance
        else:
            assert outcome.metrics()["selected"]["value"] == score.value
            assert losses[0] == losses[1] and difference(got, right) == 0.0
    base.check_unchanged()
