"""The adapter stack against dense arithmetic and plain PEFT, in float32 and NF4, on the CPU."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from trl.trainer.utils import use_adapter

from statllama.config.base_model import BaseModelSpec
from statllama.config.lora import LoraSpec
from statllama.errors import ModelError, StoreError
from statllama.model import stack
from statllama.model.adapter import Adapter, Slice, load_adapter
from statllama.model.base_model import Base, load_base, start_backend
from statllama.model.factor import Factor
from tests.conftest import make_llama
from tests.reference import ALL, Lora, dequantised, logits, merged, peft_lora, randomise, relative, saved_lora
from tests.reference import some_ids as ids_of
from tests.reference import tensors as on_disk
from tests.small_models import ARCHITECTURES, make_model

torch.set_num_threads(1)
VOCABULARY = 96
SMALL = {"hidden_size": 32, "intermediate_size": 48}

# What may differ between the stages of a stack: rank, alpha, kind of scale, modules.
PLAIN = Lora(4, 8.0)
WIDE = Lora(9, 3.5, rslora=True)
FEW = Lora(2, 16.0, modules=("q_proj", "down_proj"))
ONE = Lora(1, 1.0, rslora=True, modules=("k_proj",))
STACKS = {
    "no parent": ([], PLAIN),
    "one parent": ([PLAIN], WIDE),
    "two parents, other ranks": ([PLAIN, WIDE], Lora(3, 5.0)),
    "parents on fewer modules": ([FEW, ONE], PLAIN),
    "new slice on fewer modules": ([PLAIN, FEW], ONE),
    "disjoint modules": ([ONE], FEW),
}


def spec(lora: Lora) -> LoraSpec:
    return LoraSpec(r=lora.r, alpha=lora.alpha, rslora=lora.rslora, dropout=lora.dropout, target_modules=lora.modules)


# Every stack on a Llama, and one on each other architecture: biases, norms of heads and heads of any width differ.
OTHERS = [kind for kind in ARCHITECTURES if kind != "llama"]
EACH = [*(("llama", name) for name in STACKS), *((kind, "two parents, other ranks") for kind in OTHERS)]
on_each = pytest.mark.parametrize(("base", "name"), EACH, indirect=["base"])


@pytest.fixture(scope="module")
def base(request: pytest.FixtureRequest) -> Any:
    """A base in float32, a Llama unless a test says otherwise; never changed."""
    kind = getattr(request, "param", "llama")
    return make_llama(VOCABULARY, **SMALL) if kind == "llama" else make_model(kind, VOCABULARY, **SMALL)


@pytest.fixture
def parents_on_disk(base: Any, tmp_path: Path) -> Callable[[Sequence[Lora]], list[tuple[Path, float]]]:
    """Random adapters saved by PEFT: (folder, scale) of each."""

    def make(loras: Sequence[Lora]) -> list[tuple[Path, float]]:
        return [(saved_lora(base, x, tmp_path / f"parent{i}", i + 1), x.scale) for i, x in enumerate(loras)]

    return make


def attach(base: Any, lora: Lora, parents: Sequence[tuple[Path, float]], seed: int = 7) -> Any:
    """The stack on a copy of the base."""
    return stack.attach(copy.deepcopy(base), spec(lora), [load_adapter(folder) for folder, _ in parents], seed)


def trained(base: Any, lora: Lora, parents: Sequence[tuple[Path, float]], out: Path) -> Any:
    """The stack with a random new slice, saved to `out` as well."""
    model = attach(base, lora, parents)
    randomise(model, 99)
    stack.save_adapter(model, spec(lora), "base", out)
    return model


@on_each
def test_logits_are_the_definition(name: str, base: Any, parents_on_disk: Any, tmp_path: Path) -> None:
    """W x + sum s_i B_i A_i x, with the sum added to W in float64."""
    loras, lora = STACKS[name]
    parents = parents_on_disk(loras)
    model = trained(base, lora, parents, tmp_path / "new")
    truth = merged(base, [*parents, (tmp_path / "new", lora.scale)])
    ids = ids_of(VOCABULARY)
    assert relative(logits(model, ids), logits(truth, ids)) < 5e-6
    without = logits(merged(base, parents), ids)
    assert relative(logits(model, ids), without) > 1e-2  # the new slice is really there
    if parents:
        assert relative(without, logits(base, ids)) > 1e-2


@on_each
def test_every_module_computes_the_definition(name: str, base: Any, parents_on_disk: Any, tmp_path: Path) -> None:
    loras, lora = STACKS[name]
    parents = parents_on_disk(loras)
    model = trained(base, lora, parents, tmp_path / "new").eval()
    slices = [(on_disk(folder), scale) for folder, scale in [*parents, (tmp_path / "new", lora.scale)]]
    for module in {m for adapter, _ in slices for m in adapter}:
        layer = model.get_submodule(f"base_model.model.{module}")
        x = torch.randn(5, layer.in_features, generator=torch.Generator().manual_seed(1))
        wanted = F.linear(x.double(), *(p.double() for p in base.get_submodule(module).parameters()))
        for adapter, scale in slices:
            if module in adapter:
                a, b = adapter[module]
                wanted = wanted + scale * (x.double() @ a.T) @ b.T
        assert relative(layer(x), wanted) < 2e-6, module


@on_each
def test_gradients_are_those_of_a_fresh_lora_on_a_merged_base(name: str, base: Any, parents_on_disk: Any) -> None:
    loras, lora = STACKS[name]
    parents = parents_on_disk(loras)
    ours = attach(base, lora, parents)
    plain = peft_lora(merged(base, parents), lora, seed=7)
    for model in (ours, plain):
        randomise(model, 3)
        model.train()
        ids = ids_of(VOCABULARY, rows=4)
        model(input_ids=ids, labels=ids).loss.backward()
    got, wanted = ({n: p.grad for n, p in model.named_parameters() if p.grad is not None} for model in (ours, plain))
    assert got.keys() == wanted.keys()
    assert all(float(wanted[n].norm()) > 0 for n in wanted)
    for n in wanted:
        assert relative(got[n], wanted[n]) < 1e-5, n


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradient_checkpointing_changes_no_bit(reentrant: bool, base: Any, parents_on_disk: Any) -> None:
    parents = parents_on_disk([PLAIN, WIDE])
    found = []
    for checkpointing in (False, True):
        model = attach(base, FEW, parents).train()
        randomise(model, 3)
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": reentrant})
            model.enable_input_require_grads()
        ids = ids_of(VOCABULARY)
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        found.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys() != set()
    assert all(torch.equal(found[0][n], found[1][n]) for n in found[0])


@pytest.mark.parametrize("lora", [PLAIN, WIDE, FEW])
@pytest.mark.parametrize("loras", [[], [PLAIN], [ONE]])
def test_the_new_slice_starts_as_pefts(lora: Lora, loras: list[Lora], base: Any, parents_on_disk: Any) -> None:
    """Bit for bit PEFT's own draws under the same seed, whatever the parents' modules; B is zero."""
    ours = dict(attach(base, lora, parents_on_disk(loras), seed=123).named_parameters())
    plain = dict(peft_lora(copy.deepcopy(base), lora, seed=123).named_parameters())
    names = [n for n in plain if "lora_" in n]
    assert len(names) == 2 * 2 * len(lora.modules)
    assert all(torch.equal(ours[n], plain[n]) for n in names)
    assert all(not ours[n].any() for n in names if "lora_B" in n)


def test_attaching_leaves_the_random_state_alone(base: Any) -> None:
    """What a caller draws next does not depend on the stack."""
    torch.manual_seed(5)
    peft_lora(copy.deepcopy(base), PLAIN, seed=5)  # for PEFT's own draws, which a caller may see
    attach(base, PLAIN, [], seed=1)
    one = torch.random.get_rng_state()
    torch.manual_seed(5)
    peft_lora(copy.deepcopy(base), PLAIN, seed=5)
    attach(base, PLAIN, [], seed=2)
    assert torch.equal(one, torch.random.get_rng_state())


def test_a_saved_slice_is_an_ordinary_peft_adapter(base: Any, parents_on_disk: Any, tmp_path: Path) -> None:
    parents = parents_on_disk([FEW, PLAIN])
    model = trained(base, WIDE, parents, tmp_path / "new")
    loaded = PeftModel.from_pretrained(merged(base, parents), tmp_path / "new")
    ids = ids_of(VOCABULARY)
    assert relative(logits(model, ids), logits(loaded, ids)) < 5e-6
    config = json.loads((tmp_path / "new" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["use_rslora"]) == (9, 3.5, True)
    assert sorted(config["target_modules"]) == sorted(ALL)
    saved = load_file(tmp_path / "new" / "adapter_model.safetensors")
    assert {t.shape[0] for n, t in saved.items() if "lora_A" in n} == {9}
    assert {t.dtype for t in saved.values()} == {torch.float32}


def test_saving_again_gives_the_same_bytes(base: Any, parents_on_disk: Any, tmp_path: Path) -> None:
    model = trained(base, FEW, parents_on_disk([PLAIN]), tmp_path / "one")
    stack.save_adapter(model, spec(FEW), "base", tmp_path / "two")
    for file in ("adapter_model.safetensors", "adapter_config.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize("name", ["two parents, other ranks", "new slice on fewer modules"])
def test_only_the_new_slice_trains_and_is_in_the_state(name: str, base: Any, parents_on_disk: Any) -> None:
    loras, lora = STACKS[name]
    model = attach(base, lora, parents_on_disk(loras))
    train = {n: p for n, p in model.named_parameters() if p.requires_grad}
    assert train.keys() == stack.trainable(model).keys()
    assert len(train) == 2 * 2 * len(lora.modules)  # A and B of each module of two layers
    assert all(lora.r in p.shape for p in train.values())
    whole = sum(p.numel() for p in base.state_dict().values())
    new = sum(p.numel() for p in train.values())
    assert sum(p.numel() for p in model.state_dict().values()) == whole + new
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in base.parameters()) + new


@pytest.mark.parametrize("loras", [[], [PLAIN, ONE]])
def test_dropout_acts_on_the_new_slice_alone(loras: list[Lora], base: Any, parents_on_disk: Any) -> None:
    """The same as PEFT's dropout on a merged base under the same seed: the parents see no dropout."""
    parents = parents_on_disk(loras)
    lora = Lora(3, 6.0, dropout=0.4)
    outputs, gradients = [], []
    for model in (attach(base, lora, parents), peft_lora(merged(base, parents), lora, seed=7)):
        randomise(model, 3, size=0.5)
        model.train()
        torch.manual_seed(11)
        ids = ids_of(VOCABULARY)
        result = model(input_ids=ids, labels=ids)
        result.loss.backward()
        outputs.append(result.logits.detach())
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
        assert relative(logits(model, ids), outputs[-1]) > 1e-2  # dropout does something, and not in eval
    assert relative(outputs[0], outputs[1]) < 5e-6
    for n, wanted in gradients[1].items():
        assert relative(gradients[0][n], wanted) < 1e-5, n


