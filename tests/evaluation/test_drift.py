"""Drift against dense float64 arithmetic on merged models, its probe texts, and the cap that ends a stage early."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.special import log_softmax, rel_entr, softmax

from statllama.config.base_model import BaseModelSpec
from statllama.errors import TrainingError, UsageError
from statllama.evaluation import drift, probe
from statllama.evaluation.drift import kl, measure, rows_for
from statllama.evaluation.probe import LONGEST, probe_rows, probe_texts, probe_version
from statllama.model import stack
from statllama.model.adapter import Adapter, load_adapter
from statllama.model.base_model import Base, load_base, scoring, start_backend
from statllama.runs.keys import difference, key_material, stage_key
from statllama.stages import stage_module
from statllama.train import training
from statllama.train.job import Job, Outcome
from statllama.train.trainer import _save_slice
from tests.conftest import REPO, SHARED, make_llama, make_tokenizer, stage
from tests.reference import Lora, dequantised, merged, saved_lora
from tests.running import run, statllama

torch.set_num_threads(1)
PARENTS = (Lora(4, 8.0), Lora(3, 2.0, rslora=True, modules=("q_proj", "down_proj")))
TOP = Lora(2, 4.0, modules=("v_proj", "down_proj", "up_proj"))


def load(folder: Path, quantization: Any = "none") -> Base:
    start_backend("transformers")
    spec = BaseModelSpec(model=str(folder), quantization=quantization)
    return load_base(spec, {"model": {}, "tokenizer": {}}, "float32", LONGEST, "transformers")


@pytest.fixture(scope="module")
def base(base_folder: Path) -> Base:
    return load(base_folder)


@pytest.fixture(scope="module")
def plain(base_folder: Path) -> Any:
    """The small base in float64, loaded by Transformers alone."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float64)


@pytest.fixture(scope="module")
def saved(plain: Any, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, float]]:
    """Three random adapters of different rank, scale and modules, written by PEFT: (folder, scale)."""
    folder = tmp_path_factory.mktemp("adapters")
    loras = (*PARENTS, TOP)
    return [(saved_lora(plain, lora, folder / str(i), i + 1, 0.02), lora.scale) for i, lora in enumerate(loras)]


@pytest.fixture(scope="module")
def adapters(saved: list[tuple[Path, float]]) -> list[Adapter]:
    return [load_adapter(folder) for folder, _ in saved]


def scaled(adapter: Adapter, factor: float) -> Adapter:
    """The adapter with its update times `factor`."""
    return Adapter({name: replace(part, scaling=part.scaling * factor) for name, part in adapter.slices.items()})


@torch.no_grad()
def dense(model: Any, other: Any, rows: Sequence[probe.Row]) -> float:
    """Mean KL(model || other) over the rows' positions: one row at a time, float64, scipy."""
    values = []
    for row in rows:
        ours, theirs = (softmax(m(input_ids=torch.tensor([row.ids])).logits[0].numpy(), -1) for m in (model, other))
        assert ours.dtype == np.float64
        values.append(rel_entr(ours, theirs).sum(-1)[row.positions])
    return float(np.concatenate(values).mean())


# ------------------------------------------------------------------ the number


@pytest.mark.parametrize("count", [1, 2, 3])
def test_drift_is_the_divergence_of_merged_models(
    count: int, base: Base, plain: Any, saved: list[tuple[Path, float]], adapters: list[Adapter]
) -> None:
    rows = rows_for(base)[::6]
    with scoring(base, adapters[:count]) as model:
        got = measure(model, adapters[:count], rows)
    ours, parent = merged(plain, saved[:count]), merged(plain, saved[: count - 1])
    assert got.to_parent == pytest.approx(dense(ours, parent, rows), rel=1e-4)
    assert got.to_base == pytest.approx(dense(ours, plain, rows), rel=1e-4)
    assert got.tokens == sum(len(row.positions) for row in rows)
    if count == 3:
        assert 1e-4 < got.to_parent < 0.5 * got.to_base  # the numbers are of different stacks
    base.check_unchanged()


