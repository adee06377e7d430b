"""Rows of tokens on the stack: against plain PEFT, and against gradients of the whole matrices."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor
from torch.nn import functional as F

from statllama.config.base_model import BaseModelSpec
from statllama.config.lora import LoraSpec
from statllama.data.prepare import prepare
from statllama.errors import Interrupted, ModelError, StoreError, TrainingError
from statllama.model import stack
from statllama.model.adapter import Adapter, Slice, load_adapter
from statllama.model.base_model import Base, load_base, scoring
from statllama.model.blending import blend
from statllama.model.token_rows import require_rows
from statllama.stages import cpt, dpo
from statllama.train import training
from statllama.train.job import Job, Outcome
from tests.conftest import make_llama, make_tokenizer, preferences, write_jsonl

torch.set_num_threads(1)
IDS = torch.randint(10, 300, (2, 12), generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Base:
    return make_base(tmp_path_factory.mktemp("base"), tie_word_embeddings=request.param)


def make_base(folder: Path, quantization: str = "none", **changes: Any) -> Base:
    tokenizer = make_tokenizer()
    make_llama(len(tokenizer), **changes).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    found = BaseModelSpec.model_validate({"model": str(folder), "quantization": quantization})
    return load_base(found, {"model": {}, "tokenizer": {}}, "float32", 256, "transformers")


def tokens_of(base: Base, count: int = 2, skip: int = 0) -> tuple[str, ...]:
    """Tokens that the documents below hold."""
    ids = base.tokenizer("the mean of the sample and its variance", add_special_tokens=False)["input_ids"]
    names = sorted({str(base.tokenizer.convert_ids_to_tokens(i)) for i in ids})
    return tuple(names[skip : skip + count])


def job_of(base: Base, folder: Path, tokens: Sequence[str], *, parents: Sequence[Adapter] = (), **more: Any) -> Job:
    texts = [f"the mean of the sample {i} and its variance is {i * i}" for i in range(8)]
    write_jsonl(folder / "d.jsonl", [{"text": text} for text in texts])
    lora = {"r": 4, "alpha": 8, "token_rows": list(tokens), **more.pop("lora", {})}
    train = {"steps": 3, "batch_size": 4, "max_length": 64, "learning_rate": 1e-2, "gradient_checkpointing": True}
    body = {"name": "a", "type": "cpt", "data": [{"path": "d.jsonl", "format": "text"}], "lora": lora}
    spec = cpt.Spec.model_validate({**body, "train": train | more.pop("train", {})})
    data = prepare("documents", spec.data, root=folder, tokenizer=base.tokenizer, cache=None, **spec.data_options)
    kind = cpt.DATA_KIND
    return Job(
        spec=spec, base=base, parents=tuple(parents), dataset=data.dataset, data_kind=kind, folder=folder, **more
    )


def train(job: Job) -> tuple[Outcome, Adapter]:
    outcome = training.run(job, cpt)
    job.base.check_unchanged()
    return outcome, load_adapter(job.folder / "out")


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(input_ids=IDS, use_cache=False).logits
    return found


def of_stack(base: Base, adapters: Sequence[Adapter]) -> Tensor:
    with scoring(base, adapters) as model:
        return logits(model)


def plain(base: Base, adapters: Sequence[Adapter]) -> Any:
    """A copy of the base with all updates added to its matrices."""
    model = copy.deepcopy(base.model)
    with torch.no_grad():
        for adapter in adapters:
            for name, part in adapter.slices.items():
                model.get_submodule(name).weight += part.scaling * part.B @ part.A
            for name, rows in adapter.rows.items():
                model.get_submodule(name).weight[list(rows.ids)] += rows.delta * rows.scaling
    return model


def test_rows_stack_as_they_are_added_to_the_matrices(base: Base, tmp_path: Path) -> None:
    """Two stages with rows, of one token both; then the first alone, the bare base, half of each, and a saved one in
    plain PEFT.
    """
    first, second = tokens_of(base, 2), tokens_of(base, 2, 1)
    assert len({*first, *second}) == 3
    _, one = train(job_of(base, tmp_path / "1", first))
    _, two = train(job_of(base, tmp_path / "2", second, parents=[one]))
    bare = logits(base.model)
    for adapters in ((one,), (one, two), (one.scaled(0.5), two.scaled(-2.0))):
        got = of_stack(base, adapters)
        assert torch.allclose(got, logits(plain(base, adapters)), atol=1e-5)
        without = [Adapter(adapter.slices) for adapter in adapters]
        assert not torch.allclose(got, of_stack(base, without), atol=1e-3)
    below = logits(plain(base, (one,)))
    with scoring(base, (one, two)) as model:
        for count, wanted in ((1, below), (0, bare)):
            with stack.up_to(model, count):
                assert torch.allclose(logits(model), wanted, atol=1e-5)
    assert torch.equal(logits(base.model), bare)
    for name, adapter in (("1", one), ("2", two)):
        peft = PeftModel.from_pretrained(copy.deepcopy(base.model), str(tmp_path / name / "out"))
        assert torch.allclose(logits(peft), of_stack(base, (adapter,)), atol=1e-5)


@pytest.mark.parametrize("budget", [8192, 30])
def test_the_first_step_is_that_of_the_whole_matrices(budget: int, base: Base, tmp_path: Path) -> None:
    """Loss and gradient norm of a step on a parent with rows: of the rows, those of the whole matrices' gradient."""
    tokens = tokens_of(base)
    _, parent = train(job_of(base, tmp_path / "parent", tokens_of(base, 2, 1)))
    job = job_of(
        base, tmp_path / "own", tokens, parents=[parent], train={"steps": 1, "batch_size": 8, "micro_tokens": budget}
    )
    before = logits(base.model)
    outcome, adapter = train(job)
    model = plain(base, [parent])
    ids = base.tokenizer.convert_tokens_to_ids(list(tokens))
    start = stack.attach(base.model, job.spec.lora, (), stack.slice_seed(42, 1))
    own = {name: p.detach().clone() for name, p in stack.trainable(start).items()}
    stack.detach(start)
    sides: list[Tensor] = []
    for name, module in model.named_modules():
        key = f"{stack.PREFIX}{name}.lora_A.default.weight"
        if key in own:
            side = torch.zeros(module.out_features, 4, requires_grad=True)
            sides.append(side)

            def add(_: Any, given: Any, out: Tensor, a: Tensor = own[key], b: Tensor = side) -> Tensor:
                return out + 2.0 * F.linear(F.linear(given[0], a), b)

            module.register_forward_hook(add)
    assert sides
    matrices = {id(m.weight): m.weight for m in (model.get_input_embeddings(), model.get_output_embeddings())}
    for matrix in matrices.values():
        matrix.requires_grad_(True)
    order = [list(row["input_ids"]) for row in job.dataset]
    total = sum(len(row) - 1 for row in order)
    loss = torch.zeros(())
    for row in order:
        ids_ = torch.tensor(row)[None]
        out = model(input_ids=ids_, use_cache=False).logits[0, :-1]
        loss = loss + F.cross_entropy(out, ids_[0, 1:], reduction="sum") / total
    loss.backward()
    squares = sum(float(side.grad.square().sum()) for side in sides if side.grad is not None)
    squares += sum(float(matrix.grad[ids].square().sum()) for matrix in matrices.values() if matrix.grad is not None)
    assert outcome.history[0]["loss"] == pytest.approx(float(loss), rel=1e-5)
    assert outcome.history[0]["grad_norm"] == pytest.approx(math.sqrt(squares), rel=1e-4)
    names = {"model.embed_tokens"} if base.model.config.tie_word_embeddings else {"model.embed_tokens", "lm_head"}
    assert set(adapter.rows) == names and all(rows.ids == tuple(sorted(ids)) for rows in adapter.rows.values())
    assert torch.equal(logits(base.model), before)


