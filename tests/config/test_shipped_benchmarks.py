"""The benchmarks that ship: prompts, targets and extraction against lm-eval's own tasks, real runs, contamination."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lm_eval
import pytest
import yaml

from statllama.config.benchmarks import BenchmarkError, TaskFile, find_tasks, task_fingerprint
from statllama.config.blind import read_blind
from statllama.config.evaluate import EvaluateSpec
from statllama.data.contamination import Questions, read_questions
from statllama.errors import EvaluationError, RecipeError
from statllama.evaluation.scores import TaskScore
from statllama.evaluation.suite import protocol_key, score
from statllama.recipe import load_recipe
from statllama.runs.data_check import check
from statllama.runs.reporting import Reporter
from statllama.store import Store
from tests.conftest import REPO, SHARED, make_llama, stage, write_jsonl

EVAL = REPO / "eval"
THEIRS = Path(lm_eval.__file__).parent / "tasks"
NAMES = {
    "gsm8k": ["gsm8k/gsm8k.yaml"],
    "arc_challenge": ["arc/arc_easy.yaml", "arc/arc_challenge.yaml"],
    "mmlu_high_school_statistics": [
        "mmlu/default/_default_template_yaml", "mmlu/default/mmlu_high_school_statistics.yaml",
    ],
}  # fmt: skip
# In the hub's columns; the questions are this project's own.
SUMS = [
    {"question": f"Ann has {i} pens and buys {i + 2} more. How many pens has she now?",
     "answer": f"She has {i}+{i + 2}=<<{i}+{i + 2}={2 * i + 2}>>{2 * i + 2} pens.\n#### {2 * i + 2}"}
    for i in range(3, 24)
]  # fmt: skip
SCIENCE = [
    {"id": f"own-{i}", "question": f"Which of these {i} things melts in the sun?", "answerKey": key,
     "choices": {"text": ["ice", "iron", "stone", "wood"], "label": labels}}
    for i, (key, labels) in enumerate([("A", list("ABCD")), ("3", list("1234")), ("D", list("ABCD"))])
]  # fmt: skip
STATISTICS = [
    {"question": f" Which of these is not changed by adding {i + 1} to every value? ", "answer": 2,
     "subject": "high_school_statistics",
     "choices": ["the mean", "the median", "the standard deviation", "the largest value"]}
    for i in range(4)
]  # fmt: skip


@pytest.mark.parametrize("name", ["ap_statistics", "ap_statistics_generate"])
def test_a_blind_baseline_is_that_of_the_page(name: str) -> None:
    """Both ask the same items, and the page of these says what was measured."""
    (task,) = find_tasks([name], [EVAL]).values()
    blind = read_blind(task.config["metadata"]["blind"])
    assert blind is not None and blind.stderr is not None and blind.how
    page = (EVAL / "ap_statistics" / "README.md").read_text("utf-8")
    assert f"| {100 * blind.value:.1f} % (standard error over kinds {100 * blind.stderr:.1f}) |" in page


def shared(name: str, own: list[dict[str, Any]], most: int = 40) -> list[dict[str, Any]]:
    """The first rows of a public file where it is there, else our own."""
    path = SHARED / "data" / name
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()[:most]] if path.is_file() else own


@pytest.fixture
def data(tmp_path: Path) -> dict[str, dict[str, str]]:
    """{task: {split: file}} with a few rows for each task."""
    science = shared("arc_challenge_train_200.jsonl", SCIENCE)
    rows = {
        "gsm8k": {"test": shared("gsm8k_test_200.jsonl", SUMS), "train": shared("gsm8k_train_1000.jsonl", SUMS)},
        "arc_challenge": {"test": science},
        "mmlu_high_school_statistics": {"test": STATISTICS},
    }
    return {
        name: {split: str(write_jsonl(tmp_path / f"{name}-{split}.jsonl", found)) for split, found in splits.items()}
        for name, splits in rows.items()
    }


def loaded(config: dict[str, Any]) -> Any:
    """lm-eval's task object for a config."""
    from lm_eval.tasks import TaskManager

    return TaskManager(include_defaults=False).load([config])["tasks"][config["task"]]