def test_drift_on_a_4_bit_base(base_folder: Path, saved: list[tuple[Path, float]], adapters: list[Adapter]) -> None:
    base = load(base_folder, "nf4")
    empty = make_llama(base.model.config.vocab_size).eval()
    plain = dequantised(base.model, empty).double()
    rows, ours = rows_for(base)[::6], merged(plain, saved)
    with scoring(base, adapters) as model:
        got = measure(model, adapters, rows)
    assert got.to_parent == pytest.approx(dense(ours, merged(plain, saved[:2]), rows), rel=1e-4)
    assert got.to_base == pytest.approx(dense(ours, plain, rows), rel=1e-4)
    base.check_unchanged()


@pytest.mark.parametrize("factor", [1e-2, 1e-3])
def test_tiny_drifts(
    factor: float, base: Base, plain: Any, saved: list[tuple[Path, float]], adapters: list[Adapter]
) -> None:
    """Down to 1e-10 nats: the logits' own rounding is of the order of 1e-12. Scaled as dials scale an adapter."""
    rows, small = rows_for(base)[::6], [adapters[0], scaled(adapters[1], factor)]
    with scoring(base, small) as model:
        got = measure(model, small, rows)
    folder, scale = saved[1]
    truth = dense(merged(plain, [saved[0], (folder, scale * factor)]), merged(plain, saved[:1]), rows)
    assert 5e-11 < truth < 1e-6
    assert got.to_parent == pytest.approx(truth, rel=1e-3, abs=2e-12)


def test_an_adapter_without_effect_has_no_drift(base: Base, adapters: list[Adapter]) -> None:
    """But for the rounding of sums over another number of columns; exactly, where there is nothing else."""
    nothing, rows = scaled(adapters[2], 0.0), rows_for(base)[::6]
    found = []
    for some in (adapters[:2], [*adapters[:2], nothing], [nothing]):
        with scoring(base, some) as model:
            found.append(measure(model, some, rows))
    below, got, alone = found
    assert alone.to_parent == alone.to_base == 0.0
    assert got.to_parent < 1e-11
    assert got.to_base == pytest.approx(below.to_base, rel=1e-5)


def test_drift_of_a_base_and_its_adapters(base: Base, adapters: list[Adapter]) -> None:
    """All probe texts, in one call; the base itself has no drift."""
    rows = rows_for(base)
    with scoring(base, adapters) as model:
        wanted = measure(model, adapters, rows)
    assert drift.drift(base, adapters) == wanted
    assert drift.drift(base, ()) == drift.Drift(0.0, 0.0, sum(len(row.positions) for row in rows))


