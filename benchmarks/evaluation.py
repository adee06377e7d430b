"""What it costs to score a base and three stages, against four runs of the `lm_eval` command on merged models.

statllama: one `statllama eval` of the quickstart's base and its stages cpt, sft and dpo, which loads the base once and
switches the adapters. The other way: each stack merged into a float32 model, saved, and given to the command. Both are
timed from the start of a process to its end, answer everything anew, and report the same scores (checked). Merging and
saving are timed apart and not counted.

Also measured: choices of a question in one row, against a row for each; replies generated in batches of like length, as
here and in lm-eval, against batches of random order.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import median, report

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO))  # the command that tests/evaluation/test_lm_eval_parity.py compares with, item by item

from statllama.config.benchmarks import find_tasks  # noqa: E402
from statllama.config.evaluate import EvaluateSpec  # noqa: E402
from tests.evaluation import lm_eval_command  # noqa: E402

STAGES = ("cpt", "sft", "dpo")
TASKS = ("quickstart_stats", "quickstart_general", "ap_statistics")
ITEMS, NEW, ROUNDS = 32, 32, 3  # generation: items of each benchmark, tokens of a reply, times


def statllama(*arguments: str) -> float:
    """Run a command of statllama; seconds."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "statllama", *arguments], cwd=REPO, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def trained(given: Path | None, folder: Path) -> Path:
    """A workspace with the quickstart's stages and no scores: a copy of the given one, or trained now."""
    if given is not None:
        shutil.copytree(given, folder, ignore=shutil.ignore_patterns("scores", "tmp"), dirs_exist_ok=True)
    statllama("run", "quickstart", "--workspace", str(folder), "--set", "evaluate.tasks=[]")
    return folder


def in_one_process(workspace: Path, spec: EvaluateSpec) -> tuple[float, dict[str, dict[str, float]]]:
    """Seconds of one `statllama eval`, and {stack: {task: its value}}."""
    out = workspace / "scorecard.json"
    shutil.rmtree(workspace / "scores", ignore_errors=True)
    chosen = [word for stage in STAGES for word in ("--stage", stage)]
    chosen += [word for task in spec.tasks for word in ("--task", task)]
    limit = ["--limit", str(spec.limit)] if spec.limit else []
    settings = [f"evaluate.batch_size={spec.batch_size}", f"evaluate.max_length={spec.max_length}"]
    chosen += [word for setting in settings for word in ("--set", setting)]
    seconds = statllama("eval", "quickstart", *chosen, *limit, "--workspace", str(workspace), "--out", str(out))
    return seconds, values_of(json.loads(out.read_text("utf-8")))


def values_of(scorecard: dict[str, Any]) -> dict[str, dict[str, float]]:
    """{stack: {task: headline value}} of a scorecard's JSON."""
    return {row["name"]: {cell["task"]: cell["value"] for cell in row["cells"]} for row in scorecard["rows"]}


def merged_models(workspace: Path, folder: Path) -> tuple[dict[str, Path], float]:
    """{stack: folder with its float32 model}, and the seconds that merging and saving took."""
    import torch
    from transformers import AutoModelForCausalLM

    from statllama.model.adapter import load_adapter
    from statllama.runs.targets import find_subject
    from statllama.store import Store

    store = Store(workspace)
    subject = find_subject("quickstart", store)
    base = load(subject)
    started = time.perf_counter()
    models = {}
    for name in ("base", *STAGES):
        parts = [store.verify("results", key).path for key in subject.stack(name).keys]
        scales = [next(iter(load_adapter(path).slices.values())).scaling for path in parts]
        empty: Any = AutoModelForCausalLM.from_pretrained(subject.base.model, dtype=torch.float32)
        pairs = list(zip(parts, scales, strict=True))
        lm_eval_command.export(base.model, empty, pairs, base.tokenizer, folder / name)
        models[name] = folder / name
    return models, time.perf_counter() - started