def theirs(name: str, ours: TaskFile) -> Any:
    """lm-eval's own task on the same local files."""
    config: dict[str, Any] = {}
    for part in NAMES[name]:
        config |= yaml.safe_load((THEIRS / part).read_text("utf-8"))
    for key in ("include", "tag", "task_alias", "dataset_name", "training_split", "validation_split", "fewshot_split"):
        config.pop(key, None)
    place = {key: ours.config[key] for key in ("dataset_path", "dataset_kwargs", "fewshot_split") if key in ours.config}
    return loaded({**config, **place})


@pytest.mark.parametrize("name", NAMES)
def test_pinned_and_as_lm_evals_own(name: str) -> None:
    """Every field is lm-eval's but the number of examples, the commit, and what it has by default."""
    ours = dict(find_tasks([name], [EVAL])[name].config)
    own: dict[str, Any] = {}
    for part in NAMES[name]:
        own |= yaml.safe_load((THEIRS / part).read_text("utf-8"))
    assert len(ours.pop("dataset_kwargs")["revision"]) == 40
    assert ours.pop("num_fewshot") == (8 if name == "gsm8k" else 0)
    if name == "gsm8k":
        assert ours["generation_kwargs"].pop("max_gen_toks") == 256
    skipped = ("include", "tag", "task_alias", "should_decontaminate", "doc_to_decontamination_query", "num_fewshot")
    expected = {key: value for key, value in own.items() if key not in (*skipped, "fewshot_config")}
    assert ours == expected


@pytest.mark.parametrize("name", NAMES)
def test_prompts_and_targets_are_lm_evals(name: str, data: dict[str, dict[str, str]]) -> None:
    task = find_tasks([name], [EVAL], data)[name]
    mine, other = loaded(dict(task.config)), theirs(name, task)
    docs = list(mine.test_docs())
    assert len(docs) >= 3 and docs == list(other.test_docs())
    for doc in docs:
        assert mine.doc_to_text(doc) == other.doc_to_text(doc)
        assert mine.doc_to_target(doc) == other.doc_to_target(doc)
        if mine.OUTPUT_TYPE == "multiple_choice":
            assert mine.doc_to_choice(doc) == other.doc_to_choice(doc)
    assert mine.config.description == other.config.description


@pytest.mark.parametrize(
    ("name", "row", "text", "target"),
    [
        ("gsm8k", SUMS[0], "Question: Ann has 3 pens and buys 5 more. How many pens has she now?\nAnswer:",
         "She has 3+5=<<3+5=8>>8 pens.\n#### 8"),
        ("arc_challenge", SCIENCE[1], "Question: Which of these 1 things melts in the sun?\nAnswer:", 2),
        ("mmlu_high_school_statistics", STATISTICS[0],
         "Which of these is not changed by adding 1 to every value?\nA. the mean\nB. the median\n"
         "C. the standard deviation\nD. the largest value\nAnswer:", 2),
    ],
)  # fmt: skip
def test_golden_prompts(name: str, row: dict[str, Any], text: str, target: object, tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "rows.jsonl", [row])
    place = {"test": str(file), "train": str(file)} if name == "gsm8k" else str(file)
    task = loaded(dict(find_tasks([name], [EVAL], {name: place})[name].config))
    (doc,) = task.test_docs()
    assert task.doc_to_text(doc) == text and task.doc_to_target(doc) == target


@pytest.mark.parametrize(
    ("reply", "target", "strict", "flexible"),
    [
        ("3 + 5 = 8\n#### 8", "8", 1, 1),
        ("#### 1,234", "1234", 1, 1),
        ("#### 1234", "1,234", 1, 1),
        ("#### -7", "-7", 1, 1),
        ("#### 7", "-7", 0, 0),
        ("#### 18.", "18", 1, 1),
        ("#### $18", "18", 0, 1),  # strict takes the dollar sign for no number
        ("She pays $1,050.", "1050", 0, 1),
        ("First 5, then 12, so 17", "17", 0, 1),
        ("It is 17, and not 12", "17", 0, 0),  # flexible takes the last number
        ("The answer is -3", "-3", 0, 1),
        ("#### 8\n#### 9", "8", 1, 0),  # strict takes the first one
        ("#### 8.0", "8", 0, 0),
        ("I do not know", "8", 0, 0),
        ("", "8", 0, 0),
    ],
)
def test_extraction_on_worked_examples(
    reply: str, target: str, strict: int, flexible: int, data: dict[str, dict[str, str]]
) -> None:
    """By lm-eval's own filters and metric, as they run in a score."""
    task = find_tasks(["gsm8k"], [EVAL], data)["gsm8k"]
    for made in (loaded(dict(task.config)), theirs("gsm8k", task)):
        doc = {"question": "?", "answer": f"So it is.\n#### {target}"}
        found = {}
        for steps in made._filters:
            answer = [[reply]]
            for step in steps.filters:
                answer = step().apply(answer, [doc])
            (prediction,) = answer
            found[steps.name] = made.process_results(doc, [prediction])["exact_match"]
        assert found == {"strict-match": strict, "flexible-extract": flexible}


