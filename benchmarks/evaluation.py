"""What it costs to score a base and three stages, against four runs of the `lm_eval` command on merged models.

statllama: one `statllama eval` of the quickstart's base and its stages cpt, sft and dpo, which loads the base once and
switches the adapters. The other way: each stack merged into a float32 model, saved, and given to the command, with the
batch size that is fastest for it here. Both are timed from the start of a process to its end, answer everything anew,
and report the same scores (checked). Merging and saving are not counted.

Asked are multiple choice with choices that are texts (`quickstart_stats`) and letters (`ap_statistics`), and sums to be
worked out after eight examples, the same for every item (`eight_examples`; with --data GSM8K's own questions). With
`--task gsm8k` examples are drawn anew for every item, so that prompts share the template's head alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from common import report

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))  # the command that tests/evaluation/test_lm_eval_parity.py compares with, item by item

from statllama.config.benchmarks import TaskFile, find_tasks  # noqa: E402
from statllama.config.evaluate import EvaluateSpec  # noqa: E402
from tests.evaluation import lm_eval_command  # noqa: E402

STAGES = ("cpt", "sft", "dpo")
CHOICES, SUMS = ("quickstart_stats", "ap_statistics"), "eight_examples"
POSITIONS = 4096  # the quickstart's base has 512, a limit of its config alone
BATCHES, TRIED = (4, 16, 64), 16  # batch sizes tried for the command, on so many items
# What the stages learn matters little here.
BRIEF = {"stages.cpt.train.epochs": 0.05, "stages.sft.train.epochs": 0.4, "stages.dpo.train.epochs": 0.1}


def statllama(*arguments: str) -> float:
    """Run a command of statllama; seconds."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "statllama", *arguments], cwd=REPO, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


# ------------------------------------------------------------------ what is asked, of what


