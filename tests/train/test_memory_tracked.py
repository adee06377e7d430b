"""The memory model against the tensors that real stages keep alive: their trainers, losses, references and adapters.

The heaviest pass is tried first, as on a GPU, so that the peak is that of the pass that the model foresees.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from statllama.model.base_model import _tensors
from statllama.train import activations, training
from statllama.train.fit import choices, stage_need
from statllama.train.memory import Need
from tests.conftest import make_llama, make_tokenizer, stage, write_jsonl
from tests.running import run
from tests.train.tracking import Live

torch.set_num_threads(1)
WORDS = "the mean of the sample is a value of the population and the median is a mode of the range "
Tracked = dict[str, tuple[float, Need]]
"""{stage: (most bytes of tensors at once, what the model foresees)}"""


@pytest.fixture(scope="module")
def wide_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base whose activations outweigh its weights: 4 layers of width 128."""
    folder = tmp_path_factory.mktemp("wide")
    tokenizer = make_tokenizer()
    sizes = {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4}
    make_llama(len(tokenizer), **sizes).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def track(tmp_path: Path, wide_base: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Tracked]:
    """Runs stages on the wide base and returns what each held, and was foreseen to hold."""
    answer = {"role": "assistant", "content": WORDS * 2}
    ask = [{"role": "user", "content": f"define {WORDS}"}]
    write_jsonl(tmp_path / "sft.jsonl", [{"messages": [*ask, answer]}] * 40)
    write_jsonl(tmp_path / "cpt.jsonl", [{"text": WORDS * 20}] * 40)
    pair = {"prompt": f"define {WORDS}", "chosen": WORDS * 2, "rejected": WORDS[::-1] * 2}
    write_jsonl(tmp_path / "dpo.jsonl", [pair] * 40)
    judged = {"prompt": f"define {WORDS}", "completion": WORDS * 2}
    write_jsonl(tmp_path / "kto.jsonl", [{**judged, "label": i % 2 == 0} for i in range(40)])
    write_jsonl(tmp_path / "grpo.jsonl", [{"prompt": f"define {WORDS}", "answer": "7"}] * 40)
    found: Tracked = {}
    attempt = training._attempt

    def tracked(job: Any, module: Any) -> Any:
        place, rows = activations.place_of(job), activations.rows_of(job)
        again = choices(job.spec, place)[0]
        need = stage_need(activations._shape(job), job.spec, place, rows, job.spec.train.micro_tokens, again, 0.0)
        with Live(_tensors(job.base.model)) as live:
            outcome = attempt(job, module)
        found[job.spec.name] = live.peak, need
        return outcome

    monkeypatch.setattr(training, "_attempt", tracked)
    monkeypatch.setattr(training, "tight", lambda job: True)

    def made(*stages: dict[str, Any], quantization: str = "none") -> Tracked:
        body = {"name": "t", "base": {"model": str(wide_base), "quantization": quantization}, "stages": list(stages)}
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(body), encoding="utf-8")
        run(path, tmp_path / "w")
        return found

    return made


def wide(name: str, kind: str = "sft", **train: Any) -> dict[str, Any]:
    """A stage of 2 steps whose pass holds the 8 rows of a step."""
    settings = {"steps": 2, "batch_size": 8, "micro_tokens": 8192, "max_length": 384, **train}
    more: dict[str, Any] = {"lora": {"r": 16, "alpha": 32}}
    if kind == "grpo":
        more |= {"generations": 4, "max_completion_length": 64, "beta": 0.1}
        more["rewards"] = [{"name": "length", "target": 4, "unit": "words"}]
    return stage(name, kind, train=settings, **more)


def within(found: Tracked, low: float = -0.05, high: float = 0.15) -> None:
    off = {name: need.allocated / peak - 1 for name, (peak, need) in found.items()}
    assert all(low <= error <= high for error in off.values()), {
        name: (round(off[name], 3), round(peak / 2**20, 1), {k: round(v / 2**20, 1) for k, v in need.phases.items()})
        for name, (peak, need) in found.items()
    }


def test_language_stages_on_each_other(track: Callable[..., Tracked]) -> None:
    within(track(wide("a"), wide("b", "cpt", gradient_checkpointing=True)))


def test_replay_and_anchor(track: Callable[..., Tracked], tmp_path: Path) -> None:
    """Passes over replayed rows that are longer than the stage's own, and over the stage's own."""
    rows = [{"text": WORDS * 20}] * 20
    write_jsonl(tmp_path / "more.jsonl", rows)
    replay = {"data": [{"path": "more.jsonl", "format": "text"}], "share": 1.0, "train_on": "all"}
    both = {"replay": replay, "anchor": {"on": "replay", "coefficient": 1.0}}
    within(track(wide("a") | both, wide("b") | {"anchor": {"on": "own", "coefficient": 1.0}}))


def test_a_stage_of_some_layers(track: Callable[..., Tracked]) -> None:
    """Of 4 layers the second and the last: nothing is kept of the first, and of the third only what gradients cross."""
    few = wide("a")
    few["lora"]["layers"] = [1, 3]
    within(track(few))


@pytest.mark.slow
def test_preference_stages(track: Callable[..., Tracked]) -> None:
    within(track(wide("a", "dpo", batch_size=4), wide("b", "kto"), wide("c", "dpo", batch_size=4, steps=12)))


@pytest.mark.slow
def test_rollouts(track: Callable[..., Tracked]) -> None:
    within(track(wide("a", "grpo")), high=0.25)


@pytest.mark.slow
def test_nf4_in_bfloat16(track: Callable[..., Tracked]) -> None:
    bfloat16 = {"precision": "bfloat16"}
    within(track(wide("a", **bfloat16), wide("b", "dpo", batch_size=4, **bfloat16), quantization="nf4"))