@pytest.fixture(scope="module")
def model(tokenizer: Any) -> Any:
    return make_llama(len(tokenizer), max_position_embeddings=16384).eval()


def run(model: Any, tokenizer: Any, name: str, data: dict[str, Any], **fields: Any) -> TaskScore:
    spec = EvaluateSpec(tasks=(name,), data={name: data[name]}, max_length=16384, **fields)
    (result,) = score(model, tokenizer, find_tasks([name], [EVAL], spec.data).values(), spec)
    return result


@pytest.mark.parametrize("name", ["arc_challenge", "mmlu_high_school_statistics"])
def test_choices_scored_for_real(name: str, model: Any, tokenizer: Any, data: dict[str, Any]) -> None:
    result = run(model, tokenizer, name, data, limit=4)
    assert result.metric == "acc" and result.truncated == 0 and result.n == min(4, result.total)
    assert set(result.others) == ({"acc_norm"} if name == "arc_challenge" else set())
    if name != "arc_challenge":
        assert result.samples[0]["choices"] == ["A", "B", "C", "D"] and result.samples[0]["answer"] == 2
        assert "about high school statistics." in result.samples[0]["prompt"]


def test_gsm8k_for_real(model: Any, tokenizer: Any, data: dict[str, Any]) -> None:
    result = run(model, tokenizer, "gsm8k", data, limit=2)
    assert result.metric == "exact_match" and set(result.others) == {"exact_match,flexible-extract"}
    assert result.truncated == 0
    prompt = result.samples[0]["prompt"]
    assert prompt.count("Question:") == 9 and prompt.count("<|start_header_id|>assistant") == 9
    assert prompt.count("####") == 8  # the worked examples; the question itself has none
    single = run(model, tokenizer, "gsm8k", data, limit=1, fewshot_as_turns=False).samples[0]["prompt"]
    assert single.count("<|start_header_id|>assistant") == 1 and single.count("####") == 8


def test_a_file_stands_in_by_content(tmp_path: Path, data: dict[str, Any]) -> None:
    name = "mmlu_high_school_statistics"

    def fingerprint(place: Any, root: Path = Path()) -> str:
        return task_fingerprint(find_tasks([name], [EVAL], {name: place} if place else None, root)[name])

    moved = write_jsonl(tmp_path / "else" / "where.jsonl", STATISTICS)
    first = fingerprint(data[name])
    assert first == fingerprint(str(moved)) == fingerprint("where.jsonl", moved.parent) != fingerprint(None)
    write_jsonl(moved, STATISTICS[1:])
    assert fingerprint(str(moved)) != first
    spec = [EvaluateSpec(tasks=(name,), data={name: place}) for place in ("a.jsonl", "b.jsonl")]
    found = [protocol_key(each, {name: first}, (), "b", "float32") for each in spec]
    assert found[0] == found[1]


def test_without_the_hub_the_remedy_is_a_file(model: Any, tokenizer: Any) -> None:
    with pytest.raises(EvaluationError, match="the hub cannot be reached") as caught:
        score(model, tokenizer, find_tasks(["arc_challenge"], [EVAL]).values(), EvaluateSpec())
    assert "`evaluate: {data: {arc_challenge: FILE}}`" in str(caught.value)


