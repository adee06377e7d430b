"""Replay and anchor: plain without them, right by a definition in plain PyTorch, the same whatever passes and ranks."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from statllama.data.fit import IGNORED
from statllama.data.replay import Part, ReplayRows, language_row
from statllama.errors import DataError, TrainingError
from statllama.runs.session import Session
from statllama.runs.signals import StopSignal
from statllama.store import Store
from statllama.train.protection import protection_of
from statllama.train.side_losses import coefficient_after, next_coefficient, side_loss
from tests.conftest import conversations, make_llama, preferences, stage, write_jsonl
from tests.reference import relative
from tests.running import Recorder, adapter_bytes, losses, recipe_of, run
from tests.train.test_resume import StopAt
from tests.train.test_step import difference, small, unequal

torch.set_num_threads(1)
Write = Callable[..., Path]
GENERAL = {"data": [{"path": "general.jsonl", "format": "messages"}]}


def general(folder: Path, count: int = 13) -> None:
    """Rows to replay, of unequal length, all other than the stage's own."""
    rows = [
        [{"role": "user", "content": f"name {i}"}, {"role": "assistant", "content": f"value {i} " * (1 + i * 5 % 9)}]
        for i in range(count)
    ]
    write_jsonl(folder / "general.jsonl", [{"messages": row} for row in rows])


def history(result: Path) -> list[dict[str, float]]:
    found: list[dict[str, float]] = json.loads((result / "history.json").read_text())
    return found