def test_evaluation_mode_has_no_dropout(base: Any, parents_on_disk: Any, tmp_path: Path) -> None:
    parents = parents_on_disk([PLAIN])
    lora = Lora(3, 6.0, dropout=0.4)
    model = trained(base, lora, parents, tmp_path / "new")
    truth = merged(base, [*parents, (tmp_path / "new", lora.scale)])
    ids = ids_of(VOCABULARY)
    assert relative(logits(model, ids), logits(truth, ids)) < 5e-6


def _hooks(model: Any) -> int:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(m, kind)) for m in model.modules() for kind in kinds)


def test_detach_gives_the_base_back(base: Any, parents_on_disk: Any) -> None:
    """The same object and bits, without what a trainer leaves: hooks, checkpointing, a patched forward."""
    base = copy.deepcopy(base)
    bits = {n: t.clone() for n, t in base.state_dict().items()}
    ids = ids_of(VOCABULARY)
    before, hooks, modules = logits(base, ids), _hooks(base), [type(m) for m in base.modules()]
    peft = stack.attach(base, spec(FEW), [load_adapter(p) for p, _ in parents_on_disk([PLAIN])], 0)
    randomise(peft, 1)
    peft.train()
    peft.gradient_checkpointing_enable({"use_reentrant": False})
    peft.enable_input_require_grads()
    base.config.use_cache = False
    base.forward = lambda *a, **k: None
    assert _hooks(base) > hooks
    back = stack.detach(peft)
    assert back is base
    assert torch.equal(logits(base, ids), before)
    assert all(torch.equal(bits[n], t) for n, t in base.state_dict().items())
    assert base.state_dict().keys() == bits.keys()
    assert [type(m) for m in base.modules()] == modules
    assert _hooks(base) == hooks
    assert base.config.use_cache is True
    assert base(input_ids=ids).past_key_values is not None
    assert not base.is_gradient_checkpointing
    assert not base.training
    assert not any(p.requires_grad for p in base.parameters())