def test_batches_do_not_matter(base: Base, adapters: list[Adapter], monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    rows = rows_for(base)[::6]
    for tokens, piece in ((1, 1), (600, 32), (4096, 1000)):
        monkeypatch.setattr(probe, "TOKENS", tokens)
        monkeypatch.setattr(drift, "PIECE", piece)
        with scoring(base, adapters) as model:
            found.append(measure(model, adapters, rows))
    assert found[1].to_parent == pytest.approx(found[0].to_parent, rel=1e-5)
    assert found[2].to_base == pytest.approx(found[0].to_base, rel=1e-5)


def test_measuring_leaves_everything_as_it_was(base: Base, adapters: list[Adapter]) -> None:
    """Weights, modes, configuration and random numbers; also when it is broken off."""
    with scoring(base, adapters) as model:
        model.train()
        odd = next(m for name, m in model.named_modules() if name.endswith("mlp"))
        odd.eval()
        before = (
            {name: tensor.clone() for name, tensor in (*model.named_parameters(), *model.named_buffers())},
            [m.training for m in model.modules()],
            model.config.to_dict(),
            torch.random.get_rng_state(),
            np.random.get_state()[1].tolist(),  # type: ignore[index]
        )
        measure(model, adapters, rows_for(base)[::12])
        with pytest.raises(KeyError), stack.up_to(model, 1):
            raise KeyError
        assert all(torch.equal(before[0][n], t) for n, t in (*model.named_parameters(), *model.named_buffers()))
        assert [m.training for m in model.modules()] == before[1]
        assert model.config.to_dict() == before[2]
        assert torch.equal(torch.random.get_rng_state(), before[3])
        assert np.random.get_state()[1].tolist() == before[4]  # type: ignore[index]
        with pytest.raises(ValueError, match="no first 4"), stack.up_to(model, 4):
            pass
    base.check_unchanged()


def test_predictions_that_are_no_numbers_have_no_drift(base: Base, adapters: list[Adapter]) -> None:
    with pytest.raises(drift.EvaluationError, match="not numbers"):
        drift.drift(base, [scaled(adapters[0], math.inf)])


@given(st.lists(st.tuples(*[st.floats(-900, 900, width=32)] * 2), min_size=2, max_size=6), st.sampled_from([1, 1e-6]))
def test_kl_is_that_of_fifty_digits(pairs: list[tuple[float, float]], near: float) -> None:
    """Far apart, where one is certain of what the other rules out, and as near as rounding."""
    ours = [a for a, _ in pairs]
    theirs = [a + near * (b - a) for a, b in pairs]
    with mpmath.workdps(50):
        log_p, log_q = ([mpmath.mpf(x) - mpmath.log(sum(map(mpmath.exp, xs))) for x in xs] for xs in (ours, theirs))
        truth = float(mpmath.fsum(mpmath.exp(p) * (p - q) for p, q in zip(log_p, log_q, strict=True)))
    got = float(kl(torch.tensor([ours], dtype=torch.float64), torch.tensor([theirs], dtype=torch.float64))[0])
    assert got >= 0
    assert got == pytest.approx(truth, rel=1e-9, abs=2e-12 if max(map(abs, ours)) > 10 else 1e-14)


def test_kl_of_float32_logits_has_no_cancellation() -> None:
    generator = torch.Generator().manual_seed(0)
    ours = 3 * torch.randn(4, 5000, generator=generator)
    theirs = ours + 1e-5 * torch.randn(4, 5000, generator=generator)
    p, q = (x.double().numpy() for x in (ours, theirs))
    truth = rel_entr(softmax(p, -1), softmax(q, -1)).sum(-1)
    assert (truth > 1e-12).all() and (truth < 1e-9).all()
    assert kl(ours, theirs).tolist() == pytest.approx(truth.tolist(), rel=1e-4)
    log_p, log_q = (log_softmax(x.numpy(), -1) for x in (ours, theirs))  # in float32
    assert not np.allclose((np.exp(log_p) * (log_p - log_q)).sum(-1), truth, rtol=0.5, atol=0)


# ------------------------------------------------------------------ the probe texts


def test_positions_are_those_of_texts_and_of_the_assistants_turns() -> None:
    tokenizer = make_tokenizer()
    rows = dict(zip((json.dumps(t) for t in _raw()), probe_rows(tokenizer, 10**6), strict=True))
    cut = 0
    for line, row in rows.items():
        text = json.loads(line)
        if "text" in text:
            whole = [0, *tokenizer(text["text"], add_special_tokens=False).input_ids, 1]
            positions = range(1, min(len(whole), LONGEST) - 1)
        else:
            whole = tokenizer.apply_chat_template(text["messages"], return_dict=False)
            said = "".join(f"{m['content']}<|eot_id|>" for m in text["messages"] if m["role"] == "assistant")
            assert said.startswith(tokenizer.decode([row.ids[i + 1] for i in row.positions]))
            positions = row.positions
            if len(whole) <= LONGEST:
                assert tokenizer.decode([row.ids[i + 1] for i in row.positions]) == said
        cut += len(whole) > LONGEST
        assert row.ids == whole[:LONGEST]
        assert row.positions == list(positions)
    assert cut < 5


def test_a_text_is_cut_at_the_models_positions() -> None:
    rows = probe_rows(make_tokenizer(), 40)
    assert max(len(row.ids) for row in rows) == 40
    assert all(row.positions and row.positions[-1] < 39 for row in rows)


@pytest.mark.parametrize("template", [None, "{% for m in messages %}{{ m['content'] }}{% endfor %}"])
def test_without_a_usable_template_chats_are_left_out(template: str | None) -> None:
    tokenizer = make_tokenizer()
    everything = probe_rows(tokenizer, LONGEST)
    tokenizer.chat_template = template
    assert probe_rows(tokenizer, LONGEST) == everything[:32]


def test_rows_do_not_depend_on_what_the_base_was_loaded_for(base: Base, base_folder: Path) -> None:
    spec = BaseModelSpec(model=str(base_folder), quantization="none")
    longer = load_base(spec, {"model": {}, "tokenizer": {}}, "float32", 512, "transformers")
    assert rows_for(longer) == rows_for(base)
    with pytest.raises(ValueError, match="loaded for rows of 100"):
        rows_for(replace(base, max_length=100))


def _raw() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (REPO / probe.FILE).read_text("utf-8").splitlines()]


