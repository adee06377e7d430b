"""GRPO: reference, prompts, exact resuming, learning and what a user is told, against independent computation."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import mannwhitneyu

from statllama.config.base_model import BaseModelSpec
from statllama.config.lora import LoraSpec
from statllama.data.prepare import prepare
from statllama.errors import DataError, Interrupted, RecipeError, TrainingError, UsageError
from statllama.model import stack
from statllama.model.adapter import load_adapter
from statllama.model.base_model import Base, load_base
from statllama.recipe import load_recipe
from statllama.runs.plan import plan
from statllama.stages import grpo
from statllama.train import training
from statllama.train.job import Job, Outcome
from tests.conftest import stage, write_jsonl
from tests.reference import Lora, merged, saved_lora

torch.set_num_threads(1)
Write = Callable[..., Path]
Rewards = Callable[..., list[float]]

SLOW = pytest.mark.slow
PARENTS = (Lora(r=4, alpha=8.0), Lora(r=6, alpha=5.0, rslora=True, modules=("q_proj", "up_proj")))


def rows(count: int) -> list[dict[str, Any]]:
    return [{"prompt": f"what is the mean of {i} and {i + 2}", "answer": str(i + 1)} for i in range(count)]


def spec(**fields: Any) -> grpo.Spec:
    """A small stage: 4 steps of 2 prompts with 4 completions of at most 12 tokens."""
    train = {"steps": 4, "batch_size": 8, "max_length": 96, "learning_rate": 1e-2}
    train |= {"gradient_checkpointing": False, "schedule": "constant", **fields.pop("train", {})}
    body = {"name": "grpo", "type": "grpo", "data": [{"path": "q.jsonl"}], "rewards": [{"name": "format"}]}
    body |= {"generations": 4, "max_completion_length": 12, "train": train, "lora": {"r": 4, "alpha": 8}, **fields}
    return grpo.Spec.model_validate(body)


@pytest.fixture(scope="module")
def base(base_folder: Path) -> Base:
    """The small base, loaded as a run loads it."""
    found = BaseModelSpec(model=str(base_folder), quantization="none")
    identity = {"model": {}, "tokenizer": {}}
    return load_base(found, identity, "float32", 256, "transformers")


@pytest.fixture(scope="module")
def parents(base: Base, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, float]]:
    """Two parents of different rank, scale and modules, as (folder, scale)."""
    folder = tmp_path_factory.mktemp("parents")
    return [(saved_lora(base.model, p, folder / str(i), seed=i), p.scale) for i, p in enumerate(PARENTS)]


@pytest.fixture
def pays(monkeypatch: pytest.MonkeyPatch) -> Callable[[Rewards], None]:
    """Puts a plain function in the place of the stage's reward, checked as they all are."""
    from statllama.rewards import checked

    def use(function: Rewards) -> None:
        monkeypatch.setattr(grpo, "build", lambda reward, root=None, trusted=False: checked(function, reward.name))

    return use


def make_job(
    base: Base, folder: Path, found: grpo.Spec, *, parents: Sequence[Any] = (), count: int = 8, **more: Any
) -> Job:
    """A job of the stage on `count` questions."""
    write_jsonl(folder / "q.jsonl", more.pop("rows", rows(count)))
    data = prepare("questions", found.data, root=folder, tokenizer=base.tokenizer, cache=None, **found.data_options)
    return Job(
        spec=found, base=base, parents=tuple(load_adapter(path) for path, _ in parents), dataset=data.dataset,
        data_kind="questions", folder=folder, **more,
    )  # fmt: skip


def train(job: Job) -> tuple[Outcome, dict[str, torch.Tensor]]:
    """The outcome, and the tensors of the saved adapter."""
    from safetensors.torch import load_file

    outcome = training.run(job, grpo)
    return outcome, load_file(job.folder / "out" / "adapter_model.safetensors")


def varied(prompts: Any, completions: Any, completion_ids: Any, **columns: Any) -> list[float]:
    """Differs between almost any two completions."""
    return [sum(ids) % 7 for ids in completion_ids]