def write_sums(folder: Path, data: Path | None) -> None:
    """Write the benchmark of eight examples: of sums in words, or of the GSM8K files in `data`."""
    config = yaml.safe_load((REPO / "eval" / "gsm8k" / "gsm8k.yaml").read_text("utf-8"))
    files = {"train": "train.jsonl", "test": "test.jsonl"}
    config |= {"task": SUMS, "dataset_path": "json", "dataset_kwargs": {"data_files": files}}
    config |= {"fewshot_config": {"sampler": "first_n"}}
    del config["dataset_name"]
    config["generation_kwargs"]["max_gen_toks"] = 64
    folder.mkdir(parents=True)
    (folder / f"{SUMS}.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    draw = random.Random(7)
    for split, name in (("train", "gsm8k_train_1000.jsonl"), ("test", "gsm8k_test_200.jsonl")):
        if data is not None:
            shutil.copyfile(data / name, folder / files[split])
            continue
        rows = []
        for person, thing in ((p, t) for p in ("Ann", "Ben", "Eva", "Max", "Zoe") for t in ("pens", "cups", "eggs")):
            for a, b in (draw.sample(range(2, 60), 2) for _ in range(8)):
                question = f"{person} has {a} {thing} and buys {b} more. How many {thing} has {person} then?"
                rows.append({"question": question, "answer": f"{a} + {b} = {a + b}\n#### {a + b}"})
        draw.shuffle(rows)
        (folder / files[split]).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_recipe(folder: Path) -> Path:
    """Write the quickstart over a base with more positions, and the copy of the base."""
    if not (folder / "base").is_dir():
        shutil.copytree(REPO / "recipes" / "quickstart" / "base", folder / "base")
        for name, field in (("config.json", "max_position_embeddings"), ("tokenizer_config.json", "model_max_length")):
            file = folder / "base" / name
            file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | {field: POSITIONS}, indent=2), "utf-8")
    recipe = {
        "name": "evaluation",
        "extends": str(REPO / "recipes" / "quickstart.yaml"),
        "base": {"model": str(folder / "base")},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return folder / "recipe.yaml"


def brief() -> list[str]:
    """The settings of a short training, as arguments."""
    return [word for field, value in BRIEF.items() for word in ("--set", f"{field}={value}")]


def merged_models(recipe: Path, workspace: Path, folder: Path) -> dict[str, Path]:
    """{stack: folder with its float32 model}."""
    import torch
    from transformers import AutoModelForCausalLM

    from statllama.model.adapter import load_adapter
    from statllama.model.base_model import load_base, start_backend
    from statllama.runs.targets import find_subject
    from statllama.store import Store

    store = Store(workspace)
    subject = find_subject("evaluation", store)
    start_backend("transformers")
    base = load_base(subject.base, subject.identity, "float32", POSITIONS, "transformers")
    models = {}
    for name in ("base", *STAGES):
        parts = [store.verify("results", key).path for key in subject.stack(name).keys]
        scales = [next(iter(load_adapter(path).slices.values())).scaling for path in parts]
        empty: Any = AutoModelForCausalLM.from_pretrained(subject.base.model, dtype=torch.float32)
        pairs = list(zip(parts, scales, strict=True))
        lm_eval_command.export(base.model, empty, pairs, base.tokenizer, folder / name)
        models[name] = folder / name
    return models


# ------------------------------------------------------------------ the two sides


@dataclass(frozen=True)
class Clock:
    """Seconds of a side: all of it, and of that the asking. The rest is starting up, loading and reporting."""

    total: float
    choices: float
    replies: float

    def figures(self) -> dict[str, float]:
        """{part: seconds}."""
        rest = self.total - self.choices - self.replies
        return {"total": self.total, "start_up": rest, "multiple_choice": self.choices, "generation": self.replies}


def in_one_process(
    recipe: Path, workspace: Path, spec: EvaluateSpec, choices: Sequence[str]
) -> tuple[Clock, dict[str, dict[str, float]]]:
    """The seconds of one `statllama eval`, and {stack: {task: its value}}."""
    from statllama.store import Store

    out = workspace / "scorecard.json"
    shutil.rmtree(workspace / "scores", ignore_errors=True)
    chosen = [word for stage in STAGES for word in ("--stage", stage)]
    chosen += [word for task in spec.tasks for word in ("--task", task)]
    chosen += ["--limit", str(spec.limit), *brief(), "--set", f"evaluate.max_length={spec.max_length}"]
    for task, place in spec.data.items():
        chosen += ["--set", f"evaluate.data.{task}={json.dumps(place)}"]
    total = statllama("eval", str(recipe), *chosen, "--workspace", str(workspace), "--out", str(out))
    scores = [entry.manifest["score"] for entry in Store(workspace).entries("scores") if "score" in entry.manifest]
    parts = [sum(s["seconds"] for s in scores if (s["task"] in choices) is mc) for mc in (True, False)]
    rows = json.loads(out.read_text("utf-8"))["rows"]
    return Clock(total, *parts), {row["name"]: {cell["task"]: cell["value"] for cell in row["cells"]} for row in rows}


def by_command(
    model: Path, tasks: Sequence[TaskFile], spec: EvaluateSpec, size: int, work: Path
) -> tuple[Clock, dict[str, float]]:
    """The seconds of one run of the command, and {task: its value}."""
    work.mkdir(parents=True)
    line = lm_eval_command.command(model, tasks, spec, work, batch_size=size)
    started, said = time.perf_counter(), dict[str, float]()
    process = subprocess.Popen(
        line,
        env=lm_eval_command.environment(work),
        cwd=work,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    for text in process.stderr:  # bars end with a carriage return, so a line comes when what it tells of begins
        for kind in ("loglikelihood", "generate_until"):
            if f"Running {kind} requests" in text:
                said.setdefault(kind, time.perf_counter() - started)
        if "requests: 100%" in text:
            said["end"] = time.perf_counter() - started
    if process.wait():
        raise SystemExit(f"lm_eval failed: {' '.join(line)}")
    total = time.perf_counter() - started
    end = said.get("end", total)
    begun = said.get("generate_until", end)
    results = lm_eval_command.read(work)
    metric = {
        task.name: "exact_match,strict-match" if "generation_kwargs" in task.config else "acc,none" for task in tasks
    }
    values = {name: results[name].results[key] for name, key in metric.items()}
    return Clock(total, begun - said.get("loglikelihood", begun), end - begun), values


def best_batch_size(model: Path, tasks: Sequence[TaskFile], spec: EvaluateSpec, work: Path) -> dict[int, float]:
    """{batch size: seconds that the command asks a few items for}, the fastest first."""
    few = spec.model_copy(update={"limit": TRIED * 2})
    clocks = {size: by_command(model, tasks, few, size, work / str(size))[0] for size in BATCHES}
    seconds = {size: clock.choices + clock.replies for size, clock in clocks.items()}
    return dict(sorted(seconds.items(), key=lambda one: one[1]))


def added(clocks: Sequence[Clock]) -> Clock:
    """All of them together."""
    return Clock(*(sum(getattr(clock, part) for clock in clocks) for part in ("total", "choices", "replies")))


def ratios(theirs: Clock, ours: Clock) -> dict[str, float]:
    """How many times faster each part is."""
    mine = ours.figures()
    return {part: seconds / mine[part] for part, seconds in theirs.figures().items() if mine[part] > 0}


def measure(arguments: argparse.Namespace, folder: Path) -> Mapping[str, Any]:
    """Train what is not there, ask both sides, compare."""
    workspace = arguments.workspace or folder / "workspace"
    workspace.mkdir(parents=True, exist_ok=True)
    recipe = write_recipe(workspace)
    if not (workspace / "eval").is_dir():
        write_sums(workspace / "eval" / SUMS, arguments.data)
    statllama(
        "run", str(recipe), "--workspace", str(workspace), "--until", "dpo", "--set", "evaluate.tasks=[]", *brief()
    )
    models = merged_models(recipe, workspace, folder / "models")

    names = tuple(arguments.task or (*CHOICES, SUMS))
    data = {}
    if "gsm8k" in names:
        data["gsm8k"] = {s: str(arguments.data / f) for s, f in zip(("train", "test"), GSM8K, strict=True)}
    spec = EvaluateSpec(tasks=names, data=data, limit=arguments.limit, max_length=POSITIONS)
    tasks = list(find_tasks(names, [workspace / "eval", REPO / "eval"], spec.data).values())
    choices = [task.name for task in tasks if task.config["output_type"] == "multiple_choice"]
    before = os.getloadavg()
    tried = {} if arguments.batch_size else best_batch_size(models["base"], tasks, spec, folder / "tried")
    size = arguments.batch_size or next(iter(tried))
    ours, values = in_one_process(recipe, workspace, spec, choices)
    theirs = {name: by_command(model, tasks, spec, size, folder / "work" / name) for name, model in models.items()}
    again, _ = in_one_process(recipe, workspace, spec, choices)  # other work on the machine comes and goes
    command, own = added([clock for clock, _ in theirs.values()]), added([ours, again])
    half = Clock(own.total / 2, own.choices / 2, own.replies / 2)
    return {
        "settings": {"stacks": list(models), "tasks": names, "limit": arguments.limit, "batch_size_of_lm_eval": size},
        "load_average": {"before": before, "after": os.getloadavg()},
        "seconds_of_the_command_by_batch_size": tried,
        "seconds_one_process": [ours.figures(), again.figures()],
        "seconds_four_commands": command.figures(),
        "seconds_by_command": {name: clock.figures() for name, (clock, _) in theirs.items()},
        "same_values": all(
            abs(values[name][task] - value) < 1e-9 for name, (_, said) in theirs.items() for task, value in said.items()
        ),
        "times_faster": ratios(command, half),
        "values": values,
    }


GSM8K = ("gsm8k_train_1000.jsonl", "gsm8k_test_200.jsonl")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--workspace", type=Path, help="where the quickstart was trained by this script; made if missing"
    )
    parser.add_argument("--task", action="append", help=f"benchmarks; default: {', '.join((*CHOICES, SUMS))}")
    parser.add_argument("--data", type=Path, help=f"folder with {' and '.join(GSM8K)}")
    parser.add_argument("--batch-size", type=int, help=f"of lm_eval; default: the fastest of {BATCHES}, tried first")
    parser.add_argument("--limit", type=int, default=64, help="items of each benchmark")
    parser.add_argument("--save", action="store_true", help="write results/evaluation.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        figures = measure(arguments, Path(place))
    report("evaluation", dict(figures), arguments.save)


if __name__ == "__main__":
    main()