def test_the_probe_file() -> None:
    rows = _raw()
    kinds = [(row["kind"], "messages" in row) for row in rows]
    counts = {kind: kinds.count(kind) for kind in set(kinds)}
    assert counts == {("general", False): 16, ("statistics", False): 16, ("general", True): 8, ("statistics", True): 8}
    assert len({json.dumps(row) for row in rows}) == len(rows) == len(probe_texts())
    assert len(probe_version()) == 64


def test_no_probe_text_is_in_a_benchmark_or_in_data() -> None:
    """No eight words in a row are in anything that ships, or in the public data where they are at hand."""

    def runs(value: Any) -> set[str]:
        if isinstance(value, str):
            words = re.findall(r"\w+", value.lower())
            return {" ".join(words[i : i + 8]) for i in range(len(words) - 7)}
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return set().union(*map(runs, parts))

    files = [p for folder in ("eval", "recipes") for p in (REPO / folder).rglob("*.jsonl") if p.parent.name != "probe"]
    files += sorted((SHARED / "data").glob("*.jsonl"))
    known = runs(_raw())
    assert len(files) > 5 and len(known) > 1000
    for file in files:
        assert not known & runs([json.loads(line) for line in file.read_text("utf-8").splitlines()]), file


@pytest.mark.skipif(not (SHARED / "data" / "llama3-tokenizer").is_dir(), reason="needs Llama 3's tokenizer")
def test_the_readme_says_how_many_tokens_llama_3_makes_of_them() -> None:
    from transformers import AutoTokenizer

    rows = probe_rows(AutoTokenizer.from_pretrained(SHARED / "data" / "llama3-tokenizer"), 4096)
    tokens, counted = (sum(len(x) for x in xs) for xs in ([r.ids for r in rows], [r.positions for r in rows]))
    readme = (REPO / "eval" / "probe" / "README.md").read_text("utf-8")
    assert f"{tokens:,} with Llama 3's tokenizer and template, of which {counted:,} count" in " ".join(readme.split())
    assert f"at most {max(len(row.ids) for row in rows)} a text" in readme


# ------------------------------------------------------------------ the cap

STEPS = 6