@pytest.fixture
def spied(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The passes that losses were taken of, in order."""
    from statllama.stages import _rollouts as rollouts

    seen: list[dict[str, Any]] = []
    compute = rollouts.RolloutTrainer.compute_loss

    def spy(self: Any, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        seen.append({k: v.clone() if torch.is_tensor(v) else v for k, v in inputs.items()})
        return compute(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(rollouts.RolloutTrainer, "compute_loss", spy)
    return seen


def log_probs(model: Any, batch: dict[str, Any], temperature: float = 1.0) -> torch.Tensor:
    """Log-probability of each completion token by definition, row by row without padding; 0 where masked."""
    result = []
    for prompt, asked, ids, mask in zip(
        batch["prompt_ids"], batch["prompt_mask"], batch["completion_ids"], batch["completion_mask"], strict=True
    ):
        row, length = torch.cat([prompt[asked.bool()], ids[mask.bool()]]), int(mask.sum())
        logits = model(input_ids=row[None], use_cache=False).logits[0, -length - 1 : -1] / temperature
        picked = logits.log_softmax(-1).gather(-1, row[-length:, None])[:, 0]
        result.append(torch.nn.functional.pad(picked, (0, len(ids) - length)))
    return torch.stack(result)


# ------------------------------------------------------------------ the reference


def test_the_reference_is_the_parent_stack(
    base: Base, parents: Any, tmp_path: Path, pays: Any, spied: list[dict[str, Any]]
) -> None:
    """Two parents of different rank and modules: reference and first policy are the parents merged, KL is 0."""
    pays(varied)
    job = make_job(base, tmp_path, spec(temperature=0.7, train={"micro_tokens": 300}), parents=parents)
    outcome, _ = train(job)
    plain = merged(base.model, parents)
    with torch.no_grad():
        for batch in spied[:2]:
            wanted = log_probs(plain, batch, 0.7)
            got = batch["ref_per_token_logps"] * batch["completion_mask"]
            assert torch.allclose(got, wanted, atol=2e-5)
            assert not torch.allclose(log_probs(base.model, batch, 0.7), wanted, atol=0.1)  # the bare base is another
    assert outcome.history[0]["kl"] == pytest.approx(0, abs=1e-9)
    assert outcome.history[-1]["kl"] > 1e-5


def test_without_beta_there_is_no_reference(base: Base, tmp_path: Path, pays: Any, spied: list[dict[str, Any]]) -> None:
    pays(varied)
    outcome, _ = train(make_job(base, tmp_path, spec(beta=0.0, train={"steps": 1})))
    assert "ref_per_token_logps" not in spied[0]
    assert "kl" not in outcome.history[0]


def test_a_wrong_reference_stops_the_run(
    base: Base, parents: Any, tmp_path: Path, pays: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TRL's own reference, without the parents, is found out before the first step."""
    from statllama.stages import _rollouts as rollouts

    pays(varied)
    monkeypatch.setattr(stack, "refer_to_parents", lambda model: None)
    job = make_job(base, tmp_path, spec(), parents=parents)
    with pytest.raises(TrainingError, match="the reference is not the parent stack"):
        train(job)
    for check in ("require_parents", "check_completions_reference"):
        monkeypatch.setattr(rollouts, check, lambda *a: None)
    with pytest.raises(TrainingError, match=r"before the first step the KL divergence .* is \S+ and must be 0"):
        train(job)
    base.check_unchanged()


# ------------------------------------------------------------------ the loss


def advantages(rewards: torch.Tensor, scale: str) -> torch.Tensor:
    """arXiv 2402.03300, section 4.1.2, with the sample standard deviation; 2503.20783 without the division."""
    groups = rewards.view(-1, 4)
    centred = groups - groups.mean(1, keepdim=True)
    by = {"group": groups.std(1, keepdim=True), "batch": rewards.std(), "none": torch.tensor(1.0)}[scale]
    return (centred / (by + (0 if scale == "none" else 1e-4))).flatten()


@pytest.mark.parametrize(("loss", "scale"), [("grpo", "group"), ("dapo", "batch"), ("dr_grpo", "none")])
def test_first_gradient_by_definition(
    loss: str, scale: str, base: Base, parents: Any, tmp_path: Path, pays: Any, spied: list[dict[str, Any]]
) -> None:
    """The norm of the first gradient, for any budget, against a fresh PEFT adapter on the parents merged."""
    from peft import LoraConfig, get_peft_model

    pays(varied)
    found = []
    for micro in (8192, 250):
        del spied[:]
        fields = {"loss": loss, "scale_rewards": scale, "max_completion_length": 40}
        fields["train"] = {"steps": 1, "batch_size": 24, "micro_tokens": micro}
        job = make_job(base, tmp_path / str(micro), spec(**fields), parents=parents)
        outcome, _ = train(job)
        found.append((outcome.history[0], list(spied)))
    batch = found[0][1][0]
    lengths = batch["completion_mask"].sum(1)
    assert len(set(lengths.tolist())) > 1, "all completions have one length: this could not tell the losses apart"
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(merged(base.model, parents), config)
    start = stack.attach(base.model, LoraSpec(r=4, alpha=8), (), stack.slice_seed(42, len(parents)))
    own = {name: p.detach().clone() for name, p in stack.trainable(start).items()}
    stack.detach(start)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(own[name])
    per_token = batch["advantages"][:, None] * log_probs(model, batch)
    if loss == "grpo":
        value = (per_token.sum(1) / lengths).mean()
    else:
        value = per_token.sum() / (lengths.sum() if loss == "dapo" else 24 * 40)
    value.backward()
    norm = math.sqrt(sum(float(p.grad.square().sum()) for p in model.parameters() if p.grad is not None))
    for history, batches in found:
        assert history["grad_norm"] == pytest.approx(norm, rel=1e-4)
        assert sorted(torch.cat([b["advantages"] for b in batches]).tolist()) == pytest.approx(
            sorted(batch["advantages"].tolist()), abs=1e-6
        )
    rewards = torch.tensor(
        [
            sum(ids[m.bool()].tolist()) % 7.0
            for ids, m in zip(batch["completion_ids"], batch["completion_mask"], strict=True)
        ]
    )
    prompts = {}
    for i, prompt in enumerate(batch["prompt_ids"].tolist()):
        prompts.setdefault(tuple(prompt), []).append(i)
    order = [i for members in prompts.values() for i in members]
    assert torch.allclose(batch["advantages"][order], advantages(rewards[order], scale), atol=1e-5)


# ------------------------------------------------------------------ prompts and completions


def test_prompts_are_a_plain_rendering(base: Base, tmp_path: Path, pays: Any, spied: list[dict[str, Any]]) -> None:
    """Token for token what the template gives, one BOS; completions end at the end-of-turn token, and so do masks."""
    told: list[Any] = []

    def look(prompts: Any, completions: Any, completion_ids: Any, answer: Any, **columns: Any) -> list[float]:
        told.extend(zip(prompts, answer, completion_ids, completions, strict=True))
        return [float(i) for i in range(len(prompts))]

    pays(look)
    tokenizer = base.tokenizer
    short = [{"prompt": "hi", "answer": "x"}, *rows(5)]
    train(make_job(base, tmp_path, spec(system="Be brief.", max_completion_length=40), rows=short))
    wanted = {}
    for row in short:
        turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": row["prompt"]}]
        ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
        wanted[tuple(ids)] = row
        assert ids.count(tokenizer.bos_token_id) == 1
    seen, ends = set(), 0
    for batch in spied:
        for prompt, asked, ids, mask in zip(
            batch["prompt_ids"], batch["prompt_mask"], batch["completion_ids"], batch["completion_mask"], strict=True
        ):
            seen.add(tuple(prompt[asked.bool()].tolist()))
            kept = ids[mask.bool()].tolist()
            assert all(token == tokenizer.pad_token_id for token in ids[~mask.bool()].tolist())
            assert tokenizer.eos_token_id not in kept[:-1]
            assert kept[-1] == tokenizer.eos_token_id or len(kept) == 40
            ends += kept[-1] == tokenizer.eos_token_id
    assert seen <= set(wanted) and len(seen) == 6 and ends > 0
    for prompt, answer, ids, completion in told:  # each completion meets its own row's answer
        assert prompt[0] == {"role": "system", "content": "Be brief."}
        assert {"prompt": prompt[1]["content"], "answer": answer} in short
        assert completion == [{"role": "assistant", "content": tokenizer.decode(ids, skip_special_tokens=True)}]


def test_samples_are_the_policys_own(base: Base, tmp_path: Path, pays: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Generation runs with the cache, without dropout, at the stage's temperature, and ends at the template's end."""
    from transformers import GenerationMixin

    calls: list[dict[str, Any]] = []
    generate = GenerationMixin.generate

    def spy(self: Any, *args: Any, **kwargs: Any) -> Any:
        config = kwargs["generation_config"]
        calls.append({"training": self.training, **{k: getattr(config, k) for k in SETTINGS}})
        return generate(self, *args, **kwargs)

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a number that depends on the batch was drawn")

    SETTINGS = ("use_cache", "do_sample", "eos_token_id", "max_new_tokens")
    monkeypatch.setattr(torch, "multinomial", fail)
    monkeypatch.setattr(GenerationMixin, "generate", spy)
    pays(varied)
    monkeypatch.setattr(base.tokenizer, "chat_template", base.tokenizer.chat_template.replace("eot_id", "end_of_text"))
    found = spec(temperature=0.9, top_p=0.8, lora={"dropout": 0.5}, train={"gradient_checkpointing": True, "steps": 2})
    train(make_job(base, tmp_path, found))
    ends = sorted(base.tokenizer.convert_tokens_to_ids(["<|eot_id|>", "<|end_of_text|>"]))
    wanted = (True, False, ends, 12)
    assert calls == [{"training": False, **dict(zip(SETTINGS, wanted, strict=True))}] * 2
    assert base.model.config.use_cache and not base.model.is_gradient_checkpointing


# ------------------------------------------------------------------ the same again


@pytest.mark.parametrize(
    ("iterations", "stop", "budget"),
    [
        (1, 3, 300),
        (3, 4, 300),
        pytest.param(3, 5, 150, marks=SLOW),
        pytest.param(2, 4, 8192, marks=SLOW),
    ],
)
def test_a_resumed_run_equals_an_unbroken_one(
    iterations: int, stop: int, budget: int, base: Base, parents: Any, tmp_path: Path, pays: Any
) -> None:
    """Bit for bit, over epochs, with dropout, stopped between steps on one generated batch or between batches."""
    pays(varied)
    fields: dict[str, Any] = {"iterations": iterations, "lora": {"r": 4, "alpha": 8, "dropout": 0.2}}
    fields["train"] = {"steps": 6, "micro_tokens": budget, "checkpoint_every": 3}
    whole, adapter = train(make_job(base, tmp_path / "whole", spec(**fields), parents=parents, count=5))
    steps: list[int] = []
    job = make_job(
        base, tmp_path / "broken", spec(**fields), parents=parents, count=5, on_step=lambda e: steps.append(e.step),
        stop_requested=lambda: len(steps) == stop - 1,  # a step is reported after it is asked
    )  # fmt: skip
    with pytest.raises(Interrupted):
        train(job)
    kept = job.checkpoints / f"checkpoint-{stop}" / "rollouts.safetensors"
    assert kept.exists() == (stop % iterations != 0)
    resumed, again = train(job)
    assert steps == list(range(1, 7)) and resumed.resumed_from == stop
    assert adapter.keys() == again.keys() and all(torch.equal(adapter[name], again[name]) for name in adapter)
    assert resumed.history == whole.history and resumed.tokens == whole.tokens


def test_the_same_seed_gives_the_same_adapter(base: Base, tmp_path: Path, pays: Any) -> None:
    pays(varied)
    adapters = [
        train(make_job(base, tmp_path / str(i), spec(train={"seed": seed})))[1] for i, seed in enumerate((1, 1, 2))
    ]
    same = [all(torch.equal(a[n], adapters[0][n]) for n in a) for a in adapters]
    assert same == [True, True, False]


@pytest.mark.parametrize("rows_", [4, 7, 9])
def test_the_order_of_prompts(rows_: int) -> None:
    """As TRL's own sampler arranges an order; every epoch has another, whichever it begins with."""
    from trl.trainer.utils import RepeatSampler

    from statllama.stages._prompts import PromptSampler

    orders = []
    for epoch in (0, 1):
        sampler = PromptSampler(rows_, 2, 3, 4, seed=7)
        sampler.set_epoch(epoch)
        found = list(sampler)
        assert len(found) == len(sampler)
        first = [found[i : i + 6 : 3] for i in range(0, len(found), 24)]
        order = [index for pair in first for index in pair]
        left = sorted(set(range(rows_)) - set(order))
        trl = RepeatSampler([*order, *left], 3, 2, 4, shuffle=False)
        assert found == [[*order, *left][i] for i in trl]
        assert len(set(order)) == rows_ // 2 * 2
        orders.append(order)
    assert orders[0] != orders[1]


def ragged(count: int) -> list[dict[str, Any]]:
    """Questions whose lengths differ several times over."""
    return [{"prompt": f"what is {'the mean of ' * (i * 3 % 7)}{i}", "answer": str(i)} for i in range(count)]


@pytest.mark.parametrize("iterations", [1, 2])
def test_any_budget_gives_the_same_adapter(
    iterations: int, base: Base, parents: Any, tmp_path: Path, pays: Any
) -> None:
    """Also of prompts of unequal length, generated one by one or in batches that do not divide them."""
    pays(varied)
    found = {}
    for budget in (100_000, 400, 130, 1):
        fields = {"iterations": iterations, "temperature": 1.3, "top_p": 0.95}
        fields["train"] = {"micro_tokens": budget, "batch_size": 12, "adam_epsilon": 1e-4, "learning_rate": 3e-3}
        job = make_job(base, tmp_path / str(budget), spec(**fields), parents=parents, rows=ragged(7))
        found[budget] = train(job)
    whole, adapter = found[100_000]
    for outcome, other in found.values():
        names = [name for name in adapter if "lora_B" in name]
        assert max(float((other[n] - adapter[n]).norm() / adapter[n].norm()) for n in names) < 1e-5
        assert [h.get("reward") for h in outcome.history] == [h.get("reward") for h in whole.history]


def test_out_of_memory_while_generating_halves_that_batch_alone(
    base: Base, tmp_path: Path, pays: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was drawn stays drawn: the adapter is the whole run's."""
    from transformers import GenerationMixin

    generate, sizes = GenerationMixin.generate, []

    def spend(self: Any, *args: Any, **kwargs: Any) -> Any:
        sizes.append(len(kwargs["input_ids"]))
        if sizes[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return generate(self, *args, **kwargs)

    monkeypatch.setattr(GenerationMixin, "generate", spend)
    pays(varied)
    adapters = []
    for most in (8, 3):
        del sizes[:]
        notes: list[str] = []
        job = make_job(base, tmp_path / str(most), spec(train={"steps": 2}), on_note=notes.append)
        outcome, adapter = train(job)
        adapters.append(adapter)
        assert outcome.micro_tokens == 8192
    assert max(float((adapters[0][n] - adapters[1][n]).abs().max()) for n in adapter) < 1e-4
    assert sizes[0] == 8 and max(sizes[2:]) <= 3 and sum(size for size in sizes if size <= 3) == 16
    assert len(notes) == 2 and notes[0].startswith("out of memory while generating 8 completions of")
    assert "forward passes in training stay as they are" in notes[0]
    most = 0
    with pytest.raises(TrainingError, match="out of memory while it generates a single completion") as caught:
        train(make_job(base, tmp_path / "none", spec()))
    assert "max_completion_length=6" in str(caught.value)


# ------------------------------------------------------------------ learning


def test_the_reward_rises(base: Base, tmp_path: Path, pays: Any) -> None:
    """Paid by how many of its tokens are even, a random model learns to write such."""

    def pay(prompts: Any, completions: Any, completion_ids: Any, **columns: Any) -> list[float]:
        return [sum(token % 2 == 0 for token in ids) for ids in completion_ids]

    pays(pay)
    train_ = {"steps": 32, "batch_size": 32, "learning_rate": 3e-2}
    found = spec(max_completion_length=8, beta=0.0, generations=8, lora={"r": 8, "alpha": 16}, train=train_)
    outcome, _ = train(make_job(base, tmp_path, found))
    rewards = [entry["reward"] for entry in outcome.history]
    assert mannwhitneyu(rewards[:6], rewards[-12:], alternative="less").pvalue < 1e-3
    metrics = outcome.metrics()
    assert metrics["reward"] == pytest.approx(sum(rewards[-3:]) / 3)
    assert metrics["first_reward"] == pytest.approx(sum(rewards[:3]) / 3)


# ------------------------------------------------------------------ what is told


def noted(base: Base, folder: Path, **fields: Any) -> tuple[Outcome, list[str]]:
    """The outcome of a stage and what was said meanwhile."""
    notes: list[str] = []
    outcome, _ = train(make_job(base, folder, spec(**fields), on_note=notes.append))
    return outcome, notes


def taught_nothing(base: Base, folder: Path, **fields: Any) -> list[str]:
    """What was said by a stage whose rewards never vary, which ends in an error."""
    notes: list[str] = []
    job = make_job(base, folder, spec(**fields), on_note=notes.append)
    for _ in range(2):  # once more, from the checkpoint of its end
        with pytest.raises(TrainingError, match=r"in none of its . batches did .* so it learned nothing"):
            train(job)
    return notes


def test_batches_that_teach_nothing_are_told(base: Base, tmp_path: Path) -> None:
    """A random model finds no answer: correctness is the same for all. Told at once, then ever more rarely."""
    notes = taught_nothing(base, tmp_path, rewards=[{"name": "correctness"}])
    assert len(notes) == 3  # of the first and the fourth batch, and that it resumes
    assert "got the same reward, so this batch teaches nothing (1 of 1 batches)" in notes[0]
    assert "(4 of 4 batches)" in notes[1]
    assert "correctness is -1 (no answer) for all" in notes[0]


def test_a_batch_that_teaches_nothing_is_counted(base: Base, tmp_path: Path, pays: Any) -> None:
    batches = iter([[0.0] * 8])
    pays(lambda **given: next(batches, varied(**given)))
    outcome, notes = noted(base, tmp_path, train={"steps": 4})
    assert len(notes) == 1 and outcome.metrics()["unvaried_batches"] == 0.25
    assert [entry["unvaried"] for entry in outcome.history] == [1, 0, 0, 0]


def test_the_reason_names_rewards_that_judged_none(
    base: Base, tmp_path: Path, pays: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """In our words alone: TRL would print a whole row each time."""
    pays(lambda prompts, completions, **columns: [None] * len(prompts))
    notes = taught_nothing(base, tmp_path, train={"steps": 1})
    assert "format judged none" in notes[0]
    assert not caplog.records


def test_the_reason_names_cut_and_equal_completions(base: Base, tmp_path: Path, pays: Any) -> None:
    pays(lambda prompts, completions, **columns: [1.0] * len(prompts))
    notes = taught_nothing(base, tmp_path, temperature=1e-4, max_completion_length=2, train={"steps": 1})
    assert "each prompt's completions are the same text (raise `temperature`)" in notes[0]
    assert "all are cut at `max_completion_length` 2" in notes[0]
    assert "format is 1 for all" in notes[0]


def test_one_varied_group_is_enough(base: Base, tmp_path: Path, pays: Any) -> None:
    """7 of 8 rewards are alike; prompts that differ from each other alone do not count."""
    pays(lambda prompts, completions, **columns: [1.0] + [0.0] * (len(prompts) - 1))
    outcome, notes = noted(base, tmp_path / "one", train={"steps": 1})
    assert not notes and outcome.metrics()["unvaried_batches"] == 0.0
    pays(lambda prompts, completions, **columns: [1.0] * 4 + [0.0] * 4)
    notes = taught_nothing(base, tmp_path / "between", train={"steps": 1})
    assert "format is 0 to 1, alike for each prompt" in notes[0]


def test_figures_of_each_step(base: Base, tmp_path: Path, pays: Any, spied: list[dict[str, Any]]) -> None:
    """Reward, KL, completion length and cut share reach the display and the history, as plain counting has them."""
    pays(varied)
    events: list[Any] = []
    outcome, _ = train(make_job(base, tmp_path, spec(train={"steps": 1}), on_step=events.append))
    (batch,), (event,), (entry,) = spied, events, outcome.history
    lengths = batch["completion_mask"].sum(1).float()
    ids = [
        row[mask.bool()].tolist() for row, mask in zip(batch["completion_ids"], batch["completion_mask"], strict=True)
    ]
    wanted = {
        "reward": sum(sum(one) % 7 for one in ids) / 8,
        "kl": 0.0,
        "completions/mean_length": float(lengths.mean()),
        "completions/clipped_ratio": sum(one[-1] != base.tokenizer.eos_token_id for one in ids) / 8,
    }
    for found in (event.extra, entry):
        assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=1e-9)
    assert outcome.tokens == int(batch["prompt_mask"].sum() + lengths.sum())
    assert outcome.metrics()["completion_length"] == pytest.approx(wanted["completions/mean_length"])
    assert outcome.metrics()["cut"] == pytest.approx(wanted["completions/clipped_ratio"])


def test_the_display_of_a_step(capsys: pytest.CaptureFixture[str]) -> None:
    """Reward first, since the loss of grpo says nothing; steps on completions of before have no reward to show."""
    from statllama.cli.console.run import ConsoleReporter
    from statllama.runs.watch.run_state import StageState
    from statllama.train.job import StepEvent

    figures = {"reward": 0.25, "kl": 0.0123, "completions/mean_length": 87.4, "completions/clipped_ratio": 0.125}
    event = StepEvent("grpo", 1, 2, 0.0, 0.5, 1e-4, 100.0, 5.0, 2**30, {**figures, "rewards/format/mean": 1.0})
    reporter = ConsoleReporter()
    reporter.state.stages["grpo"] = StageState("grpo", "grpo")
    reporter.step(event)
    reporter.step(replace(event, step=2, extra={"kl": 0.02}))
    first, second = " ".join(capsys.readouterr().out.split()).split("step 2/2")
    assert "reward 0.250 KL 0.012 length 87 cut 12% loss 0.0000" in first
    assert "reward" not in second and "loss" in second


def test_rows_may_have_different_columns(base: Base, tmp_path: Path, pays: Any) -> None:
    """A reward gets each column as one list; None where a row has no such column, and None where it judges nothing."""
    seen: list[Any] = []

    def some(prompts: Any, completions: Any, hint: Any, **columns: Any) -> list[float | None]:
        seen.extend(hint)
        return [None if one is None else float(i) for i, one in enumerate(hint)]

    pays(some)
    given = [{"prompt": "a", "answer": 1, "hint": "h"}, {"prompt": [{"role": "user", "content": "b"}], "answer": "x"}]
    outcome, _ = train(make_job(base, tmp_path, spec(train={"steps": 1}), rows=given))
    assert sorted(seen, key=str) == [None] * 4 + ["h"] * 4
    assert outcome.history[0]["reward"] in (1.5, 5.5)


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"generations": 1}, "1 completion per prompt: each is compared with the others"),
        ({"generations": 3}, "`train.batch_size` 8 counts completions and is not a multiple of `generations` 3: "
         "set it to 6 or 9"),
        ({"rewards": []}, "rewards"),
        ({"rewards": [{"name": "corectness"}]}, "unknown reward 'corectness': did you mean 'correctness'"),
        ({"rewards": [{"rtol": 0.1}]}, "unknown reward None"),
        ({"rewards": [{"name": "format"}, {"name": "format"}]}, "same name"),
        ({"rewards": [{"name": "format", "weight": 0.0}]}, "all rewards have weight 0"),
        ({"rewards": [{"name": "correctness", "rtoll": 0.1}]}, "rtoll"),
        ({"max_completion_length": 96}, "do not fit into `train.max_length` 96"),
        ({"max_completion_length": 50, "max_prompt_length": 50}, "`max_prompt_length` 50 do not fit"),
        ({"train": {"packing": True}}, "packing is for cpt and sft"),
        ({"loss": "bnpo"}, "'grpo', 'dapo' or 'dr_grpo'"),
        ({"importance_sampling_level": "sequence", "loss": "dapo"}, "against GSPO's definition: set `loss: grpo`"),
        ({"importance_sampling_level": "word"}, "'token' or 'sequence'"),
        ({"temperature": 0.0}, "greater than 0"),
        ({"beta": -0.1}, "greater than or equal to 0"),
    ],
)  # fmt: skip
def test_wrong_fields(fields: dict[str, Any], message: str, write_recipe: Write) -> None:
    """Each is a recipe error that says what and where."""
    body = spec().model_dump(mode="json", exclude_unset=True)
    train_ = {**body["train"], **fields.pop("train", {})}
    path = write_recipe([{**body, **fields, "train": train_}])
    write_jsonl(path.parent / "q.jsonl", rows(4))
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ([math.nan] * 8, "reward 'format' returned nan in row 1"),
        pytest.param([1.0], "returned 1 values for 8 completions", marks=SLOW),
        pytest.param(None, "returned None", marks=SLOW),
        pytest.param(ValueError("boom"), "reward 'format' raised ValueError: boom", marks=SLOW),
    ],
)
def test_a_broken_reward_stops_the_stage_and_loses_nothing(
    returned: Any, message: str, base: Base, tmp_path: Path, pays: Any
) -> None:
    """After two good steps: the checkpoint stays, and with the reward mended the stage goes on from it."""
    calls = []

    def breaks(prompts: Any, completions: Any, **columns: Any) -> Any:
        calls.append(1)
        if len(calls) != 3:
            return varied(prompts, completions, **columns)
        if isinstance(returned, Exception):
            raise returned
        return returned

    pays(breaks)
    job = make_job(base, tmp_path, spec(train={"steps": 3, "checkpoint_every": 2}))
    with pytest.raises(TrainingError, match=message):
        train(job)
    base.check_unchanged()
    outcome, _ = train(job)
    assert outcome.resumed_from == 2 and outcome.steps == 3