def test_a_base_is_used_again_with_other_modules(base: Any, parents_on_disk: Any) -> None:
    """A stage on the base that an earlier stage used equals one on a fresh base, bit for bit."""
    parents = [load_adapter(p) for p, _ in parents_on_disk([PLAIN])]
    used = copy.deepcopy(base)
    stack.detach(stack.attach(used, spec(FEW), [], 0))
    ids = ids_of(VOCABULARY)
    fresh = copy.deepcopy(base)
    results = [logits(stack.attach(base, spec(ONE), parents, 3), ids) for base in (used, fresh)]
    assert torch.equal(*results)


@pytest.mark.parametrize("name", STACKS)
def test_the_reference_is_the_stack_without_the_new_slice(
    name: str, base: Any, parents_on_disk: Any, tmp_path: Path
) -> None:
    loras, lora = STACKS[name]
    parents = parents_on_disk(loras)
    model = trained(base, lora, parents, tmp_path / "new")
    ids = ids_of(VOCABULARY)
    policy = logits(model, ids)
    before = {n for n, _ in model.named_parameters()}, set(model.state_dict())
    weights = {n: (t, t.clone(), t._version) for n, t in (*model.named_parameters(), *model.named_buffers())}
    model.add_adapter("ref", model.peft_config["default"])  # as TRL's trainers do
    stack.refer_to_parents(model)
    assert ({n for n, _ in model.named_parameters()}, set(model.state_dict())) == before
    assert model.active_adapters == ["default"]
    assert torch.equal(logits(model, ids), policy)
    assert all(p.requires_grad for n, p in model.named_parameters() if "lora_" in n)
    with use_adapter(model, None):  # as they ask for the reference
        assert relative(logits(model, ids), logits(merged(base, parents), ids)) < 5e-6
        stack.require_parents(model, [load_adapter(folder) for folder, _ in parents])
    assert torch.equal(logits(model, ids), policy)
    with pytest.raises(ModelError, match="does not show"):
        stack.require_parents(model, [load_adapter(folder) for folder, _ in parents])
    after = dict((*model.named_parameters(), *model.named_buffers()))
    assert after.keys() == weights.keys()
    for n, (tensor, value, version) in weights.items():
        assert after[n] is tensor and torch.equal(tensor, value) and tensor._version == version, n