def load(subject: Any) -> Any:
    """The subject's base, as `statllama eval` loads it on a CPU."""
    from statllama.model.base_model import load_base, start_backend

    start_backend("transformers")
    return load_base(subject.base, subject.identity, "float32", 4096, "transformers")


def by_command(models: dict[str, Path], spec: EvaluateSpec, folder: Path) -> dict[str, tuple[float, dict[str, float]]]:
    """{stack: (seconds of one run of the command, {task: its value})}."""
    tasks = find_tasks(spec.tasks, [REPO / "eval"])
    found = {}
    for name, model in models.items():
        work = folder / f"lm_eval-{name}"
        work.mkdir()
        line = lm_eval_command.command(model, tasks.values(), spec, work)
        started = time.perf_counter()
        said = lm_eval_command.run(line, work, seconds=7200)
        found[name] = (time.perf_counter() - started, {task: said[task].results["acc,none"] for task in spec.tasks})
    return found


# ------------------------------------------------------------------ generation


@contextmanager
def random_batches() -> Iterator[None]:
    """Within, lm-eval fills its batches in an order that has nothing to do with length."""
    import lm_eval.models.huggingface as harness

    real = harness.Collator

    class Shuffled(real):  # type: ignore[misc, valid-type]
        def __init__(self, arr: Any, sort_fn: Any = None, **options: Any) -> None:
            super().__init__(arr, sort_fn=lambda request: hashlib.sha256(request[0].encode()).digest(), **options)

    harness.Collator = Shuffled
    try:
        yield
    finally:
        harness.Collator = real


@contextmanager
def clocked() -> Iterator[list[float]]:
    """Within, the list gets the seconds of each call that generates all replies of a benchmark."""
    from statllama.evaluation.language_model import LanguageModel

    seconds: list[float] = []
    real = LanguageModel.generate_until

    def generate_until(self: Any, requests: Any, disable_tqdm: bool = False) -> Any:
        started = time.perf_counter()
        replies = real(self, requests, disable_tqdm)
        seconds.append(time.perf_counter() - started)
        return replies

    LanguageModel.generate_until = generate_until
    try:
        yield seconds
    finally:
        LanguageModel.generate_until = real


def last_stack(workspace: Path) -> tuple[Any, list[Any]]:
    """The quickstart's base, and the adapters of its last stage here."""
    from statllama.model.adapter import load_adapter
    from statllama.runs.targets import find_subject
    from statllama.store import Store

    store = Store(workspace)
    subject = find_subject("quickstart", store)
    return load(subject), [load_adapter(store.verify("results", key).path) for key in subject.stack(STAGES[-1]).keys]


def generation(base: Any, adapters: Sequence[Any], folder: Path, batch_size: int) -> dict[str, Any]:
    """New tokens a second in batches of like length and of random order, with NEW of them a reply whatever it says."""
    from statllama.evaluation.suite import score
    from statllama.model.base_model import scoring

    rows = []
    for name in TASKS:
        lines = (REPO / "eval" / name / "test.jsonl").read_text("utf-8").splitlines()
        found = [json.loads(line) for line in lines][:ITEMS]
        rows += [{key: row[key] for key in ("question", "choices", "answer")} for row in found]
    file = folder / "items.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    name = "ap_statistics_generate"
    spec = EvaluateSpec(tasks=(name,), data={name: str(file)}, batch_size=batch_size)
    task = find_tasks([name], [REPO / "eval"], spec.data)[name]
    kwargs = {"until": [], "max_gen_toks": NEW, "min_new_tokens": NEW, "do_sample": False}
    task = replace(task, config={**task.config, "generation_kwargs": kwargs})

    def replies(model: Any) -> tuple[dict[str, Any], ...]:
        return score(model, base.tokenizer, [task], spec)[0].samples

    by_length, random_order = [], []
    with scoring(base, adapters) as model, clocked() as seconds:
        replies(model)  # everything is loaded once
        for _ in range(ROUNDS):
            first = replies(model)
            by_length.append(seconds[-1])
            with random_batches():
                second = replies(model)
            random_order.append(seconds[-1])
    lengths = [len(base.tokenizer(sample["prompt"], add_special_tokens=False).input_ids) for sample in first]
    return {
        "settings": {"items": len(rows), "batch_size": batch_size, "new_tokens_a_reply": NEW, "rounds": ROUNDS},
        "prompt_tokens": {"least": min(lengths), "median": median(lengths), "most": max(lengths)},
        "same_replies": sum(a["generated"] == b["generated"] for a, b in zip(first, second, strict=True)),
        "new_tokens_a_second_by_length": len(rows) * NEW / median(by_length),
        "new_tokens_a_second_in_random_order": len(rows) * NEW / median(random_order),
        "times_faster": median(random_order) / median(by_length),
    }