def manifest(result: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((result / "manifest.json").read_text())
    return found


# ------------------------------------------------------------------ the arithmetic


def test_losses_and_gradient_are_those_of_autograd() -> None:
    torch.manual_seed(1)
    logits = torch.randn(7, 50, dtype=torch.float64, requires_grad=True)
    parent, targets = torch.randn(7, 50, dtype=torch.float64), torch.randint(50, (7,))
    entropy = F.cross_entropy(logits, targets, reduction="sum")
    kl = F.kl_div(logits.log_softmax(-1), parent.log_softmax(-1), log_target=True, reduction="sum")
    (0.3 * entropy + 1.7 * kl).backward()
    got = side_loss(logits, targets, parent, ce_scale=0.3, kl_scale=1.7)
    assert float(got.cross_entropy) == pytest.approx(entropy.item(), rel=1e-12)
    assert float(got.kl) == pytest.approx(kl.item(), rel=1e-12)
    assert logits.grad is not None and relative(got.gradient, logits.grad) < 1e-12
    same = side_loss(logits, targets, logits, kl_scale=1.0)
    assert float(same.kl) == 0.0 and float(same.gradient.abs().max()) == 0.0


def test_the_coefficient_adapts_as_by_hand() -> None:
    """arXiv 1909.08593, 2.2, worked: errors clipped at 0.2, gain 0.1."""
    kls, wanted = [0.0, 0.02, 0.0105, 0.009, 0.01], [1.0]
    for factor in (0.98, 1.02, 1.005, 0.99, 1.0):
        wanted.append(wanted[-1] * factor)
    log: list[dict[str, float]] = []
    for kl, coefficient in zip(kls, wanted, strict=False):
        assert coefficient_after(log, 0.01) == pytest.approx(coefficient, rel=1e-12)
        log += [{"loss": 1.0, "anchor_kl": kl, "anchor_coefficient": coefficient_after(log, 0.01)}, {"other": 1}]
    assert coefficient_after(log, 0.01) == pytest.approx(wanted[-1], rel=1e-12)
    assert next_coefficient(2.0, 1.0, 0.5) == pytest.approx(2.04)
    assert protection_of([{"replay_loss": 1.0}, {"anchor_kl": 3.0}]) == {"replay_loss": 1.0, "anchor_kl": 3.0}


# ------------------------------------------------------------------ which rows


def rows_of(*sizes: int) -> ReplayRows:
    from datasets import Dataset

    parts: list[Any] = []
    for i, size in enumerate(sizes):
        rows = [{"input_ids": [i, j, 1], "labels": [IGNORED, j, 1], "seq_lengths": [3]} for j in range(size)]
        parts.append(Part(Dataset.from_list(rows), "conversations", SimpleNamespace(), SimpleNamespace()))  # type: ignore[arg-type]
    return ReplayRows(parts, seed=3)


def test_every_row_comes_once_before_any_comes_again() -> None:
    rows = rows_of(5, 8)
    assert len(rows) == 13 and rows[5]["input_ids"][0] == 1
    drawn = [i for step in range(20) for i in rows.drawn(step, 4)]
    for round_ in range(6):
        assert sorted(drawn[13 * round_ : 13 * (round_ + 1)]) == list(range(13))
    assert drawn[:13] != drawn[13:26], "each round has an order of its own"
    assert rows_of(5, 8).drawn(11, 4) == drawn[44:48], "a function of seed and step alone"
    assert rows.drawn(0, 30) == rows.drawn(0, 15) + rows.drawn(1, 15), "more in a step than there are rows"


def test_pairs_and_judged_rows_are_replayed_by_their_good_answers() -> None:
    from datasets import Dataset

    pair = {"prompt_ids": [1, 2], "chosen_ids": [3, 4], "rejected_ids": [5]}
    assert language_row(pair) == {"input_ids": [1, 2, 3, 4], "labels": [IGNORED] * 2 + [3, 4], "seq_lengths": [4]}
    judged = [{"prompt_ids": [1], "completion_ids": [i] * i, "label": [i % 2]} for i in range(1, 6)]
    none: Any = SimpleNamespace()
    rows = ReplayRows([Part(Dataset.from_list([pair]), "preferences", none, none),
                       Part(Dataset.from_list(judged), "judgements", none, none)], 0)  # fmt: skip
    assert [rows[i]["input_ids"] for i in range(len(rows))] == [[1, 2, 3, 4], [1, 1], [1, 3, 3, 3], [1, 5, 5, 5, 5, 5]]
    assert rows.lengths.tokens.tolist() == [4, 2, 4, 6]
    assert rows.lengths.logits.tolist() == [2, 1, 3, 5]


# ------------------------------------------------------------------ none is the plain stage


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_a_share_and_a_coefficient_of_nothing_are_the_plain_stage(
    kind: str, write_recipe: Write, tmp_path: Path
) -> None:
    """Bit for bit, and by the same key: there is nothing to train again."""
    general(tmp_path)
    plain = write_recipe([stage("one", kind, lora={"dropout": 0.1}, train={"steps": 3})])
    result = run(plain, tmp_path / "w")["one"]
    nothing = {"replay": {**GENERAL, "share": 0.0}, "anchor": {"on": "own", "coefficient": 0.0}}
    path = write_recipe([stage("one", kind, lora={"dropout": 0.1}, train={"steps": 3}, **nothing)])
    assert run(path, tmp_path / "w")["one"].name == result.name
    other = run(path, tmp_path / "v")["one"]
    assert adapter_bytes(other) == adapter_bytes(result)
    assert losses(other) == losses(result)


# ------------------------------------------------------------------ by definition
LORA = {"r": 4, "alpha": 8}
RUN = {"steps": 3, "batch_size": 8, "micro_tokens": 10**6, "max_length": 160, "learning_rate": 3e-3}
RUN |= {"schedule": "constant", "max_grad_norm": 1e9, "adam_epsilon": 1e-4, "weight_decay": 0.0}


@dataclass
class Definition:
    """A stage in plain PyTorch: a merged parent, PEFT's own LoRA on a copy of it, one row at a time."""

    parent: Any
    seed: int
    figures: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        from tests.reference import Lora, peft_lora

        self.policy = peft_lora(copy.deepcopy(self.parent), Lora(), self.seed)

    def at(self, model: Any, row: dict[str, list[int]]) -> tuple[Tensor, Tensor]:
        """Log-probabilities where the next token carries loss, and that token."""
        ids, labels = torch.tensor([row["input_ids"]]), torch.tensor(row["labels"])[1:]
        where = labels != IGNORED
        return model(input_ids=ids, use_cache=False).logits[0, :-1][where].log_softmax(-1), labels[where]

    def entropy(self, rows: list[dict[str, list[int]]]) -> Tensor:
        parts = [self.at(self.policy, row) for row in rows]
        return -sum(log_q.gather(-1, ids[:, None]).sum() for log_q, ids in parts) / sum(len(ids) for _, ids in parts)

    def kl(self, rows: list[dict[str, list[int]]]) -> Tensor:
        """KL(parent || policy), the mean over tokens."""
        total, tokens = torch.zeros(()), 0
        for row in rows:
            log_q, ids = self.at(self.policy, row)
            with torch.no_grad():
                log_p, _ = self.at(self.parent, row)
            total = total + (log_p.exp() * (log_p - log_q)).sum()
            tokens += len(ids)
        return total / tokens

    def dpo(self, pairs: list[dict[str, list[int]]], beta: float = 0.1) -> Tensor:
        def margin(model: Any, pair: dict[str, list[int]]) -> Tensor:
            sums = []
            for name in ("chosen_ids", "rejected_ids"):
                log, ids = self.at(model, language_row({"prompt_ids": pair["prompt_ids"], "chosen_ids": pair[name]}))
                sums.append(log.gather(-1, ids[:, None]).sum())
            return sums[0] - sums[1]

        parts = []
        for pair in pairs:
            with torch.no_grad():
                reference = margin(self.parent, pair)
            parts.append(-F.logsigmoid(beta * (margin(self.policy, pair) - reference)))
        return torch.stack(parts).mean()

    def train(self, loss: Callable[[], Tensor], terms: Callable[[], dict[str, tuple[float, Tensor]]]) -> None:
        """Steps of AdamW; keeps each step's figures."""
        trained = [p for p in self.policy.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=RUN["learning_rate"], eps=RUN["adam_epsilon"], weight_decay=0.0)
        for _ in range(RUN["steps"]):
            own, more = loss(), terms()
            (own + sum(weight * value for weight, value in more.values())).backward()
            norm = torch.stack([p.grad.norm() for p in trained if p.grad is not None]).norm()
            optimizer.step()
            optimizer.zero_grad()
            figures = {name: value.item() for name, (_, value) in more.items()}
            self.figures.append({"loss": own.item(), "grad_norm": norm.item(), **figures})


@dataclass
class Stages:
    """A recipe with a parent and a stage on it, and what they left."""

    results: dict[str, Path]
    own: list[Any]
    replayed: list[Any]
    definition: Definition


def stages(write_recipe: Write, tmp_path: Path, base_folder: Path, kind: str, **fields: Any) -> Stages:
    """Train a stage on a trained one, all rows in every step, and set up its definition."""
    from transformers import AutoModelForCausalLM

    from statllama.model.stack import slice_seed
    from tests.reference import merged

    general(tmp_path, 4)
    write_jsonl(tmp_path / "mine.jsonl", conversations(8) if kind == "sft" else preferences(8))
    form = {"sft": "messages", "dpo": "preference"}[kind]
    mine = [{"path": "mine.jsonl", "format": form}]
    path = write_recipe(
        [stage("one", train={"steps": 4}), stage("two", kind, data=mine, lora=LORA, train=RUN, **fields)]
    )
    results = run(path, tmp_path / "w")
    recipe = recipe_of(path)
    prepared = Session(recipe, Store(tmp_path / "w"), Recorder(), StopSignal()).prepare(recipe.trained[1])
    base = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32)
    parent = merged(base, [(results["one"], 8 / 4)])
    replayed = [prepared.replay[i] for i in range(len(prepared.replay))] if prepared.replay else []
    return Stages(results, list(prepared.dataset), replayed, Definition(parent, slice_seed(42, 1)))