def test_one_flipped_bit_of_a_parent_is_found(base: Any, parents_on_disk: Any) -> None:
    parents = [load_adapter(folder) for folder, _ in parents_on_disk([PLAIN, WIDE])]
    model = stack.attach(copy.deepcopy(base), spec(FEW), parents, 0)
    with stack.up_to(model):
        stack.require_parents(model, parents)
    layer = model.get_submodule("base_model.model.model.layers.1.mlp.up_proj")
    with torch.no_grad():
        layer.lora_B["default"].frozen.view(torch.int32)[3, 2] ^= 1
    with stack.up_to(model), pytest.raises(ModelError, match=r"layers\.1\.mlp\.up_proj"):
        stack.require_parents(model, parents)


def test_each_first_part_of_a_stack_is_the_smaller_stack(base: Any, parents_on_disk: Any) -> None:
    """With and without a slice that trains; ranges nest, and a raise gives the whole stack back."""
    parents, ids = parents_on_disk([FEW, WIDE, ONE]), ids_of(VOCABULARY)
    frozen = stack.attach_frozen(copy.deepcopy(base), [load_adapter(folder) for folder, _ in parents])
    training = attach(base, PLAIN, parents)
    randomise(training, 5)
    for model in (frozen, training):
        whole = logits(model, ids)
        for count in (0, 1, 2, 3):
            with stack.up_to(model, count), stack.watched(model) as seen:
                assert relative(logits(model, ids), logits(merged(base, parents[:count]), ids)) < 5e-6
                with stack.up_to(model, 0):
                    assert torch.equal(logits(model, ids), logits(base, ids))
                with pytest.raises(KeyError), stack.up_to(model, 0):
                    raise KeyError
                assert stack.shown(model) == range(count)
            assert seen == {range(count), range(0)}
        assert torch.equal(logits(model, ids), whole)
        with pytest.raises(ValueError, match="no first 4"), stack.up_to(model, 4):
            pass