def test_a_missing_answer_is_found_before_anything_is_loaded(base: Base, tmp_path: Path) -> None:
    from tests.conftest import conversations

    found = spec(rewards=[{"name": "correctness"}])
    with pytest.raises(DataError, match=r"q\.jsonl, row \d.*: no 'answer', which a reward needs"):
        make_job(base, tmp_path, found, rows=conversations(4))
    make_job(base, tmp_path, spec(), rows=conversations(4))  # `format` needs none


def test_prompts_over_their_limit(base: Base, tmp_path: Path, pays: Any) -> None:
    """They are left out and counted; all of them is an error that says how long the shortest is."""
    pays(varied)
    long = [{"prompt": "x " * 60, "answer": "1"}, *rows(4)]
    write_jsonl(tmp_path / "q.jsonl", long)
    found = spec(max_prompt_length=60)
    data = prepare("questions", found.data, root=tmp_path, tokenizer=base.tokenizer, cache=None, **found.data_options)
    assert data.report.sources[0].dropped == {"prompt longer than max_prompt_length": 1}
    assert len(data.dataset) == 4 and max(map(len, data.dataset["prompt_ids"])) <= 60
    with pytest.raises(DataError, match="every prompt is longer than max_prompt_length 5: the shortest has"):
        make_job(base, tmp_path, spec(max_prompt_length=5))