@dataclass
class Attempt:
    """A stage's outcome, its adapter's bytes, and what it said meanwhile."""

    outcome: Outcome
    adapter: bytes
    notes: list[str]
    events: list[Any]

    @property
    def losses(self) -> list[float]:
        return [entry["loss"] for entry in self.outcome.history]

    @property
    def drifts(self) -> dict[int, float]:
        return {int(e["step"]): e["drift"] for e in self.outcome.history if "drift" in e}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the stages below train, each in a folder by its name."""
    return tmp_path_factory.mktemp("stages")


@pytest.fixture(scope="module")
def fit(base: Base, adapters: list[Adapter], folder: Path) -> Callable[..., Attempt]:
    """Trains a small stage with dropout on two parents; `crash`: the step to break off after.

    Six of the probe texts are enough here.
    """
    rows = rows_for(base)[::8]

    def run_(
        name: str, cap: dict[str, Any] | None, *, kind: str = "cpt", crash: int = -1,
        stop: Callable[[], bool] = lambda: False, **train: Any,
    ) -> Attempt:  # fmt: skip
        numbers = np.random.default_rng(5).integers(6, 250, (3, 32, 12)).tolist()
        documents = [{"input_ids": [0, *x], "labels": [-100, *x], "seq_lengths": [13]} for x in numbers[0]]
        pairs = [
            {"prompt_ids": [0, *x], "chosen_ids": [*y, 4], "rejected_ids": [*z, 4]}
            for x, y, z in zip(*numbers, strict=True)
        ]
        fields = {"steps": STEPS, "schedule": "constant", "learning_rate": 2e-3, "checkpoint_every": 100, **train}
        body = stage(name, kind, lora={"dropout": 0.2}, train=fields, **({"drift": cap} if cap else {}))
        module = stage_module(kind)
        notes: list[str] = []
        events: list[Any] = []

        def on_step(event: Any) -> None:
            events.append(event)
            if event.step == crash:
                raise ConnectionError("a crash")

        job = Job(
            spec=module.Spec.model_validate(body), base=base, parents=tuple(adapters[:2]),
            dataset=Dataset.from_list(documents if kind == "cpt" else pairs), data_kind=module.DATA_KIND,
            folder=folder / name, on_step=on_step, on_note=notes.append, stop_requested=stop,
        )  # fmt: skip
        (job.folder / "out").mkdir(parents=True, exist_ok=True)
        with pytest.MonkeyPatch.context() as fewer:
            fewer.setattr(drift, "rows_for", lambda base: rows)
            outcome = training.run(job, module)
        base.check_unchanged()
        return Attempt(outcome, (job.folder / "out" / "adapter_model.safetensors").read_bytes(), notes, events)

    return run_


@pytest.mark.parametrize("kind", ["cpt", "dpo"])
def test_measuring_changes_no_bit_of_the_training(kind: str, fit: Callable[..., Attempt]) -> None:
    """Dropout draws the same numbers; a resumed run measures what the unbroken one measured."""
    never = {"max": 100.0, "every": 2}
    without, capped = fit(f"{kind}-without", None, kind=kind), fit(f"{kind}-capped", never, kind=kind)
    assert capped.losses == without.losses
    assert capped.adapter == without.adapter
    assert list(capped.drifts) == [2, 4, 6]
    assert 0 < capped.drifts[2] < capped.drifts[4] < capped.drifts[6]
    assert [e.step for e in capped.events if "drift" in e.extra] == [2, 4, 6]
    assert capped.outcome.metrics()["drift"] == capped.drifts[6]
    assert capped.outcome.metrics()["ended_by"] == without.outcome.metrics()["ended_by"] == "steps"
    assert "drift" not in without.outcome.metrics()
    assert not capped.notes
    with pytest.raises(ConnectionError):
        fit(f"{kind}-broken", never, kind=kind, crash=5, checkpoint_every=4)
    again = fit(f"{kind}-broken", never, kind=kind)
    assert again.outcome.resumed_from == 4
    assert (again.losses, again.drifts, again.adapter) == (capped.losses, capped.drifts, capped.adapter)


@pytest.fixture(scope="module")
def cap(fit: Callable[..., Attempt]) -> dict[str, Any]:
    """A cap that is passed between steps 2 and 4 of 6."""
    drifts = fit("uncapped", {"max": 100.0, "every": 2}).drifts
    assert drifts[2] < drifts[4] < drifts[6]
    return {"max": (drifts[2] + drifts[4]) / 2, "every": 2}


def test_a_cap_holds_for_the_adapter_that_is_published(
    cap: dict[str, Any], fit: Callable[..., Attempt], base: Base, adapters: list[Adapter], folder: Path
) -> None:
    """The stage ends after the first step measured above it; its adapter is that of a stage of as many steps as were
    measured within it.
    """
    first, second = fit("first", cap), fit("second", cap, checkpoint_every=1)
    assert first.adapter == second.adapter == fit("shorter", None, steps=2).adapter
    assert first.losses == second.losses == fit("short", None, steps=4).losses
    got = first.outcome.metrics()
    assert (got["steps"], got["adapter_step"], got["ended_by"], got["drift"]) == (4, 2, "drift", first.drifts[2])
    assert first.drifts[2] < cap["max"] < first.drifts[4]
    whole = [*adapters[:2], load_adapter(folder / "first" / "out")]
    with scoring(base, whole) as model:
        drifted = measure(model, whole, rows_for(base)[::8]).to_parent
    assert drifted == pytest.approx(got["drift"], rel=1e-4) and drifted < cap["max"]
    (note,) = first.notes
    assert note == (
        f"stage first: ended at step 4 of 6: it has drifted {first.drifts[4]:.3g} nats per token from what it started "
        "from, above `drift.max`; its adapter is that of step 2, the last one measured within it"
    )


def test_the_last_step_is_measured_too(cap: dict[str, Any], fit: Callable[..., Attempt]) -> None:
    """At 3 of 3 with `every: 2`: within the cap it is published, above it the adapter of step 2 is."""
    within, above = fit("within", {"max": 100.0, "every": 2}, steps=3), fit("above", cap | {"every": 1}, steps=3)
    assert list(within.drifts) == [2, 3] and within.outcome.metrics()["adapter_step"] == 3
    assert within.adapter == fit("three", None, steps=3).adapter
    tight = {"max": (within.drifts[2] + within.drifts[3]) / 2, "every": 2}
    late = fit("late", tight, steps=3)
    assert (late.outcome.ended_by, late.outcome.steps, late.outcome.adapter_step) == ("drift", 3, 2)
    assert late.adapter == fit("two", None, steps=2).adapter
    assert above.outcome.metrics()["drift"] <= cap["max"]


def test_a_stage_above_the_cap_from_the_start_fails(fit: Callable[..., Attempt], folder: Path) -> None:
    with pytest.raises(TrainingError, match="at its first measurement, after step 4, it has drifted") as caught:
        fit("wild", {"max": 1e-9, "every": 4}, checkpoint_every=1)
    assert "--set stages.wild.drift.every=1" in str(caught.value)
    assert "--set stages.wild.train.learning_rate=0.0005" in str(caught.value)
    assert not list((folder / "wild" / "out").iterdir())
    with pytest.raises(TrainingError, match="after step 4"):  # and again, from the checkpoint before it
        fit("wild", {"max": 1e-9, "every": 4}, checkpoint_every=1)


def test_a_capped_stage_resumes_bit_for_bit(
    cap: dict[str, Any], fit: Callable[..., Attempt], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after any step, also between the last step and the saving of its adapter, with and without checkpoint."""
    whole = fit("whole", cap)

    def same(name: str, resumed_from: int | None, steps: list[int]) -> None:
        again = fit(name, cap)
        assert (again.losses, again.drifts, again.adapter) == (whole.losses, whole.drifts, whole.adapter)
        assert again.outcome.ended_by == "drift"
        assert again.outcome.resumed_from == resumed_from
        assert [e.step for e in again.events] == steps
        assert again.notes[-1] == whole.notes[-1].replace("whole", name)

    with pytest.raises(ConnectionError):
        fit("crashed", cap, crash=3, checkpoint_every=1)
    same("crashed", 2, [3, 4])
    real = _save_slice

    def fail(job: Any, model: Any, folder: Path) -> None:
        if folder.name == "out":
            raise ConnectionError
        real(job, model, folder)

    for every, resumed_from, steps in ((1, 4, []), (3, 3, [4])):
        with monkeypatch.context() as planted:
            planted.setattr(training, "_save_slice", fail)
            with pytest.raises(ConnectionError):
                fit(f"every{every}", cap, checkpoint_every=every)
        same(f"every{every}", resumed_from, steps)