def test_a_resumed_stage_equals_an_unbroken_one(base: Base, tmp_path: Path) -> None:
    """Bit for bit, rows too."""
    fields: dict[str, Any] = {"train": {"steps": 4, "checkpoint_every": 1}}
    _, whole = train(job_of(base, tmp_path / "whole", tokens_of(base), **fields))
    steps: list[int] = []
    job = job_of(
        base, tmp_path / "broken", tokens_of(base), on_step=lambda e: steps.append(e.step),
        stop_requested=lambda: len(steps) == 1, **fields,
    )  # fmt: skip
    with pytest.raises(Interrupted):
        train(job)
    outcome, again = train(job)
    assert outcome.resumed_from and steps == [1, 2, 3, 4]
    for name, rows in whole.rows.items():
        assert rows.delta.any() and torch.equal(again.rows[name].delta, rows.delta)
    for name, part in whole.slices.items():
        assert torch.equal(again.slices[name].B, part.B)


def test_a_rate_of_zero_changes_nothing(base: Base, tmp_path: Path) -> None:
    bare = logits(base.model)
    _, adapter = train(job_of(base, tmp_path, tokens_of(base), train={"learning_rate": 0.0, "weight_decay": 0.1}))
    assert not adapter.has_effect
    assert torch.allclose(of_stack(base, (adapter,)), bare, atol=1e-6)


