"""Own data to a scored specialist: write rows, name them in a recipe of a few lines, run it, look at the scores.

    python examples/01_own_data.py        # a minute on a CPU, without a GPU or a download; works in the current folder

The base is the model of 3.5 M parameters that ships with the quickstart: it knows animals and tools, and no statistics.
An argument sets the number of training steps.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import statllama

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 60
TESTS = {
    "Two-sample t test.": "the means of two groups of {}",
    "Analysis of variance.": "the means of three groups of {}",
    "One-sample t test.": "the mean of one group of {}",
    "Two-sample z test.": "the shares of two groups of {}",
    "Rank test.": "the ranks of two groups of {}",
    "Paired t test.": "the same {} before and after",
    "Chi-square test.": "a table with counts of {}",
    "Correlation test.": "age and height of each of the {}",
}
LESSONS = ("We look at {}. Which test is right?", "Find the test. The data are {}.", "Name the test for {}.")
EXAM = ("I have {}. Which test do I take?", "Here are {}. What is the test?", "State the test if there are {}.")

folder = Path("own_data")
(folder / "eval/own_exam").mkdir(parents=True, exist_ok=True)


def write(name: str, rows: Iterable[Mapping[str, object]]) -> None:
    """Write one JSON object a line."""
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


# 1. The data: questions and answers to learn from, and others, in other words and with four choices, to be asked.
lessons = [
    {"question": wording.format(case.format(people)), "answer": test}
    for wording in LESSONS
    for people in ("nurses", "farmers", "teachers")
    for test, case in TESTS.items()
]
names = list(TESTS)
exam = [
    {
        "question": wording.format(case.format(people)),
        "choices": [names[(i + 3 * k) % 8] for k in range(4)],
        "answer": 0,  # the first choice; each is scored by its probability, so its place does not matter
    }
    for wording in EXAM
    for people in ("bakers", "pilots")
    for i, case in enumerate(TESTS.values())
]
write("lessons.jsonl", lessons)
write("eval/own_exam/exam.jsonl", exam)

# 2. The benchmark, in lm-evaluation-harness's format, and the recipe: a base, one stage on these rows, that benchmark.
(folder / "eval/own_exam/own_exam.yaml").write_text(
    """\
task: own_exam
dataset_path: json
dataset_kwargs: {data_files: {test: exam.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: question
doc_to_choice: choices
doc_to_target: answer
metric_list: [{metric: acc}]
""",
    encoding="utf-8",
)
recipe = folder / "own_data.yaml"
recipe.write_text(
    f"""\
name: own_data
base: {{model: {json.dumps(statllama.load_recipe("quickstart").base.model)}}}
stages:
  - name: sft
    type: sft
    data: [{{path: lessons.jsonl}}]
    lora: {{r: 16, alpha: 32, rslora: true}}
    train: {{steps: {STEPS}, batch_size: 8, learning_rate: 3e-3, max_length: 128}}
evaluate: {{tasks: [own_exam], max_length: 256}}
""",
    encoding="utf-8",
)

# 3. Train what is not trained yet; score the base and the stage on the same questions.
run = statllama.run(recipe, "workspace", progress=True)
frame = run.to_pandas()
print(frame[["stack", "task", "items", "score", "stderr", "from_base", "from_base_verdict"]].to_string(index=False))