def agree(result: Path, wanted: list[dict[str, float]]) -> None:
    for got, step in zip(history(result), wanted, strict=True):
        for name, value in step.items():
            assert got[name] == pytest.approx(value, rel=2e-4, abs=1e-7), (name, got["step"])


def test_replay_is_cross_entropy_beside_the_stages_loss(write_recipe: Write, tmp_path: Path, base_folder: Path) -> None:
    """And the anchor on the replayed rows the divergence from a merged parent: losses and gradient norms of steps."""
    made = stages(
        write_recipe, tmp_path, base_folder, "sft",
        replay={**GENERAL, "share": 0.5, "weight": 0.7}, anchor={"on": "replay", "coefficient": 3.0},
    )  # fmt: skip
    plain = made.definition
    plain.train(
        lambda: plain.entropy(made.own),
        lambda: {"replay_loss": (0.7, plain.entropy(made.replayed)), "anchor_kl": (3.0, plain.kl(made.replayed))},
    )
    agree(made.results["two"], plain.figures)
    found = manifest(made.results["two"])
    assert found["metrics"]["protection"]["anchor_coefficient"] == 3.0
    assert found["metrics"]["protection"]["anchor_kl"] == history(made.results["two"])[-1]["anchor_kl"]
    assert found["data"]["replayed"]["each_step"] == 4
    first = history(made.results["two"])[0]["anchor_kl"]
    assert abs(first) < 1e-7, "a fresh slice changes nothing"