def test_fewer_prompts_than_a_step_takes() -> None:
    with pytest.raises(DataError, match=r"stage grpo: 1 prompts, but each step takes 2 different ones") as caught:
        spec().rows_per_epoch(1)
    assert "train.batch_size=4" in str(caught.value.remedy)


@pytest.mark.parametrize("command", [("run",), ("plan",), ("data", "check")])
def test_commands_refuse_fewer_prompts_than_a_step_takes(
    command: tuple[str, ...],
    write_recipe: Write,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    from statllama.cli import app as cli

    body = spec(data=[{"path": "q.jsonl", "format": "prompt_answer"}], train={"max_length": 400})
    path = write_recipe([body.model_dump(mode="json", exclude_unset=True)])
    write_jsonl(path.parent / "q.jsonl", rows(1))
    monkeypatch.setattr(sys, "argv", ["statllama", *command, str(path), "--workspace", str(tmp_path / "w")])
    with pytest.raises(SystemExit) as left:
        cli.main()
    said = capsys.readouterr()
    assert left.value.code and "1 prompts, but each step takes 2 different ones" in f"{said.out} {said.err}"


def batch_of(prompt: list[int], ids: list[int], masked: tuple[int, int] = (0, 0)) -> dict[str, Any]:
    """One completion as TRL holds it; `masked`: padding of the prompt and of the completion."""
    left, right = masked
    values = {"prompt_ids": [5] * left + prompt, "prompt_mask": [0] * left + [1] * len(prompt)}
    values |= {"completion_ids": ids + [5] * right, "completion_mask": [1] * len(ids) + [0] * right}
    return {name: torch.tensor([row]) for name, row in values.items()}


@pytest.mark.parametrize(
    ("batch", "fault"),
    [
        (batch_of([0, 9, 9], [8, 8, 4], (2, 1)), None),
        (batch_of([0, 9, 9], [8, 8, 8, 8]), None),
        (batch_of([0, 9, 9], [4], (0, 3)), None),
        (batch_of([9, 9], [8, 4]), "does not begin with BOS"),
        (batch_of([0, 0, 9], [8, 4], (1, 0)), "two BOS"),
        (batch_of([0, 9], [8, 4, 8]), "goes on after the end-of-turn token"),
        (batch_of([0, 9], [8, 8], (0, 2)), "ends without an end-of-turn token after 2 of 4"),
        ({**batch_of([0, 9], [8, 8, 4]), "completion_mask": torch.tensor([[1, 0, 1]])}, "mask of its completion"),
        ({**batch_of([0, 9], [8]), "completion_mask": torch.tensor([[0]])}, "mask of its completion"),
    ],
)
def test_completions_are_checked(batch: dict[str, Any], fault: str | None, tokenizer: Any) -> None:
    from statllama.data.checks import check_completions

    if fault is None:
        check_completions(batch, tokenizer, stops=[4], max_length=4)
    else:
        with pytest.raises(DataError, match=fault):
            check_completions(batch, tokenizer, stops=[4], max_length=4)


# ------------------------------------------------------------------ with other parts


def test_a_cap_on_drift_ends_it(base: Base, tmp_path: Path, pays: Any) -> None:
    pays(varied)
    free, _ = noted(base, tmp_path / "free", drift={"max": 100.0, "every": 1})
    limit = max(entry["drift"] for entry in free.history[:2])  # every step after the second is above it
    assert limit < min(entry["drift"] for entry in free.history[2:])
    outcome, notes = noted(base, tmp_path / "capped", drift={"max": limit, "every": 1})
    assert (outcome.ended_by, outcome.steps, outcome.adapter_step) == ("drift", 3, 2)
    assert "above `drift.max`" in notes[-1]


def test_on_a_4_bit_base(base_folder: Path, parents: Any, tmp_path: Path, pays: Any) -> None:
    """KL is 0 at the start, the adapter stays in float32, and the base keeps its bits."""
    pays(varied)
    found = BaseModelSpec(model=str(base_folder), quantization="nf4")
    four = load_base(found, {"model": {}, "tokenizer": {}}, "float32", 256, "transformers")
    outcome, adapter = train(make_job(four, tmp_path, spec(train={"steps": 2}), parents=parents))
    assert outcome.history[0]["kl"] == pytest.approx(0, abs=1e-9) and outcome.history[1]["kl"] > 0
    assert all(tensor.dtype is torch.float32 for tensor in adapter.values())
    four.check_unchanged()


# ------------------------------------------------------------------ as a recipe


GRADER = """
def parity(prompts, completions, completion_ids, answer, **columns):
    assert all(answer)
    return [sum(ids) % 5 for ids in completion_ids]
"""


@pytest.fixture
def recipe(write_recipe: Write) -> Path:
    """sft, then grpo on generated problems, paid by a function beside the recipe."""
    last = spec(
        data=[{"problems": {"form": "grpo", "count": 12, "topics": ["means"]}}],
        rewards=[{"name": "local", "function": "grader:parity"}, {"name": "format", "weight": 0.5}],
        train={"max_length": 400, "steps": 2, "checkpoint_every": 1},
    )
    body = last.model_dump(mode="json", exclude_unset=True)
    path = write_recipe([stage("sft", train={"steps": 2}), body])
    (path.parent / "grader.py").write_text(GRADER, encoding="utf-8")
    return path


def test_a_recipe_with_grpo(recipe: Path, tmp_path: Path) -> None:
    """Refused without trust before anything is trained; then trained and kept, until the reward's code changes."""
    from statllama.runs import runner
    from statllama.store import Store
    from tests.running import Recorder

    store, loaded = Store(tmp_path / "w"), load_recipe(recipe)
    with pytest.raises(UsageError, match="runs with all your rights"):
        runner.run(loaded, store, Recorder())
    assert not any((store.root / "results").glob("*"))
    trusted = loaded.model_copy(update={"trust_local_code": True})
    results = runner.run(trusted, store, Recorder()).results
    manifest = json.loads((results["grpo"] / "manifest.json").read_text())
    assert manifest["metrics"]["steps"] == 2 and "reward" in manifest["metrics"] and "kl" in manifest["metrics"]
    assert manifest["data"]["examples"] == 12
    assert [stage_.why for stage_ in plan(loaded, store)] == ["cached", "cached"]
    (recipe.parent / "grader.py").write_text(GRADER.replace("% 5", "% 3"), encoding="utf-8")
    first, second = plan(loaded, store)
    assert first.cached and not second.cached and "the file of a local reward changed" in second.why


def test_commands_on_a_recipe_with_grpo(
    recipe: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`data check` counts prompts; `data preview` shows the prompt's tokens and what the rewards get; `plan` steps."""
    from statllama.cli import app as cli

    def said(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["statllama", *arguments, "--workspace", str(tmp_path / "w")])
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert not left.value.code
        return " ".join(capsys.readouterr().out.split())

    checked_ = said("data", "check", str(recipe), "--stage", "grpo")
    assert "12 prompts" in checked_ and "with loss marked" not in checked_ and "⟦" not in checked_
    shown = said("data", "preview", str(recipe), "--stage", "grpo")
    assert "prompt (for the rewards: answer: " in shown and "tolerance: " in shown and "0 with loss" in shown
    assert "grpo" in said("plan", str(recipe))