def test_a_score_never_falls_back_on_the_hub(model: Any, tokenizer: Any) -> None:
    name = "arc_challenge"
    spec = EvaluateSpec(tasks=(name,), data={name: "mine.jsonl"})
    with pytest.raises(EvaluationError, match="was read without it"):
        score(model, tokenizer, find_tasks([name], [EVAL]).values(), spec)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("test.jsonl", "no file for 'train', from which the 8 examples"),
        ({"train": "test.jsonl"}, "no file for 'test', the split that is scored"),
        ({"test": "test.jsonl", "trian": "test.jsonl"}, "has no split 'trian'; did you mean 'train'"),
        ({"test": "absent.jsonl", "train": "test.jsonl"}, "no such file"),
        ({"test": "test.xlsx", "train": "test.jsonl"}, "must end in one of .jsonl"),
        ({"test": "empty.jsonl", "train": "test.jsonl"}, "is empty"),
        ({"test": "test.jsonl", "train": "train.csv"}, "must share one format"),
    ],
)
def test_wrong_files_are_explained(tmp_path: Path, place: Any, message: str) -> None:
    write_jsonl(tmp_path / "test.jsonl", SUMS)
    for name in ("test.xlsx", "train.csv"):
        (tmp_path / name).write_text("question,answer\na,b\n")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(BenchmarkError) as caught:
        find_tasks(["gsm8k"], [EVAL], {"gsm8k": place}, tmp_path)
    assert message in str(caught.value) and "evaluate.data.gsm8k" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"gsm8": "a.jsonl"}, "did you mean 'gsm8k'"),
        ({"gsm8k": 3}, "`data.gsm8k` should be a file, or files by split"),
        ({"gsm8k": {}}, "`data.gsm8k` should be a file"),
        ({"gsm8k": {"test": None}}, "`data.gsm8k` should be a file"),
        ("a.jsonl", "should be a mapping"),
    ],
)
def test_wrong_data_in_a_recipe(write_recipe: Callable[..., Path], value: object, message: str) -> None:
    path = write_recipe([stage("sft")], evaluate={"tasks": ["gsm8k"], "data": value})
    with pytest.raises(RecipeError) as caught:
        load_recipe(str(path))
    assert message in str(caught.value)


def gsm8k_here(folder: Path, test: list[dict[str, Any]], train: list[dict[str, Any]]) -> None:
    """The shipped task beside a recipe, on local files."""
    task = yaml.safe_load((EVAL / "gsm8k" / "gsm8k.yaml").read_text("utf-8"))
    task |= {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": "test.jsonl", "train": "train.jsonl"}}}
    del task["dataset_name"]
    write_jsonl(folder / "gsm8k" / "test.jsonl", test)
    write_jsonl(folder / "gsm8k" / "train.jsonl", train)
    (folder / "gsm8k" / "gsm8k.yaml").write_text(yaml.safe_dump(task))


def test_training_on_the_train_split_passes_and_a_test_question_stops(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    if not (SHARED / "data").is_dir():
        pytest.skip("needs the shared data")
    test, train = shared("gsm8k_test_200.jsonl", [], 200), shared("gsm8k_train_1000.jsonl", [], 1000)
    gsm8k_here(tmp_path / "eval", test, train)
    one = stage("sft", train={"max_length": 2048}, data=[{"path": "sft.jsonl"}])
    path = write_recipe([one], evaluate={"tasks": ["gsm8k"]})

    def stops(rows: list[dict[str, Any]]) -> list[str]:
        write_jsonl(tmp_path / "sft.jsonl", [{"prompt": r["question"], "completion": r["answer"]} for r in rows])
        (found,) = check(load_recipe(str(path)), Store(tmp_path / "w"), Reporter())
        return [verdict.text for verdict in found.verdicts if verdict.level == "error"]

    assert stops(train) == []
    (planted,) = stops([*train, test[3]])
    assert "1 row copies" in planted


def test_contamination_reads_the_file_that_is_scored(data: dict[str, Any]) -> None:
    tasks = find_tasks(["gsm8k"], [EVAL], data).values()
    questions = read_questions(tasks)
    rows = [json.loads(line) for line in Path(data["gsm8k"]["test"]).read_text("utf-8").splitlines()]
    assert [q.text for q in questions] == [row["question"] for row in rows]
    assert Questions(questions).search(rows[0]["question"], "row 1") is not None