def test_dpo_above_has_the_rows_in_its_reference(base: Base, tmp_path: Path) -> None:
    """Its first loss is log 2: the reference, and the policy, are the parent with its rows."""
    _, parent = train(job_of(base, tmp_path / "parent", tokens_of(base), train={"learning_rate": 0.1}))
    folder = tmp_path / "dpo"
    write_jsonl(folder / "p.jsonl", preferences(8))
    train_ = {"steps": 2, "batch_size": 4, "max_length": 200, "learning_rate": 1e-2}
    body = {"name": "d", "type": "dpo", "data": [{"path": "p.jsonl"}], "train": train_, "lora": {"r": 4, "alpha": 8}}
    spec = dpo.Spec.model_validate(body)
    data = prepare("preferences", spec.data, root=folder, tokenizer=base.tokenizer, cache=None, **spec.data_options)
    job = Job(
        spec=spec, base=base, parents=(parent,), dataset=data.dataset, data_kind="preferences", folder=folder
    )  # fmt: skip
    outcome = training.run(job, dpo)
    base.check_unchanged()
    assert outcome.history[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert outcome.history[1]["loss"] < math.log(2) - 1e-3
    assert not load_adapter(folder / "out").rows


def test_on_a_4_bit_base(tmp_path: Path) -> None:
    """Embedding and head are not quantised, so their rows train; the base keeps its bits."""
    base = make_base(tmp_path / "base", "nf4", tie_word_embeddings=False)
    _, adapter = train(job_of(base, tmp_path / "own", tokens_of(base)))
    assert all(rows.delta.any() for rows in adapter.rows.values())


def test_what_cannot_be_is_refused(base: Base, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"the tokenizer has no token '<\|stat\|>'"):
        train(job_of(base, tmp_path / "unknown", ["<|stat|>"]))
    with pytest.raises(ValueError, match="take `lm_head` out of `target_modules`"):
        LoraSpec(token_rows=("a",), target_modules=("lm_head", "q_proj"))
    with pytest.raises(ValueError, match="a token is listed twice"):
        LoraSpec(token_rows=("a", "a"))
    _, adapter = train(job_of(base, tmp_path / "own", tokens_of(base)))
    head = Adapter({"lm_head": Slice(torch.randn(2, 64), torch.randn(len(base.tokenizer), 2), 1.0)})
    with pytest.raises(ModelError, match="take `lm_head` out of"):
        stack.attach_frozen(base.model, (adapter, head))
    stack.detach(stack.attach_frozen(base.model, (adapter,)))
    other = make_llama(len(base.tokenizer), hidden_size=32, intermediate_size=48)
    with pytest.raises(ModelError, match=r"another base|this base has"):
        stack.attach_frozen(other, (adapter,))
    fused = replace(base, backend="unsloth")
    require_rows(fused, LoraSpec())
    for lora, parents in ((LoraSpec(token_rows=tokens_of(base)), ()), (LoraSpec(), (adapter,))):
        with pytest.raises(ModelError, match=r"Unsloth's kernels .* rows of tokens") as caught:
            require_rows(fused, lora, parents)
        assert "STATLLAMA_BACKEND=transformers" in str(caught.value)
    with pytest.raises(TrainingError, match="which cannot be blended"):
        blend([adapter, adapter], [1.0, 1.0])
    (tmp_path / "own" / "out" / "token_rows.safetensors").unlink()
    with pytest.raises(StoreError, match="cannot be stacked"):
        load_adapter(tmp_path / "own" / "out")


def test_without_rows_the_files_are_what_they_were(base: Base, tmp_path: Path) -> None:
    train(job_of(base, tmp_path, ()))
    assert not (tmp_path / "out" / "token_rows.safetensors").exists()
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert config["trainable_token_indices"] is None
