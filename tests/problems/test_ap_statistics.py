"""The benchmark ap_statistics: reproducible, well formed, and clear of what recipes train on; and the glossary."""

from __future__ import annotations

import collections
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from statllama.config.benchmarks import find_tasks
from statllama.data.contamination import Questions, read_questions
from statllama.problems import rows
from tests.conftest import REPO

FOLDER = REPO / "eval" / "ap_statistics"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_script_writes_the_committed_bytes(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make_test", FOLDER / "make_test.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(tmp_path / "test.jsonl")
    assert (tmp_path / "test.jsonl").read_bytes() == (FOLDER / "test.jsonl").read_bytes()


def test_items() -> None:
    items = lines(FOLDER / "test.jsonl")
    assert len({item["question"] for item in items}) == len(items) == 450
    for item in items:
        assert len(set(item["choices"])) == 4 == len(item["misconceptions"])
        assert [i for i, slip in enumerate(item["misconceptions"]) if slip is None] == [item["answer"]]
    topics = collections.Counter(item["topic"] for item in items)
    assert len(topics) == 9 and set(topics.values()) == {50}
    letters = collections.Counter(item["answer"] for item in items)
    assert max(letters.values()) - min(letters.values()) <= 1
    assert any(item["held_out"] for item in items)


def test_no_training_row_copies_an_item() -> None:
    index = Questions(read_questions(find_tasks(["ap_statistics"], [REPO / "eval"]).values()))
    for form in ("sft", "chat", "dpo"):
        texts = [(str(i), json.dumps(row)) for i, row in enumerate(rows(form, 2500, seed=11))]
        hits = [hit for start in range(0, len(texts), 256) for hit in index.search_batch(texts[start : start + 256])]
        assert not any(hits)


def loaded(name: str, file: Path | None = None) -> Any:
    """lm-eval's task object, on a file of one's own or the items that ship."""
    from lm_eval.tasks import TaskManager

    task = find_tasks([name], [REPO / "eval"], {name: str(file)} if file else None)[name]
    return TaskManager(include_defaults=False).load([dict(task.config)])["tasks"][name]


def test_task_files() -> None:
    tasks = find_tasks(["ap_statistics", "ap_statistics_generate"], [REPO / "eval"])
    letters, generate = (dict(task.config) for task in tasks.values())
    assert letters["metadata"] == {"version": 2} and letters["num_fewshot"] == generate["num_fewshot"] == 0
    assert [metric["metric"] for metric in letters["metric_list"]] == ["acc", "acc_norm"]
    assert tasks["ap_statistics"].files == tasks["ap_statistics_generate"].files == (FOLDER / "test.jsonl",)
    assert generate["generation_kwargs"] == {
        "until": ["Question:", "</s>", "<|im_end|>"], "max_gen_toks": 512, "do_sample": False, "temperature": 0.0,
    }  # fmt: skip


def test_prompts_are_what_they_were() -> None:
    """For four choices, byte by byte the prompt of version 2 before it took more of them."""
    task, generate = loaded("ap_statistics"), loaded("ap_statistics_generate")
    items = lines(FOLDER / "test.jsonl")
    docs = list(task.test_docs())
    assert docs == list(generate.test_docs()) and len(docs) == len(items)
    for doc, item in list(zip(docs, items, strict=True))[::6]:
        a, b, c, d = item["choices"]
        options = f"{item['question'].strip()}\nA. {a}\nB. {b}\nC. {c}\nD. {d}\n"
        assert task.doc_to_text(doc) == f"Question: {options}Answer:"
        assert generate.doc_to_text(doc) == (
            f"{options}\nReason step by step. Then write one last line of the form `Answer: X`, "
            "where X is the letter of the right choice."
        )
        assert task.doc_to_choice(doc) == generate.doc_to_choice(doc) == list("ABCD")
        assert task.doc_to_target(doc) == generate.doc_to_target(doc) == item["answer"]


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet"])
@pytest.mark.parametrize("answer", [4, "E"])
def test_a_file_of_ones_own(tmp_path: Path, suffix: str, answer: int | str) -> None:
    rows = [{"question": " Which? ", "choices": ["0.10", "0.2", "0.3", "0.4", "0.5"], "answer": answer, "topic": "x"}]
    file = tmp_path / f"ap{suffix}"
    if suffix == ".parquet":
        import datasets

        datasets.Dataset.from_list(rows).to_parquet(file)
    else:
        file.write_text(json.dumps(rows if suffix == ".json" else rows[0]))
    task = loaded("ap_statistics", file)
    (doc,) = task.test_docs()
    assert task.doc_to_text(doc) == "Question: Which?\nA. 0.10\nB. 0.2\nC. 0.3\nD. 0.4\nE. 0.5\nAnswer:"
    assert task.doc_to_choice(doc) == list("ABCDE") and task.doc_to_target(doc) == 4
    assert doc["topic"] == "x"


@pytest.mark.parametrize(
    ("reply", "strict", "flexible"),
    [
        ("The mean is 4.\n\nAnswer: C", "C", "C"),
        ("Answer: C\n", "C", "C"),
        ("Answer: A\nWait, no.\nAnswer: C  ", "C", "C"),  # the last line counts
        ("Answer: A\nWait: the answer is C.", "A", "C"),
        ("Answer: C.", None, "C"),
        ("Answer: (C)", None, "C"),
        ("**Answer: C**", None, "C"),
        ("**Answer:** C", None, "C"),
        ("So my Answer: C", None, "C"),
        ("answer: C", None, "C"),
        ("The correct answer is C, since A sample is small.", None, "C"),
        ("It must be C. 0.66", None, "C"),
        ("B and D are wrong, so C", None, "C"),
        ("C follows from A", None, "A"),  # flexible is a guess
        ("Answer: Because of this", None, None),
        ("Answer: c", None, None),
        ("Answer: G", None, None),
        ("The Answer is 4.", None, None),
        ("Answer: X", None, None),
        ("", None, None),
    ],
)
def test_extraction_on_worked_examples(reply: str, strict: str | None, flexible: str | None) -> None:
    """By lm-eval's own filters and metric, as they run in a score, for every right answer."""
    task = loaded("ap_statistics_generate")
    for answer, letter in enumerate("ABCD"):
        doc = {"question": "?", "choices": ["1", "2", "3", "4"], "answer": answer}
        found = {}
        for steps in task._filters:
            replies: Any = [[reply]]
            for step in steps.filters:
                replies = step().apply(replies, [doc])
            (prediction,) = replies
            found[steps.name] = task.process_results(doc, [prediction])["exact_match"]
        assert found == {"strict-match": letter == strict, "flexible-extract": letter == flexible}


def test_glossary() -> None:
    glossary = lines(REPO / "recipes" / "data" / "glossary.jsonl")
    assert len({entry["term"] for entry in glossary}) == len(glossary) >= 200
    for entry in glossary:
        assert set(entry) == {"term", "description", "formula"}
        assert entry["description"].endswith(".") and entry["description"][0].isupper()
        assert 20 < len(entry["description"]) < 300
        assert "  " not in entry["description"] + entry["formula"]