def test_dpo_is_anchored_on_its_chosen_answers(write_recipe: Write, tmp_path: Path, base_folder: Path) -> None:
    made = stages(write_recipe, tmp_path, base_folder, "dpo", anchor={"on": "own", "coefficient": 5.0})
    plain, chosen = made.definition, [language_row(pair) for pair in made.own]
    plain.train(lambda: plain.dpo(made.own), lambda: {"anchor_kl": (5.0, plain.kl(chosen))})
    agree(made.results["two"], plain.figures)
    assert "replay_loss" not in history(made.results["two"])[0]


def test_a_pass_is_its_definition_in_float64(tmp_path: Path, base_folder: Path) -> None:
    """Gradients of the new slice on a parent, against autograd through a merged model: to 1e-6, relative."""
    from statllama.config.lora import LoraSpec
    from statllama.model import stack
    from statllama.model.adapter import load_adapter
    from statllama.train.sides import Sides
    from tests.conftest import make_tokenizer
    from tests.reference import Lora, merged, peft_lora, randomise, saved_lora

    base = make_llama(320, hidden_size=32, intermediate_size=48).double()
    folder = saved_lora(base, Lora(r=3), tmp_path / "parent", seed=5)
    parent = merged(base, [(folder, Lora(r=3).scale)])
    policy = peft_lora(copy.deepcopy(parent), Lora(), seed=7)
    draw = torch.Generator().manual_seed(2)
    rows = []
    for width in (9, 17, 12):
        ids = torch.randint(6, 320, (width,), generator=draw).tolist()
        rows.append({"input_ids": ids, "labels": [IGNORED] * 3 + ids[3:], "seq_lengths": [width]})
    model = stack.attach(copy.deepcopy(base), LoraSpec(r=4, alpha=8.0), [load_adapter(folder)], seed=7)
    for parameter in stack.trainable(model).values():
        parameter.data = parameter.data.double()
    randomise(policy, 3)
    wanted = {n.replace(".default", ""): p for n, p in policy.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for name, parameter in stack.trainable(model).items():
            parameter.copy_(wanted[name.replace(".default", "")])
    plain = Definition.__new__(Definition)
    plain.parent, plain.policy, plain.figures = parent.requires_grad_(False), policy, []
    (0.5 * plain.entropy(rows) + 2.0 * plain.kl(rows)).backward()

    from contextlib import nullcontext

    job: Any = SimpleNamespace(
        spec=SimpleNamespace(), replay=None, parents=(1,),
        base=SimpleNamespace(backend="transformers", tokenizer=make_tokenizer(), model=model, dtype=torch.float64),
    )  # fmt: skip
    accelerator = SimpleNamespace(autocast=nullcontext, scaler=None)
    trainer = SimpleNamespace(model=model, accelerator=accelerator, _prepare_inputs=lambda batch: batch)
    sides = Sides(job)
    tokens = sum(len(row["input_ids"]) - 3 for row in rows)
    sums = torch.zeros(2, dtype=torch.float64)
    for one in sides._passes(rows, 30):
        sums += sides._pass(trainer, model, one, 0.5 / tokens, 2.0 / tokens)
    assert float(sums[0]) / tokens == pytest.approx(plain.entropy(rows).item(), rel=1e-6)
    assert float(sums[1]) / tokens == pytest.approx(plain.kl(rows).item(), rel=1e-6)
    for name, parameter in stack.trainable(model).items():
        ours, right = parameter.grad, wanted[name.replace(".default", "")].grad
        assert ours is not None and right is not None and relative(ours, right) < 1e-6, name


# ------------------------------------------------------------------ whatever the passes, and however it goes


BOTH = {
    "replay": {**GENERAL, "share": 0.6, "weight": 0.5},
    "anchor": {"on": "replay", "target": 0.02},
}
OWN = {"anchor": {"on": "own", "coefficient": 2.0}}


@pytest.mark.parametrize(("kind", "how"), [("sft", BOTH), ("dpo", BOTH | OWN), ("kto", OWN), ("cpt", OWN)])
def test_any_budget_gives_the_same_adapter(kind: str, how: Any, write_recipe: Write, tmp_path: Path) -> None:
    path = write_recipe([{**small(kind, steps=3), **how}])
    unequal(kind, tmp_path)
    general(tmp_path)
    whole = run(path, tmp_path / "whole")["one"]
    other = run(path, tmp_path / "small", "stages.one.train.micro_tokens=90")["one"]
    assert other.name == whole.name
    assert difference(other, whole) < 1e-5
    for one, two in zip(history(whole), history(other), strict=True):
        names = [name for name in one if name.startswith(("loss", "replay", "anchor", "grad"))]
        assert "anchor_kl" in names
        assert all(two[name] == pytest.approx(one[name], rel=1e-3, abs=1e-6) for name in names)
    assert history(whole)[-1]["anchor_kl"] > 1e-5


def test_a_resumed_stage_is_the_unbroken_one_bit_for_bit(write_recipe: Write, tmp_path: Path) -> None:
    """With dropout and an adaptive coefficient, whose state is the log."""
    general(tmp_path)
    path = write_recipe([stage("one", lora={"dropout": 0.1}, train={"steps": 6, "checkpoint_every": 1}, **BOTH)])
    whole = run(path, tmp_path / "whole")["one"]
    with pytest.raises(ConnectionError):
        run(path, tmp_path / "broken", reporter=StopAt(4))
    resumed = run(path, tmp_path / "broken")["one"]
    assert manifest(resumed)["metrics"]["resumed_from"] == 3
    assert adapter_bytes(resumed) == adapter_bytes(whole)
    without = [[{k: v for k, v in h.items() if k != "num_tokens"} for h in history(one)] for one in (resumed, whole)]
    assert without[0] == without[1], "TRL counts its tokens anew"
    coefficients = [h["anchor_coefficient"] for h in history(whole)]
    assert coefficients[:2] == [1.0, 0.98]


def test_a_pass_that_lacks_memory_is_taken_again(
    write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole step is, in smaller passes, and nothing of the failed try remains."""
    from statllama.train import sides

    general(tmp_path)
    unequal("sft", tmp_path)
    path = write_recipe([{**small("sft", steps=2), **BOTH}])
    whole = run(path, tmp_path / "whole")["one"]
    project, failed = sides.project, []

    def short(model: Any, hidden: Tensor) -> Tensor:
        if len(failed) < 1 and hidden.requires_grad and hidden.ndim == 2:
            failed.append(len(hidden))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return project(model, hidden)

    monkeypatch.setattr(sides, "project", short)
    told = Recorder()
    again = run(path, tmp_path / "again", reporter=told)["one"]
    assert failed and any("this step is taken again" in note for note in told.notes)
    assert difference(again, whole) < 1e-5
    assert manifest(again)["metrics"]["micro_tokens"] < 10**6


def test_drift_and_the_stages_own_loss_are_what_they_were(write_recipe: Write, tmp_path: Path) -> None:
    """The logged loss is the stage's own: at the first step that of the plain stage. Drift is measured as ever."""
    general(tmp_path)
    drift = {"drift": {"max": 100.0, "every": 2}}
    plain = run(write_recipe([stage("one", train={"steps": 2}, **drift)]), tmp_path / "w")["one"]
    held = run(write_recipe([stage("one", train={"steps": 2}, **drift, **BOTH)]), tmp_path / "w")["one"]
    assert losses(held)[0] == losses(plain)[0]
    assert losses(held)[1] != losses(plain)[1]
    assert history(held)[1]["drift"] > 0


# ------------------------------------------------------------------ what is replayed


def test_a_base_stage_is_anchored_to_the_base(write_recipe: Write, tmp_path: Path) -> None:
    """Of which a fresh slice changes nothing, to the last bit."""
    general(tmp_path)
    path = write_recipe([stage("one", train={"steps": 2}, replay=GENERAL, anchor={"coefficient": 1.0})])
    found = history(run(path, tmp_path / "w")["one"])
    assert found[0]["anchor_kl"] == 0.0 and found[1]["anchor_kl"] > 0


def test_what_stages_below_trained_on_is_replayed(write_recipe: Write, tmp_path: Path) -> None:
    """Documents, conversations, chosen and good answers; in the key by what they are made from."""
    unequal("cpt", tmp_path)
    steps = {"train": {"steps": 1}}
    below = [stage("a", "cpt", **steps), stage("b", **steps), stage("c", "dpo", **steps), stage("d", "kto", **steps)]
    last = stage("e", **steps, replay={"stages": ["a", "b", "c", "d"], "share": 2.0})
    results = run(write_recipe([*below, last]), tmp_path / "w")
    told = manifest(results["e"])["data"]["replayed"]
    assert [part["stage"] for part in told["parts"]] == ["a", "b", "c", "d"]
    assert told["rows"] == sum(part["rows"] for part in told["parts"]) - 10, "of 30 judged answers the 20 good ones"
    assert "replay_loss" in history(results["e"])[0]
    write_jsonl(tmp_path / "cpt.jsonl", [{"text": f"another document {i} of the mean"} for i in range(9)])
    lone = [{**stage("e", **steps, parents=["b"]), "replay": {"stages": ["b"]}}]
    path = write_recipe([*below, *lone])
    first, again = run(path, tmp_path / "w"), run(path, tmp_path / "w", "stages.a.train.learning_rate=0.5")
    assert first["e"].name != results["e"].name
    assert again["e"].name != first["e"].name, "a stage below changed"


def test_replayed_rows_are_held_to_the_benchmarks(write_recipe: Write, tmp_path: Path) -> None:
    from tests.data.test_contamination import BAKER, benchmark

    general(tmp_path)
    benchmark(tmp_path / "eval")
    rows = [json.loads(line) for line in (tmp_path / "general.jsonl").read_text().splitlines()]
    asked = {"messages": [{"role": "user", "content": BAKER}, {"role": "assistant", "content": "1"}]}
    write_jsonl(tmp_path / "general.jsonl", [*rows, asked])
    path = write_recipe([stage("one", train={"steps": 1}, replay=GENERAL)], evaluate={"tasks": ["exam"], "limit": 1})
    with pytest.raises(DataError, match=r"general.jsonl, row 14.*exam|exam.*general.jsonl, row 14"):
        run(path, tmp_path / "w")
    recipe = recipe_of(path, "stages.one.decontaminate=drop")
    prepared = Session(recipe, Store(tmp_path / "w"), Recorder(), StopSignal()).prepare(recipe.trained[0])
    assert prepared.replay is not None and len(prepared.replay) == 13


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"anchor": {"on": "own"}}, "give `coefficient` (a fixed weight) or `target`"),
        ({"anchor": {"on": "own", "coefficient": 1.0, "target": 0.1}}, "and only one"),
        ({"anchor": {"coefficient": 1.0}}, "`anchor.on` is replay, and the stage has no `replay`"),
        ({"anchor": {"coefficient": 1.0}, "replay": GENERAL | {"share": 0.0}}, "replays no row"),
        ({"replay": GENERAL | {"share": 0.0, "weight": 1.0}}, "`weight` 1 of a `share` of 0"),
        ({"replay": GENERAL | {"weight": 0.0}}, "no anchor is taken on these rows"),
        ({"replay": {"share": 0.5}}, "give `data` (sources), `stages` (names of stages below) or `generations`"),
        ({"replay": {"stages": ["later"]}}, "'later' is not below this stage"),
        ({"replay": {"stages": ["frist"]}}, "unknown stage 'frist'"),
        ({"replay": {"stages": ["grpo"]}}, "'grpo' is a grpo stage, which has prompts without answers"),
        ({"replay": {"data": [{"path": "gone.jsonl"}]}}, "no such file"),
    ],
)
def test_what_cannot_be_meant(fields: dict[str, Any], says: str, write_recipe: Write, tmp_path: Path) -> None:
    from statllama.errors import RecipeError
    from statllama.recipe import load_recipe

    general(tmp_path)
    rewards = {"rewards": [{"name": "length", "target": 4}], "generations": 2}
    path = write_recipe(
        [
            stage("first"),
            stage("grpo", "grpo", **rewards, data=[{"problems": {"count": 4, "form": "grpo"}}]),
            stage("one", **fields),
            stage("later"),
        ]
    )
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert says in str(caught.value)
    assert len(caught.value.problems) == 1 and caught.value.problems[0].line