def test_a_request_to_stop_does_not_interrupt_a_stage_that_has_ended(
    cap: dict[str, Any], fit: Callable[..., Attempt]
) -> None:
    steps: list[int] = []
    got = fit("asked", cap, stop=lambda: len(steps.append(1) or steps) == 4)  # type: ignore[func-returns-value]
    assert got.outcome.ended_by == "drift"


def test_at_learning_rate_zero_there_is_no_drift(fit: Callable[..., Attempt]) -> None:
    got = fit("still", {"max": 1e-11, "every": 1}, learning_rate=0.0, steps=3)
    assert got.drifts == pytest.approx({1: 0.0, 2: 0.0, 3: 0.0}, abs=1e-11)  # what rounding leaves
    assert got.outcome.ended_by == "steps"


# ------------------------------------------------------------------ the recipe


def _material(tmp_path: Path, **fields: Any) -> dict[str, Any]:
    body = {"name": "one", "type": "sft", "data": [{"path": "rows.jsonl", "format": "messages"}], "lora": {"r": 4}}
    (tmp_path / "rows.jsonl").write_text('{"messages": []}\n')
    spec = stage_module("sft").Spec.model_validate({**body, "train": {"steps": 6}, **fields})
    return key_material(spec, ["p"], {"model": "b"}, tmp_path)


