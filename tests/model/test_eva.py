"""`lora.init: eva`: A against numpy's SVD of what plain modules see, and against PEFT's own routine."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from statllama.config.lora import LoraSpec
from statllama.errors import ModelError, TrainingError
from statllama.model import eva, stack
from statllama.model.adapter import load_adapter
from statllama.stages import stage_module
from statllama.train.initial import learned
from statllama.train.preflight import require_init
from tests.conftest import make_llama, stage
from tests.reference import Lora, logits, merged, saved_lora, some_ids
from tests.running import Recorder, adapter_bytes, losses, run
from tests.train.test_optimizers import Cut

torch.set_num_threads(1)
Write = Callable[..., Path]
RANK = 4


@pytest.fixture(scope="module")
def base() -> Any:
    """A base whose embeddings differ in size by direction, so that its modules' inputs have directions."""
    model = make_llama(96, tie_word_embeddings=False)
    with torch.no_grad():
        model.get_input_embeddings().weight *= torch.logspace(1, -1, 64)
    return model


@pytest.fixture
def parent(base: Any, tmp_path: Path) -> Path:
    return saved_lora(base, Lora(), tmp_path / "parent", 1, size=0.3)


def rows(count: int = 40) -> list[tuple[Tensor, Tensor]]:
    """Random rows; of each the later two thirds count."""
    ids = some_ids(96, rows=count, width=24)
    return [(ids[i : i + 1], torch.arange(24) >= 8) for i in range(count)]


def seen_by(model: Any, name: str) -> np.ndarray:
    """What a module of a plain model sees at the tokens that count, (tokens, width), centred."""
    found: list[Tensor] = []
    handle = model.get_submodule(name).register_forward_pre_hook(lambda _, args: found.append(args[0].detach()))
    for ids, _ in rows():
        logits(model, ids)
    handle.remove()
    inputs = torch.cat([x[0, keep] for x, (_, keep) in zip(found, rows(), strict=True)]).double().numpy()
    return np.asarray(inputs - inputs.mean(0))


def made(base: Any, parent: Path, **fields: Any) -> dict[str, Tensor]:
    """{module: A} of a slice that starts so on a parent."""
    model = stack.attach(copy.deepcopy(base), LoraSpec(r=RANK, **fields), [load_adapter(parent)], 0).train()
    state, before = torch.random.get_rng_state(), logits(model, rows()[0][0])
    eva.initialise(model, RANK, rows())
    assert torch.equal(torch.random.get_rng_state(), state) and model.training
    assert torch.equal(logits(model, rows()[0][0]), before)  # B is zero
    return {
        name.removeprefix("base_model.model.").removesuffix(".lora_A.default.weight"): parameter.detach()
        for name, parameter in stack.trainable(model).items()
        if ".lora_A." in name
    }


def test_a_is_the_principal_components(base: Any, parent: Path) -> None:
    """Orthonormal, and of all subspaces of its size the one that holds most of the inputs' variance; by numpy."""
    found, plain = made(base, parent), merged(base, [(parent, 2.0)])
    assert len(found) == 14
    for name, a in found.items():
        inputs, ours = seen_by(plain, name), a.double().numpy()
        assert np.allclose(ours @ ours.T, np.eye(RANK), atol=1e-5), name
        sizes = np.linalg.svd(inputs, compute_uv=False)
        assert (np.linalg.norm(inputs @ ours.T) ** 2) / (sizes[:RANK] ** 2).sum() > 0.995, name
        assert (sizes[:RANK] ** 2).sum() / (sizes**2).sum() > 1.5 * RANK / inputs.shape[1], name  # there is something