def test_grpo_has_a_pull_of_its_own(write_recipe: Write) -> None:
    from statllama.errors import RecipeError
    from statllama.recipe import load_recipe

    rewards = {"rewards": [{"name": "length", "target": 4}], "generations": 2}
    own = {"anchor": {"on": "own", "coefficient": 1.0}, "data": [{"problems": {"count": 4, "form": "grpo"}}]}
    with pytest.raises(RecipeError, match="has a KL term of its own, `beta`"):
        load_recipe(write_recipe([stage("one", "grpo", **rewards, **own)]))


def test_plan_and_check_say_what_is_replayed(write_recipe: Write, tmp_path: Path) -> None:
    from tests.running import statllama

    general(tmp_path)
    path = write_recipe([stage("first"), stage("one", **BOTH)])
    said = statllama("plan", path, "--workspace", tmp_path / "w", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    text = " ".join(said.stdout.split())
    assert "one replays 2 rows in each step (general.jsonl, weight 0.5); anchored on replayed rows" in text
    assert "to hold 0.02 nats a token" in text
    write_jsonl(tmp_path / "general.jsonl", [{"messages": "broken"}])
    said = statllama("data", "check", path, "--workspace", tmp_path / "w", cwd=tmp_path)
    assert said.returncode == 1 and "general.jsonl" in said.stdout


def test_a_parent_that_is_not_the_parent_is_found_out(
    write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reference without the adapters below is caught at the first step."""
    from contextlib import nullcontext

    from statllama.model import stack
    from statllama.train import sides

    general(tmp_path)
    path = write_recipe([stage("first"), stage("one", replay=GENERAL, anchor={"coefficient": 1.0})])
    run(path, tmp_path / "w", "stages.one.train.steps=1")

    def bare(model: Any, count: int | None = None) -> Any:
        return stack.up_to(model, 0)

    monkeypatch.setattr(sides, "stack", SimpleNamespace(up_to=bare, watched=stack.watched))
    with pytest.raises(TrainingError, match="the logits of the stack below are not the model's"):
        run(path, tmp_path / "w", "stages.one.train.steps=2")
    monkeypatch.setattr(sides.Sides, "_try", lambda *_: nullcontext())
    with pytest.raises(TrainingError, match="before the first step the anchor's divergence"):
        run(path, tmp_path / "w", "stages.one.train.steps=3")


def test_what_is_held_out_is_not_replayed(write_recipe: Write, tmp_path: Path) -> None:
    """Not of the stages below, whose own rows they are, nor from a source that has copies of them."""
    general(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "general.jsonl").read_text().splitlines()]
    held = {"held": {"path": "held.jsonl", "format": "messages"}}
    write_jsonl(tmp_path / "held.jsonl", [rows[3], rows[8]])
    first = stage("first", data=[{"path": "sft.jsonl", "format": "messages", "holdout": 0.25}])
    path = write_recipe([first, stage("one", replay={**GENERAL, "stages": ["first"]})], evaluate={"holdouts": held})
    recipe = recipe_of(path)
    session = Session(recipe, Store(tmp_path / "w"), Recorder(), StopSignal())
    prepared = session.prepare(recipe.trained[1])
    replay = prepared.replay
    assert replay is not None and len(replay) == 11 + 36
    below = session.prepare(recipe.trained[0]).dataset
    assert sorted(map(tuple, below["input_ids"])) == sorted(tuple(replay[i]["input_ids"]) for i in range(11, 47))
    with pytest.raises(Exception, match="a source that is replayed takes no `holdout`"):
        recipe_of(path, "stages.one.replay.data.0.holdout=0.5")


def test_recomputed_activations_change_nothing(write_recipe: Write, tmp_path: Path) -> None:
    general(tmp_path)
    path = write_recipe([stage("zero", train={"steps": 1}), stage("one", train={"steps": 2}, **BOTH)])
    plain = run(path, tmp_path / "w")["one"]
    again = run(path, tmp_path / "v", "stages.one.train.gradient_checkpointing=true")["one"]
    assert adapter_bytes(again) == adapter_bytes(plain)


def test_in_16_bits_both_reach_the_slice(write_recipe: Write, tmp_path: Path) -> None:
    """Under autocast, where casts that a pass without gradients made would be kept, and nothing trained by them."""
    general(tmp_path)
    sizes = {"train": {"steps": 2, "precision": "bfloat16"}}
    replay = {"replay": {**GENERAL, "share": 1.0, "weight": 1.0}}
    norms = []
    for how in ({}, replay, {**replay, "anchor": {"coefficient": 50.0}}):
        found = history(run(write_recipe([stage("one", **sizes, **how)]), tmp_path / "w")["one"])
        norms.append([entry["grad_norm"] for entry in found])
    plain, replayed, anchored = norms
    assert replayed[0] > 1.05 * plain[0], "cross-entropy of the replayed rows"
    assert anchored[0] == pytest.approx(replayed[0], rel=1e-3), "of a fresh slice the divergence has no gradient"
    assert anchored[1] > 1.2 * replayed[1]