@contextmanager
def rows_of_their_own() -> Iterator[None]:
    """Within, each choice has a row of its own, as in lm-eval, which shares a row where choices differ in one token."""
    import statllama.evaluation.language_model as harness

    real = harness.takes_forks
    harness.takes_forks = lambda model: False
    try:
        yield
    finally:
        harness.takes_forks = real


def shared_context(base: Any, adapters: Sequence[Any], batch_size: int) -> dict[str, Any]:
    """Seconds to score a stack with all choices of a question in one row, and with a row for each, by benchmark."""
    from statllama.evaluation.suite import Suite
    from statllama.model.base_model import scoring

    spec = EvaluateSpec(tasks=TASKS, batch_size=batch_size, max_length=512)
    suite = Suite(find_tasks(TASKS, [REPO / "eval"]).values(), spec)
    found = {}
    with scoring(base, adapters) as model:
        for task in TASKS:
            together, apart = [], []
            suite.score(task, model, base.tokenizer)  # everything is loaded once
            for _ in range(ROUNDS):
                first = suite.score(task, model, base.tokenizer)
                with rows_of_their_own():
                    second = suite.score(task, model, base.tokenizer)
                together.append(first.seconds)
                apart.append(second.seconds)
            found[task] = {
                "seconds_in_one_row": median(together),
                "seconds_in_rows_of_their_own": median(apart),
                "times_faster": median(apart) / median(together),
                "same_scores": sum(a == b for a, b in zip(first.items, second.items, strict=True)),
                "items": first.n,
            }
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=Path, help="where the quickstart was trained; default: train it now")
    parser.add_argument("--task", action="append", help=f"benchmarks with `acc`; default: {', '.join(TASKS)}")
    parser.add_argument("--limit", type=int, help="items of each benchmark; default: all")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--save", action="store_true", help="write results/evaluation.json")
    arguments = parser.parse_args()
    spec = EvaluateSpec(
        tasks=tuple(arguments.task or TASKS), limit=arguments.limit, batch_size=arguments.batch_size, max_length=512
    )
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        workspace = trained(arguments.workspace, folder / "workspace")
        models, merging = merged_models(workspace, folder / "models")
        load_before = os.getloadavg()[0]
        first, values = in_one_process(workspace, spec)
        theirs = by_command(models, spec, folder)
        second, _ = in_one_process(workspace, spec)  # before and after: other work on the machine comes and goes
        command = {name: seconds for name, (seconds, _) in theirs.items()}
        figures = {
            "settings": {"stacks": list(models), **spec.model_dump(include={"tasks", "limit", "batch_size"})},
            "load_average": {"before": load_before, "after": os.getloadavg()[0]},
            "seconds_one_process": [first, second],
            "seconds_by_command": command,
            "seconds_merging_not_counted": merging,
            "same_values": all(
                abs(values[name][task] - found[task]) < 1e-9
                for name, (_, found) in theirs.items()
                for task in spec.tasks
            ),
            "times_faster": 2 * sum(command.values()) / (first + second),
            "values": values,
        }
        base, adapters = last_stack(workspace)
        figures["shared_context"] = shared_context(base, adapters, arguments.batch_size)
        figures["generation"] = generation(base, adapters, folder, arguments.batch_size // 2)
    report("evaluation", figures, arguments.save)


if __name__ == "__main__":
    main()
