"""Whether GRPO raises its reward: the miniature study's model before and after its grpo stage, on new questions.

The questions are of the stage's topics, and none of them is in the data that the model was trained on.

Each question is answered several times at temperature 1, as in training, and once greedily; the reward is the stage's
own. Tests are paired over questions (t test of their mean rewards; Wilcoxon's signed ranks beside it).
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from common import report
from scipy import stats

from statllama.model.base_model import scoring
from statllama.rewards import build
from statllama.runs.loaded import Loaded
from statllama.runs.reporting import Reporter
from statllama.runs.targets import find_subject
from statllama.stages import grpo
from statllama.store import Store

RECIPES = Path(__file__).resolve().parent.parent / "recipes"
SAMPLES, BATCH, SEED = 4, 64, "held out"


def questions(spec: grpo.Spec, per_topic: int) -> list[dict[str, str]]:
    """New questions of the stage's topics; none that any of the quickstart's stages has seen."""
    sys.path.insert(0, str(RECIPES / "quickstart"))
    make_data: Any = importlib.import_module("make_data")
    folder = RECIPES / "quickstart" / "data"
    seen = "\n".join((folder / f"{name}.jsonl").read_text(encoding="utf-8") for name in ("sft", "dpo", "dtft", "grpo"))
    topics = re.compile(spec.data[0].where["topic"])
    found: dict[str, dict[str, str]] = {}
    for item in make_data.training_items(random.Random(SEED), per_topic):
        if topics.search(item.topic) and json.dumps(item.question)[1:-1] not in seen:
            found[item.question] = {"prompt": item.question, "answer": item.answer}
    return list(found.values())


def rewards(model: Any, tokenizer: Any, rows: list[dict[str, str]], spec: grpo.Spec, greedy: bool) -> list[float]:
    """Mean reward of each question's answers."""
    judge = build(spec.rewards[0], RECIPES, False)
    count = 1 if greedy else SAMPLES
    how = {"do_sample": False} if greedy else {"do_sample": True, "temperature": 1.0, "num_return_sequences": count}
    found: list[float] = []
    tokenizer.padding_side = "left"
    torch.manual_seed(0)
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        asked = [[{"role": "user", "content": row["prompt"]}] for row in part]
        prompts = tokenizer.apply_chat_template(
            asked, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
        )
        with torch.no_grad():
            made = model.generate(
                **prompts, max_new_tokens=24, pad_token_id=tokenizer.pad_token_id, top_p=None, top_k=0, **how
            )
        said = tokenizer.batch_decode(made[:, prompts["input_ids"].shape[1] :], skip_special_tokens=True)
        for i, row in enumerate(part):
            own = said[i * count : (i + 1) * count]
            points = judge(prompts=[row["prompt"]] * count, completions=own, answer=[row["answer"]] * count)
            found.append(sum(float(p or 0.0) for p in points) / count)
    return found


def main() -> None:
    """Train what is not trained, measure, print, and save where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=Path, help="where the miniature study ran; default: train it now")
    parser.add_argument("--per-topic", type=int, default=20, help="questions drawn of each topic")
    parser.add_argument("--save", action="store_true", help="write results/grpo_reward.json")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        workspace = given.workspace or Path(place)
        command = ("study", "miniature", "--only", "mini_instruct:grpo", "--workspace", str(workspace))
        subprocess.run([sys.executable, "-m", "statllama", *command], check=True)
        store = Store(workspace)
        subject = find_subject("mini_instruct", store)
        entry = subject.stage("grpo").entry
        assert entry is not None
        spec = grpo.Spec.model_validate(entry.manifest["config"])
        rows = questions(spec, given.per_topic)
        loaded = Loaded(subject.base, subject.identity, store, Reporter(), 256)
        base = loaded.base(subject.precision)
        figures: dict[str, Any] = {
            "questions": len(rows),
            "samples": SAMPLES,
            "steps": entry.manifest["metrics"]["steps"],
        }
        scores: dict[tuple[str, str], list[float]] = {}
        for stage in ("sft", "grpo"):
            with scoring(base, loaded.adapters(subject.stack(stage).parts)) as model:
                for way in ("sampled", "greedy"):
                    scores[stage, way] = rewards(model, loaded.tokenizer, rows, spec, way == "greedy")
    for way in ("sampled", "greedy"):
        before, after = scores["sft", way], scores["grpo", way]
        figures[way] = {
            "before": sum(before) / len(rows),
            "after": sum(after) / len(rows),
            "p_t": float(stats.ttest_rel(after, before).pvalue),
            "p_wilcoxon": float(stats.wilcoxon(after, before).pvalue) if after != before else 1.0,
        }
    report("grpo_reward", figures, save=given.save)


if __name__ == "__main__":
    main()