# ------------------------------------------------------------------ factors that are kept


def test_factors_are_put_together_once_while_gradients_are_off(base: Any, parents_on_disk: Any) -> None:
    """The same tensor, until the slice changes in whatever way: in place, behind autograd's back, by a new tensor."""
    model = attach(base, PLAIN, parents_on_disk([WIDE]))
    randomise(model, 5)
    factor = model.get_submodule("base_model.model.model.layers.0.mlp.up_proj").lora_B["default"]
    new = factor.new
    assert factor.weight is not factor.weight  # with gradients: of this pass
    with torch.no_grad():
        kept = factor.weight
        assert factor.weight is kept
        with torch.inference_mode():
            assert factor.weight is kept
        new.add_(1.0)
        assert torch.equal(factor.weight, torch.cat([factor.frozen, new], 1))
        new.data = new.detach() + 1.0
        assert torch.equal(factor.weight, torch.cat([factor.frozen, new], 1))
        kept = factor.weight
    model(input_ids=ids_of(VOCABULARY), labels=ids_of(VOCABULARY)).loss.backward()
    new.detach().numpy()[:] += 1.0  # as an optimizer in CUDA writes, which no version counts
    with torch.no_grad():
        assert factor.weight is not kept
        assert torch.equal(factor.weight, torch.cat([factor.frozen, new], 1))


def test_frozen_slices_are_of_the_type_that_the_base_computes_in(base: Any, parents_on_disk: Any) -> None:
    """Half the memory in bfloat16; in float16 the update of a gentle stage would lose its digits."""
    adapters = [load_adapter(folder) for folder, _ in parents_on_disk([PLAIN])]
    for dtype, wanted in (("bfloat16", "bfloat16"), ("float16", "float32"), ("float32", "float32")):
        half = copy.deepcopy(base).to(getattr(torch, dtype))
        model = stack.attach(half, spec(WIDE), adapters, 0)
        factors = [m for m in model.modules() if isinstance(m, Factor)]
        assert factors and {str(f.frozen.dtype) for f in factors} == {f"torch.{wanted}"}
        assert {p.dtype for p in stack.trainable(model).values()} == {torch.float32}
        with stack.up_to(model):
            stack.require_parents(model, adapters)