def test_the_cap_and_the_probe_texts_are_in_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, capped = _material(tmp_path), _material(tmp_path, drift={"max": 0.02, "every": 2})
    others = [
        _material(tmp_path, drift={"max": 0.03, "every": 2}),
        _material(tmp_path, drift={"max": 0.02, "every": 3}),
    ]
    probe_version.cache_clear()
    monkeypatch.setattr(probe, "PROTOCOL", 99)
    others.append(_material(tmp_path, drift={"max": 0.02, "every": 2}))
    probe_version.cache_clear()
    assert len({stage_key(m) for m in (plain, capped, *others)}) == 5
    assert difference(capped, others[0]) == "drift.max 0.02 -> 0.03"
    assert difference(plain, capped).startswith("drift None -> {")


@pytest.mark.parametrize(
    ("cap", "message"),
    [
        ({"max": 0.0}, "greater than 0"),
        ({"every": 5}, "Field required"),
        ({"max": 0.1, "every": 0}, "greater than or equal to 1"),
        ({"max": 0.1}, "`drift.every` 10 is above `train.steps` 6, so drift would be measured"),
    ],
    ids=str,
)
def test_caps_that_are_refused(cap: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        _material(tmp_path, drift=cap)


def test_a_recipe_with_a_cap(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    """Its rows are shorter than the probe texts, which are measured whole."""
    path = write_recipe([stage("one", drift={"max": 100.0, "every": 1})])
    history = json.loads((run(path, tmp_path / "free")["one"] / "history.json").read_text())
    limit = (history[1]["drift"] + history[2]["drift"]) / 2
    result = run(path, tmp_path / "w", f"stages.one.drift.max={limit!r}")["one"]
    manifest = json.loads((result / "manifest.json").read_text())
    found = {name: manifest["metrics"][name] for name in ("steps", "adapter_step", "ended_by", "drift")}
    assert found == {"steps": 3, "adapter_step": 2, "ended_by": "drift", "drift": history[1]["drift"]}
    assert manifest["config"]["drift"] == {"max": limit, "every": 1}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"drift": {"max": 0.1, "every": 13}}, "`drift.every` 13 is above its 12 steps"),
        ({"train": {"warmup": 13}}, "`train.warmup` 13 is above its 12 steps"),
    ],
    ids=str,
)
def test_what_epochs_are_too_short_for(
    fields: dict[str, Any], message: str, write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    """Before a model is loaded: 48 rows in batches of 4."""
    fields = {**fields, "train": {"steps": None, "epochs": 1.0, **fields.get("train", {})}}
    path = write_recipe([stage("one", **fields)])
    with pytest.raises(UsageError, match=re.escape(message)):
        run(path, tmp_path / "w")
    said = statllama("plan", path, "--workspace", tmp_path / "w", cwd=tmp_path)
    assert said.returncode == 2 and message in said.stderr  # the plan says so too