def test_it_is_what_peft_finds(base: Any, parent: Path) -> None:
    """Its routine on the merged base, without moving ranks: the same directions but for the last, about which it cannot
    know, because it keeps no more on the way; ours hold as much of the variance.
    """
    from peft import EvaConfig, LoraConfig, get_peft_model, initialize_lora_eva_weights

    config = LoraConfig(
        r=RANK, target_modules=["q_proj", "down_proj"], init_lora_weights="eva", task_type="CAUSAL_LM",
        eva_config=EvaConfig(rho=1.0, tau=0.999),
    )  # fmt: skip
    theirs = get_peft_model(merged(base, [(parent, 2.0)]), config)
    ids = torch.cat([one for one, _ in rows()])
    labels = torch.where(torch.arange(24) >= 8, ids, -100)
    batches = [{"input_ids": ids[i : i + 10], "labels": labels[i : i + 10]} for i in range(0, 40, 10)]
    initialize_lora_eva_weights(theirs, batches, show_progress_bar=False)
    found, plain = made(base, parent, target_modules=("q_proj", "down_proj")), merged(base, [(parent, 2.0)])
    for name, a in found.items():
        other = theirs.get_submodule(f"base_model.model.{name}").lora_A["default"].weight.detach()
        assert abs(float(a[0] @ other[0])) > 0.99, name
        assert torch.linalg.svdvals(a @ other.T)[: RANK - 1].min() > 0.99, name
        ours, theirs_ = (np.linalg.norm(seen_by(plain, name) @ part.double().numpy().T) for part in (a, other))
        assert ours > 0.999 * theirs_, name


def test_too_few_tokens(base: Any, parent: Path) -> None:
    model = stack.attach(copy.deepcopy(base), LoraSpec(r=RANK), [load_adapter(parent)], 0)
    ids = some_ids(96, rows=1, width=3)
    with pytest.raises(ModelError, match=r"no 4 directions in 3 inputs of model\.layers\.0") as caught:
        eva.initialise(model, RANK, [(ids, torch.ones(3, dtype=torch.bool))])
    assert "lora.r" in str(caught.value.remedy)


@pytest.mark.parametrize("kind", ["sft", "dpo", *(pytest.param(k, marks=pytest.mark.slow) for k in ("cpt", "kto"))])
def test_stages_start_so(kind: str, write_recipe: Write, tmp_path: Path) -> None:
    """On a stage below: the first loss is that of a usual start, A is orthonormal, B zero."""
    data = {"train": {"steps": 2, "seed": 5, "learning_rate": 0.0, "packing": kind == "cpt"}}
    found = []
    for init in ("kaiming", "eva"):
        path = write_recipe([stage("below", train={"steps": 2}), stage("one", kind, lora={"init": init}, **data)])
        found.append(run(path, tmp_path / "w")["one"])
    assert losses(found[0]) == losses(found[1])
    tensors = load_file(found[1] / "adapter_model.safetensors")
    for name, tensor in tensors.items():
        if "lora_A" in name:
            assert torch.allclose(tensor @ tensor.T, torch.eye(4), atol=1e-5), name
        else:
            assert not tensor.any(), name


def test_a_run_that_was_cut_ends_with_the_same_bits(write_recipe: Write, tmp_path: Path) -> None:
    path = write_recipe([stage("one", lora={"init": "eva", "layers": [1]})])
    whole = run(path, tmp_path / "whole")["one"]
    with pytest.raises(RuntimeError, match="cut"):
        run(path, tmp_path / "w", reporter=Cut(5))
    reporter = Recorder()
    assert adapter_bytes(run(path, tmp_path / "w", reporter=reporter)["one"]) == adapter_bytes(whole)
    assert "resuming from the checkpoint of step 4" in reporter.notes


def test_which_tokens_count() -> None:
    packed = {"input_ids": [1, 2, 3, 4, 5], "labels": [-100, 2, -100, -100, 5], "seq_lengths": [2, 3]}
    assert list(learned(packed)) == [([1, 2], [False, True]), ([3, 4, 5], [False, False, True])]
    pair = {"prompt_ids": [1, 2], "chosen_ids": [3], "rejected_ids": [4, 5]}
    assert list(learned(pair)) == [([1, 2, 3], [False, False, True])]
    assert list(learned({"prompt_ids": [1, 2], "question": [9]})) == [([1, 2], [True, True])]


def test_it_is_refused_where_modules_are_not_seen() -> None:
    spec = stage_module("sft").Spec.model_validate(stage("one", lora={"init": "eva"}))
    require_init(spec, "transformers")
    with pytest.raises(TrainingError, match=r"lora\.init eva looks at what modules see"):
        require_init(spec, "unsloth")