def test_parents_that_a_path_leaves_out_are_found(
    base: Any, parents_on_disk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that reads the Parameter instead of `.weight`, as a kernel might, sees the new slice alone."""
    ids = ids_of(VOCABULARY)[:1]
    model = attach(base, Lora(3, 6.0, dropout=0.5), parents_on_disk([PLAIN])).train()
    assert stack.parents_act(model, ids)
    assert stack.parents_act(attach(base, PLAIN, []), ids)
    monkeypatch.setattr(Factor, "forward", lambda self, x: F.linear(x, self._parameters["weight"]))
    assert not stack.parents_act(model, ids)
    monkeypatch.setattr(Factor, "forward", lambda self, x: F.linear(x, [self.weight, self._parameters["weight"]][1]))
    assert not stack.parents_act(model, ids)


def test_the_reference_has_no_dropout(base: Any, parents_on_disk: Any) -> None:
    parents = parents_on_disk([PLAIN])
    model = attach(base, Lora(3, 6.0, dropout=0.5), parents).train()
    ids = ids_of(VOCABULARY)
    with torch.no_grad(), stack.up_to(model):
        got = model(input_ids=ids).logits
    assert relative(got, logits(merged(base, parents), ids)) < 5e-6


def test_attach_frozen_is_the_whole_stack_without_parameters(base: Any, parents_on_disk: Any) -> None:
    parents = parents_on_disk([FEW, WIDE, ONE])
    model = stack.attach_frozen(copy.deepcopy(base), [load_adapter(p) for p, _ in parents])
    ids = ids_of(VOCABULARY)
    assert relative(logits(model, ids), logits(merged(base, parents), ids)) < 5e-6
    assert not any(p.requires_grad for p in model.parameters())


def test_restore_slice_brings_the_saved_numbers_back(base: Any, parents_on_disk: Any, tmp_path: Path) -> None:
    parents = parents_on_disk([PLAIN])
    model = trained(base, FEW, parents, tmp_path / "new")
    ids = ids_of(VOCABULARY)
    wanted = logits(model, ids)
    randomise(model, 1234)
    assert not torch.equal(logits(model, ids), wanted)
    places = {n: p.data_ptr() for n, p in stack.trainable(model).items()}
    stack.restore_slice(model, tmp_path / "new")
    assert torch.equal(logits(model, ids), wanted)
    assert {n: p.data_ptr() for n, p in stack.trainable(model).items()} == places  # what an optimizer holds


# ------------------------------------------------------------------ NF4


@pytest.fixture(scope="module")
def nf4(base_folder: Path) -> tuple[Base, Any]:
    """The saved small base in NF4 with double quantisation, and its dequantised weights in float32."""
    start_backend("transformers")
    identity = {"model": {}, "tokenizer": {}}
    spec_ = BaseModelSpec(model=str(base_folder), quantization="nf4")
    base = load_base(spec_, identity, "float32", 64, "transformers")
    return base, dequantised(base.model, make_llama(base.model.config.vocab_size, seed=9))


def test_nf4_base_is_quantised(nf4: tuple[Base, Any], base_folder: Path) -> None:
    import bitsandbytes as bnb
    from transformers import AutoModelForCausalLM

    weight = nf4[0].model.get_submodule("model.layers.0.mlp.up_proj").weight
    assert isinstance(weight, bnb.nn.Params4bit)
    assert (weight.quant_state.quant_type, weight.quant_state.nested) == ("nf4", True)
    original = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32)
    error = relative(nf4[1].get_submodule("model.layers.0.mlp.up_proj").weight,
                     original.get_submodule("model.layers.0.mlp.up_proj").weight)  # fmt: skip
    assert 0.02 < error < 0.2


def test_nf4_logits_gradients_and_reference(nf4: tuple[Base, Any], tmp_path: Path) -> None:
    """Against a float32 base of the dequantised weights with the parents added."""
    base, dense = nf4
    loras = [PLAIN, FEW]
    parents = [(saved_lora(dense, x, tmp_path / f"p{i}", i + 1), x.scale) for i, x in enumerate(loras)]
    model = stack.attach(base.model, spec(WIDE), [load_adapter(p) for p, _ in parents], 7)
    plain = peft_lora(merged(dense, parents), WIDE, seed=7)
    ids = ids_of(base.model.config.vocab_size)
    try:
        gradients = []
        for one in (model, plain):
            randomise(one, 3)
            one.train()
            one(input_ids=ids, labels=ids).loss.backward()
            gradients.append({n: p.grad for n, p in one.named_parameters() if p.grad is not None})
        assert gradients[0].keys() == gradients[1].keys()
        for n, wanted in gradients[1].items():
            assert relative(gradients[0][n], wanted) < 2e-5, n
        assert relative(logits(model, ids), logits(plain, ids)) < 1e-5
        with stack.up_to(model):
            assert relative(logits(model, ids), logits(merged(dense, parents), ids)) < 1e-5
    finally:
        stack.detach(model)
    assert relative(logits(base.model, ids), logits(dense, ids)) < 1e-5
    base.check_unchanged()


def test_the_checksum_sees_one_flipped_bit(nf4: tuple[Base, Any]) -> None:
    base, _ = nf4
    base.check_unchanged()
    packed = base.model.get_submodule("model.layers.1.self_attn.o_proj").weight.data.view(-1)
    packed[7] ^= 1
    try:
        with pytest.raises(ModelError, match="the frozen base changed"):
            base.check_unchanged()
    finally:
        packed[7] ^= 1
    base.check_unchanged()


# ------------------------------------------------------------------ refusals


def _edit(folder: Path, **fields: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"rank_pattern": {"q_proj": 2}}, "rank_pattern"),
        ({"alpha_pattern": {"q_proj": 2}}, "alpha_pattern"),
        ({"bias": "lora_only"}, "bias"),
        ({"peft_type": "IA3"}, "IA3"),
    ],
)
def test_unusual_adapters_are_refused(fields: dict[str, Any], word: str, base: Any, tmp_path: Path) -> None:
    folder = saved_lora(base, PLAIN, tmp_path / "a", 1)
    load_adapter(folder)
    _edit(folder, **fields)
    with pytest.raises(StoreError, match="only plain LoRA adapters") as caught:
        load_adapter(folder)
    assert word in str(caught.value)
    assert str(folder) in str(caught.value)


def test_broken_adapters_are_refused(base: Any, tmp_path: Path) -> None:
    def fresh(name: str) -> Path:
        return saved_lora(base, PLAIN, tmp_path / name, 1)

    with pytest.raises(StoreError, match="not a readable adapter"):
        load_adapter(tmp_path / "nowhere")
    cut = fresh("cut") / "adapter_model.safetensors"
    cut.write_bytes(cut.read_bytes()[:-10])
    with pytest.raises(StoreError, match="not a readable adapter"):
        load_adapter(cut.parent)
    odd = fresh("odd")
    (odd / "adapter_config.json").write_text("{")
    with pytest.raises(StoreError, match="not a readable adapter"):
        load_adapter(odd)
    empty = fresh("empty")
    save_file({"something": torch.zeros(1)}, empty / "adapter_model.safetensors")
    with pytest.raises(StoreError, match="no LoRA weights"):
        load_adapter(empty)
    half = fresh("half")
    kept = load_file(half / "adapter_model.safetensors")
    kept.pop(next(n for n in kept if "lora_B" in n))
    save_file(kept, half / "adapter_model.safetensors")
    with pytest.raises(StoreError, match="lora_B"):
        load_adapter(half)
    bare = fresh("bare")
    _edit(bare, r=None)
    with pytest.raises(StoreError, match="not a readable adapter"):
        load_adapter(bare)


def test_weights_besides_a_and_b_are_refused(base: Any, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = saved_lora(base, PLAIN, tmp_path / "a", 1)
    weights = load_file(folder / "adapter_model.safetensors")
    weights["base_model.model.model.layers.0.mlp.up_proj.lora_B.bias"] = torch.ones(128)
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(StoreError, match="besides A and B"):
        load_adapter(folder)


def test_a_slice_that_finds_no_module_is_refused(base: Any) -> None:
    """It would be left out of the stack without a word."""
    one = Slice(torch.ones(2, 64), torch.ones(64, 2), 1.0)
    name = "model.layers.{}.self_attn.q_proj"
    parent = Adapter({name.format(0): one, name.format(7): one})
    with pytest.raises(ModelError, match=r"no adapter can be put on model\.layers\.7"):
        stack.attach(copy.deepcopy(base), spec(PLAIN), [parent], 0)


def test_missing_target_modules_list_what_there_is(base: Any) -> None:
    lora = LoraSpec(target_modules=("q_proj", "c_attn", "wi_0"))
    with pytest.raises(ModelError) as caught:
        stack.attach(copy.deepcopy(base), lora, [], 0)
    text = str(caught.value)
    assert "'c_attn', 'wi_0'" in text
    assert "'q_proj'" not in text
    assert "down_proj, gate_proj" in text
    assert "lora.target_modules" in text


def test_an_adapter_of_another_base_is_refused(base: Any, tmp_path: Path) -> None:
    other = make_llama(VOCABULARY, hidden_size=64, intermediate_size=48)
    adapter = load_adapter(saved_lora(other, PLAIN, tmp_path / "a", 1))
    with pytest.raises(ModelError, match="64 -> "):
        stack.attach(copy.deepcopy(base), spec(PLAIN), [adapter], 0)


# ------------------------------------------------------------------ any ranks, any scales


@st.composite
def loras(draw: st.DrawFn) -> Lora:
    modules = draw(st.lists(st.sampled_from(ALL), min_size=1, max_size=7, unique=True))
    alpha = draw(st.floats(0.05, 300.0))
    return Lora(draw(st.integers(1, 20)), alpha, draw(st.booleans()), tuple(modules))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(below=st.lists(loras(), max_size=3), lora=loras())
def test_any_ranks_scales_and_modules(below: list[Lora], lora: Lora) -> None:
    """One layer of width 16: its seven linear maps against float64, for any stack."""
    base = make_llama(16, hidden_size=16, intermediate_size=24, num_hidden_layers=1)
    adapters, truth = [], []
    for i, x in enumerate(below):
        plain = peft_lora(copy.deepcopy(base), x, i)
        randomise(plain, i)
        slices = {
            n.removeprefix("base_model.model."): (m.lora_A["default"].weight, m.lora_B["default"].weight)
            for n, m in plain.named_modules()
            if hasattr(m, "lora_A")
        }
        own = {n: Slice(a.detach(), b.detach(), x.scale) for n, (a, b) in slices.items()}
        adapters.append(Adapter(own))
        truth.append({n: x.scale * b.double() @ a.double() for n, (a, b) in slices.items()})
    linear = {n: m for n, m in base.named_modules() if isinstance(m, torch.nn.Linear)}
    weights = {n: m.weight.detach().clone() for n, m in linear.items()}
    model = stack.attach(base, spec(lora), adapters, 0).eval()
    randomise(model, 77)
    new = dict(stack.trainable(model))
    for name, weight in weights.items():
        if name == "lm_head":
            continue
        wanted = weight.double()
        for updates in truth:
            wanted = wanted + updates.get(name, 0.0)
        prefix = f"base_model.model.{name}.lora_"
        if f"{prefix}A.default.weight" in new:
            b, a = new[f"{prefix}B.default.weight"], new[f"{prefix}A.default.weight"]
            assert a.shape[0] == lora.r
            wanted = wanted + lora.scale * (b.double() @ a.double())
        x = torch.eye(weight.shape[1])
        got = model.get_submodule(f"base_model.model.{name}")(x)
        assert relative(got, F.linear(x.double(), wanted)) < 1e-5
    assert all(math.isfinite(float(p.sum())) for p in new.values())


def test_stages_start_from_different_directions(base: Any) -> None:
    """The row spaces of A of two stages under one seed overlap no more than those of two seeds do."""
    starts = []
    for depth in range(3):
        peft = stack.attach(copy.deepcopy(base), spec(PLAIN), [], stack.slice_seed(42, depth))
        starts.append({name: p.detach() for name, p in stack.trainable(peft).items() if "lora_A" in name})
    for name in starts[0]:
        spaces = [torch.linalg.qr(start[name].T).Q for start in starts]
        for one, other in ((0, 1), (1, 2), (0, 2)):
            overlap = float((spaces[one].T @ spaces[other]).square().sum()) / spaces[one].shape[1]
            expected = spaces[one].shape[1] / spaces[one].shape[0]  # of two random spaces: rank over width
            assert overlap < 3 * expected + 0.05, name
    assert stack.slice_seed(42, 0) == 42
    assert len({stack.slice_seed(seed, depth) for seed in range(50) for depth in range(50)}) == 2500
