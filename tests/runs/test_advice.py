"""What `plan` says of a run: what stops it in the words of `run`, and what is likely to spoil it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from statllama.config.train import TrainSpec
from statllama.model.identity import base_identity
from statllama.recipe import Recipe, load_recipe
from statllama.runs.advice import RATES, limits, warnings
from statllama.stages import stage_module, stage_types
from statllama.train.steps import count_steps
from tests.conftest import REPO
from tests.running import statllama

RECIPE = """
name: own
base: {model: quickstart/base, quantization: none}
defaults: {train: {max_length: 256, batch_size: 8}}
stages:
  - {name: sft, type: sft, data: [{path: "shipped:quickstart/data/sft.jsonl", limit: 40}], train: {steps: 2}}
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(RECIPE)
    return path


def said(own: Path, *overrides: str) -> list[str]:
    """The warnings of `plan`, each with its remedy behind it."""
    options = [part for override in overrides for part in ("--set", override)]
    done = statllama("plan", own, *options, cwd=own.parent)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    begun = [i for i, line in enumerate(lines) if line.startswith(("would stop: ", "warning: "))]
    return [" ".join(lines[i : i + 2]) for i in begun]


def test_a_sound_recipe_has_no_warning(own: Path) -> None:
    assert said(own) == []


@pytest.mark.parametrize(
    ("override", "remedy"),
    [
        ("stages.sft.train.max_length=1024", "stages.sft.train.max_length=512"),
        ("stages.sft.train.optimizer=paged_adamw_8bit", "stages.sft.train.optimizer=adamw_torch"),
        ("report_to=[trackio]", "report_to=[]"),
    ],
)
def test_what_would_stop_a_run_is_said_in_the_words_of_run(
    override: str, remedy: str, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("statllama.train.preflight.has_cuda", lambda: False)
    monkeypatch.setitem(sys.modules, "trackio", None)  # not installed, wherever this runs
    monkeypatch.setattr("importlib.util.find_spec", without("trackio"))
    (only,) = said(own, override)
    run = statllama("run", own, "--set", override, cwd=own.parent)
    message, arrow, remedy_of_run = run.stderr.strip().partition("\n  -> ")
    assert run.returncode == 1 and arrow
    text, arrow, remedy_of_plan = only.partition("   -> ")
    assert text == f"would stop: {message.removeprefix('error: ')}" and arrow
    if remedy_of_plan == f"--set {remedy}":
        assert remedy_of_run.endswith(f"statllama run own.yaml --set {override} --set {remedy}")
    else:
        assert remedy_of_run.startswith(f"{remedy_of_plan}; then go on: ")
    assert said(own, override, remedy) == []
    assert "loading" not in run.stdout, "before the base is loaded"


def test_an_optimizer_is_judged_on_the_card_that_is_named(own: Path) -> None:
    asked = ("plan", own, "--set", "stages.sft.train.optimizer=adamw_8bit")
    assert "would stop" not in statllama(*asked, "--on", "12GB", cwd=own.parent).stdout
    assert "would stop" in statllama(*asked, "--on", "cpu", cwd=own.parent).stdout


def without(library: str) -> Any:
    """importlib.util.find_spec where a library is not installed."""
    import importlib.util

    find = importlib.util.find_spec
    return lambda name, *rest: None if name == library else find(name, *rest)


@pytest.mark.parametrize(
    ("override", "part", "remedy"),
    [
        ("stages.sft.train.learning_rate=2", "rate of 2 is far above", "stages.sft.train.learning_rate=0.0002"),
        ("stages.sft.train.batch_size=64", "batch_size 64 is above its 40 rows", "stages.sft.train.batch_size=5"),
        ("stages.sft.train.steps=200", "are 40 passes over 40 rows", "stages.sft.train.steps=15"),
        ("stages.sft.train.warmup=0.9", "all its 2 steps are warm-up", "stages.sft.train.warmup=0"),
        ("stages.sft.lora.r=300", "rank 300 is above the base's width of 256", "stages.sft.lora.r=16"),
    ],
)  # fmt: skip
def test_what_spoils_a_run_is_warned_of_with_what_mends_it(override: str, part: str, remedy: str, own: Path) -> None:
    (only,) = said(own, override)
    assert only.startswith("warning: stage sft: ") and part in only and only.endswith(f"--set {remedy}")
    assert said(own, override, remedy) == []


def test_run_warns_at_its_start(own: Path) -> None:
    (only,) = said(own, "stages.sft.train.learning_rate=0.02")
    run = statllama("run", own, "--set", "stages.sft.train.learning_rate=0.02", cwd=own.parent)
    text = only.removeprefix("warning: ").partition("   -> ")[0]
    assert f"note: {text}" in run.stdout
    assert run.stdout.index(text) < run.stdout.index("loading")


def test_a_cached_stage_is_not_warned_of(own: Path) -> None:
    odd = "stages.sft.lora.r=300"
    assert statllama("run", own, "--set", odd, cwd=own.parent).returncode == 0
    assert said(own, odd) == []


@pytest.mark.parametrize("name", ["quickstart", "smollm2", "instruct_pipeline",
                                  "miniature/instruct_pipeline", "base_pipeline", "dtft", "sft_ablation",
                                  "sft_curriculum", "sft_unified"])  # fmt: skip
def test_no_shipped_recipe_is_warned_of_its_rates(name: str) -> None:
    for stage in load_recipe(name, check_files=False).trained:
        texts = [advice.text for advice in warnings(stage, 10**5, 10**3)]
        assert not [text for text in texts if "learning rate" in text], texts


def test_every_kind_of_stage_has_a_rate() -> None:
    kinds = {stage_module(kind).DATA_KIND for kind in stage_types() if hasattr(stage_module(kind), "DATA_KIND")}
    assert kinds == set(RATES)
    assert all(usual < most for usual, most in RATES.values())


def test_the_limits_are_those_of_the_config(tmp_path: Path) -> None:
    recipe: Recipe = load_recipe("quickstart")
    assert limits(recipe, base_identity(recipe.base, tmp_path / "memory.json")) == (512, 256, 4)


def test_no_torch_is_loaded_for_it() -> None:
    """Where torch is not a build for GPUs; else it has to say whether there is one."""
    code = (
        "import sys; from statllama.runs import advice; from statllama.model import precision\n"
        "precision.built_for_gpus = lambda: False\n"
        "from statllama.train import preflight; assert preflight.has_cuda() is False\n"
        "assert 'torch' not in sys.modules, 'torch'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(REPO), "PATH": ""})


@given(
    st.fixed_dictionaries(
        {
            "learning_rate": st.floats(0, 10),
            "warmup": st.one_of(st.floats(0, 0.99), st.integers(1, 500)),
            "batch_size": st.integers(1, 500),
            "epochs": st.floats(0.01, 100),
        }
    ),
    st.integers(1, 5000),
)
def test_any_stage_is_judged(fields: dict[str, Any], rows: int) -> None:
    """The count of warm-up steps is that of Transformers; what is suggested is a valid value."""
    stage = load_recipe("quickstart").training_stage("sft")
    spec = stage.model_copy(update={"train": TrainSpec.model_validate(fields)})
    steps = count_steps(rows, spec.train)
    for advice in warnings(spec, rows, steps):
        key, _, value = (advice.remedy or "").removeprefix("--set stages.sft.train.").partition("=")
        TrainSpec.model_validate({key: yaml.safe_load(value) if key != "learning_rate" else float(value)})
