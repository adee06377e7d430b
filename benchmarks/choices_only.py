"""What a model scores on a multiple-choice benchmark without the question, beside its score with it.

The benchmark is asked twice through statllama's own scorer: as it is, and from a copy of its task file without the
lines of the prompt that hold the question ("choices only": Balepur et al. 2024, arXiv 2402.12483). A model that does
better than chance there knows the benchmark's habits; what the question adds is the paired difference. Standard errors
are of clusters, where the task file names their column. Beside them stand chance and, where the task file states one
(`metadata.blind`), the blind baseline: a classifier that learned from the options of other items.

    python benchmarks/choices_only.py MODEL [--task ap_statistics]

MODEL is a folder or hub id of a model, or a run in the workspace. Prompts go through its chat template if it has one.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections import defaultdict
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml
from common import report

from statllama.config.benchmarks import TaskFile, chosen_tasks, read_task
from statllama.errors import StatllamaError, UsageError
from statllama.evaluation.clusters import clustered_error, sums_of
from statllama.evaluation.paired import paired_change
from statllama.evaluation.scores import TaskScore
from statllama.runs.loaded import Loaded
from statllama.runs.reporting import Reporter
from statllama.runs.scorebook import with_samples
from statllama.runs.scorer import Scorer
from statllama.runs.subject import Subject
from statllama.runs.targets import find_subject
from statllama.store import Store

SUFFIX = "_choices_only"


def without_question(template: str) -> str:
    """Return a prompt template without the lines that hold the question.

    UsageError when no line does, or when such a line holds a statement too: it could not be taken out alone.

    >>> without_question("Question: {{question.strip()}}\\n{% for c in choices %}{{c}}\\n{% endfor %}Answer:")
    '{% for c in choices %}{{c}}\\n{% endfor %}Answer:'
    """
    lines = template.split("\n")
    asked = [line for line in lines if re.search(r"\{\{[^}]*\bquestion\b[^}]*\}\}", line)]
    kept = "\n".join(line for line in lines if line not in asked)
    if not asked or not kept.strip() or any("{%" in line for line in asked):
        raise UsageError(
            f"`doc_to_text` has no lines of their own for the question: {template!r}",
            remedy="put {{question}} on a line of the prompt without statements, and more lines below it",
        )
    return kept


def choices_only(task: TaskFile, folder: Path) -> TaskFile:
    """Write a copy of a benchmark without its questions into `folder` and return it.

    UsageError for one that is not multiple choice, or whose prompt has no lines of its own for the question.
    """
    if task.config["output_type"] != "multiple_choice" or not isinstance(task.config["doc_to_text"], str):
        raise UsageError(f"{task.name} is not multiple choice with a prompt template", remedy="choose another --task")
    name = task.name + SUFFIX
    config = {**task.config, "task": name, "doc_to_text": without_question(task.config["doc_to_text"])}
    path = folder / name / f"{name}.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return replace(read_task(path), replaced=task.replaced)


def scores(subject: Subject, store: Store) -> tuple[TaskScore, TaskScore]:
    """Return the scores of `subject` with and without the question."""
    loaded = Loaded(subject.base, subject.identity, store, Reporter(), subject.evaluate.max_length)
    spec = subject.evaluate
    if not loaded.tokenizer.chat_template:
        spec = spec.model_copy(update={"chat_template": False})
    (whole,) = chosen_tasks(spec, subject.root)
    with tempfile.TemporaryDirectory(prefix="statllama-choices-only-") as folder:
        tasks = [whole, choices_only(whole, Path(folder))]
        scorer = Scorer(loaded, tasks, spec, subject.precision)
        stack = subject.stack(subject.last)
        scorer.score(stack)
        with_it, without = (with_samples(store, key) for key in scorer.keys(stack).values())
    return with_it, without


def topics(score: TaskScore) -> dict[str, str]:
    """Return each topic's percent right and its standard error, of clusters; empty where items have no topic."""
    rows = defaultdict[str, list[tuple[float, Any]]](list)
    clusters = score.clusters or tuple(range(score.n))
    for sample, item, cluster in zip(score.samples, score.items, clusters, strict=True):
        if "topic" in sample:
            rows[sample["topic"]].append((item, cluster))
    found = {}
    for topic, pairs in sorted(rows.items()):
        items, of = zip(*pairs, strict=True)
        error = clustered_error(items, sums_of(items, of))
        found[topic] = f"{100 * fmean(items):.1f} ± " + ("?" if error is None else f"{100 * error:.1f}")
    return found


def figures(score: TaskScore) -> dict[str, Any]:
    """Return what is printed of one score, in percent."""
    letters = [sample["prediction"] for sample in score.samples]
    return {
        "right_percent": round(100 * score.value, 1),
        "stderr_points": None if score.stderr is None else round(100 * score.stderr, 1),
        "items": score.n,
        "clusters": None if score.clusters is None else len(set(score.clusters)),
        "most_frequent_answer_percent": round(100 * max(map(letters.count, letters)) / score.n, 1),
        "topics": topics(score),
    }


def measured(whole: TaskScore, alone: TaskScore) -> dict[str, Any]:
    """Return all figures: both scores, chance, the blind baseline, and what the question adds, in points."""
    change = paired_change(alone.items, whole.items, whole.clusters)
    return {
        "with_question": figures(whole),
        "choices_only": figures(alone),
        "chance_percent": None if alone.chance is None else round(100 * alone.chance, 1),
        "blind_baseline": None if whole.blind is None else asdict(whole.blind),
        "question_adds": {
            "points": round(change.difference, 1),
            "interval_95": [round(change.low, 1), round(change.high, 1)],
            "p": round(change.p, 4),
        },
    }


def main() -> None:
    """Score, print, and save where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder or hub id of a model, or a run in the workspace")
    parser.add_argument("--task", default="ap_statistics", help="a multiple-choice benchmark (default: ap_statistics)")
    parser.add_argument("--data", help="your own file of items")
    parser.add_argument("--limit", type=int, help="score the first items only")
    parser.add_argument("--workspace", type=Path, help="keep the scores there; default: a temporary folder")
    parser.add_argument("--save", action="store_true", help="write results/choices_only.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="statllama-workspace-") as place:
        try:
            store = Store(args.workspace or Path(place))
            data = {args.task: str(Path(args.data).resolve())} if args.data else {}
            changes = {"tasks": [args.task], "data": data, "limit": args.limit}
            found = measured(*scores(find_subject(args.model, store).evaluated(changes), store))
        except StatllamaError as error:
            print(f"Error: {error}", file=sys.stderr)
            sys.exit(error.exit_code)
    settings = {"model": Path(args.model).name, "task": args.task, "data": args.data, "limit": args.limit}
    report("choices_only", {"settings": settings, **found}, args.save)


if __name__ == "__main__":
    main()
