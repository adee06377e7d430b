"""The metric `likelihood` against probabilities computed token by token, its tests, and wrong task files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from scipy import stats

from statllama.config.benchmarks import BenchmarkError, find_tasks
from statllama.config.evaluate import EvaluateSpec
from statllama.evaluation.paired import judge_budget, paired_change
from statllama.evaluation.power import smallest_smooth
from statllama.evaluation.scorecard import scorecard
from statllama.evaluation.suite import score
from tests.conftest import make_llama, make_tokenizer, write_jsonl

ROWS = [
    {"question": "what is the mean of 1 and 3?", "answer": "two, the half of four"},
    {"question": "name a robust measure", "answer": "the médian"},
    {"question": "and another one", "answer": "the interquartile range\n\nor the MAD"},
]


def write_task(folder: Path, **changes: Any) -> Path:
    """A benchmark of held-out answers below `folder`; None in `changes` takes a field away."""
    config = {
        "task": "held",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": "test.jsonl"}},
        "test_split": "test",
        "output_type": "loglikelihood",
        "doc_to_text": "question",
        "doc_to_target": "answer",
        "target_delimiter": "",
        "metric_list": [{"metric": "likelihood"}],
        "metadata": {"version": 1.0},
    }
    write_jsonl(folder / "held" / "test.jsonl", ROWS)
    kept = {name: value for name, value in (config | changes).items() if value is not None}
    (folder / "held" / "held.yaml").write_text(yaml.safe_dump(kept))
    return folder


@pytest.mark.parametrize("chat", [True, False])
def test_score_is_the_probability_of_a_byte(tmp_path: Path, chat: bool) -> None:
    """Against the model's own next-token probabilities, one answer token after the other."""
    torch.set_num_threads(1)
    tokenizer = make_tokenizer()
    model = make_llama(len(tokenizer)).eval()
    tasks = find_tasks(["held"], [write_task(tmp_path)])
    spec = EvaluateSpec(tasks=("held",), max_length=256, chat_template=chat)
    (found,) = score(model, tokenizer, tasks.values(), spec)
    bits = []
    for row in ROWS:
        prompt = row["question"]
        if chat:
            turn = [{"role": "user", "content": prompt}]
            prompt = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        options = {"add_special_tokens": not chat}
        whole = tokenizer(prompt + row["answer"], **options).input_ids
        start = len(tokenizer(prompt, **options).input_ids)
        with torch.no_grad():
            chances = model(torch.tensor([whole])).logits[0].double().log_softmax(-1)
        nats = -sum(float(chances[i - 1, whole[i]]) for i in range(start, len(whole)))
        bits.append(nats / math.log(2) / len(row["answer"].encode("utf-8")))
    assert found.metric == "likelihood"
    assert found.items == pytest.approx([2**-b for b in bits], rel=1e-4)
    assert found.others["bits_per_byte"] == pytest.approx(sum(bits) / 3, rel=1e-4)
    assert [s["prediction"] for s in found.samples] == [f"{b:.2f} bits per byte" for b in bits]
    card = scorecard([("base", None, [found])])
    assert card.rows[0].cells[0].loss == pytest.approx(sum(bits) / 3, rel=1e-4)


def test_changes_are_judged_by_the_paired_t_test() -> None:
    """p and interval are scipy's where no cluster or sign-flip is the stricter."""
    draw = np.random.default_rng(3)
    before = draw.uniform(0.3, 0.7, 40)
    after = before + draw.normal(0.01, 0.03, 40)
    change = paired_change(before.tolist(), after.tolist(), smooth=True)
    wanted = stats.ttest_rel(after, before)
    low, high = wanted.confidence_interval(0.95)
    assert change.p >= wanted.pvalue and change.p == pytest.approx(wanted.pvalue, abs=0.02)
    if change.p < 0.05:
        assert (change.low, change.high) == pytest.approx((100 * low, 100 * high), abs=1e-3)
    same = paired_change([0.4, 0.5, 0.6], [0.4, 0.5, 0.6], smooth=True)
    assert same.p == 1.0 and same.difference == 0.0


@pytest.mark.parametrize("heavy", [False, True])
def test_false_alarms_stay_at_their_level(heavy: bool) -> None:
    """Likelihoods that change by nothing on average: at most about 5 % of 400 samples are called a change."""
    draw = np.random.default_rng(5)
    alarms = 0
    for _ in range(400):
        before = draw.uniform(0.3, 0.7, 25)
        noise = draw.standard_t(3, 25) * 0.02 if heavy else draw.normal(0, 0.02, 25)
        alarms += paired_change(before.tolist(), (before + noise).tolist(), smooth=True).p < 0.05
    assert alarms <= 33  # 5 % of 400 and three standard errors


def test_power_and_gates_of_likelihoods() -> None:
    before = [0.5 + 0.001 * (i % 7) for i in range(30)]
    after = [b - 0.05 + 0.002 * (i % 3) for i, b in enumerate(before)]
    change = paired_change(before, after, smooth=True)
    assert change.p < 0.001 and change.difference == pytest.approx(-4.8)
    smallest = smallest_smooth([change])
    assert smallest is not None and change.stderr is not None
    assert smallest.change == pytest.approx((stats.t.ppf(0.975, 29) + stats.norm.ppf(0.8)) * change.stderr, rel=1e-3)
    assert judge_budget(before, after, -2.0, smooth=True).answer == "broken"
    assert judge_budget(before, after, -10.0, smooth=True).answer == "held"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"output_type": "generate_until"}, "needs `output_type: loglikelihood`"),
        ({"doc_to_target": "{{answer}}."}, "needs the answer's column"),
        ({"metric_list": [{"metric": "likelihood"}, {"metric": "acc"}]}, "`metric` is 'acc'"),
        ({"metric_list": [{"metric": "likelyhood"}]}, "did you mean 'likelihood'"),
        ({"filter_list": [{"name": "x"}]}, "`filter_list` does not go with"),
    ],
)
def test_wrong_task_files_are_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BenchmarkError, match=r"held\.yaml") as error:
        find_tasks(["held"], [write_task(tmp_path, **changes)])
    assert said in str(error.value)


def test_the_report_shows_the_loss_of_an_item() -> None:
    """Not whether the model would write the answer, which is what other log-likelihoods say."""
    from statllama.report.flips import _reply

    sample = {"score": 0.5, "prediction": "1.00 bits per byte", "loglikelihoods": [-3.0]}
    assert _reply(sample).text == "1.00 bits per byte"
