"""The benchmark ap_statistics: reproducible, right, not to be guessed, clear of what recipes train on; the glossary."""

from __future__ import annotations

import collections
import importlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from statllama.config.benchmarks import find_tasks
from statllama.data.contamination import Questions, read_questions
from statllama.problems import kinds, rows, topics
from tests.conftest import REPO

from .blind import options_right, pairs_right
from .checks import shows
from .test_near_copies import grams

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
    assert len({item["question"] for item in items}) == len(items) == 656
    for item in items:
        assert len(set(item["choices"])) == 4 == len(item["misconceptions"])
        assert [i for i, slip in enumerate(item["misconceptions"]) if slip == ""] == [item["answer"]]
    assert {(item["topic"], item["kind"]) for item in items} == {
        (name, kind) for name in topics() for kind in kinds(name)
    }
    assert min(collections.Counter(item["topic"] for item in items).values()) >= 64
    siblings = collections.Counter((item["kind"], item["asked"]) for item in items)
    assert max(siblings.values()) <= 2
    of_kind = collections.Counter(kind for kind, _ in siblings)
    assert len(of_kind) == 155 and min(of_kind.values()) >= 4
    letters = collections.Counter(item["answer"] for item in items)
    assert max(letters.values()) - min(letters.values()) <= 1
    assert len({item["kind"] for item in items if item["held_out"]}) == 9


def test_answers_follow_from_what_is_printed() -> None:
    """The keyed option, and no other, is what an independent reader of the question computes."""
    for item in lines(FOLDER / "test.jsonl"):
        read = importlib.import_module(f".printed.{item['topic']}", __package__).READ[item["kind"]]
        expected = read(item["question"])
        right = [place for place, choice in enumerate(item["choices"]) if shows(choice, expected)]
        assert right == [item["answer"]], (item, expected)


def test_no_two_items_are_near_copies() -> None:
    """At most half of the shorter question's 5-grams, numbers and names masked, are the other's."""
    items = lines(FOLDER / "test.jsonl")
    sets = [grams(item["question"]) for item in items]
    places = collections.defaultdict(list)
    for item, found in enumerate(sets):
        shared = collections.Counter(other for gram in found for other in places[gram])
        copies = [n for n, count in shared.items() if count > 0.5 * min(len(found), len(sets[n]))]
        assert not copies, (items[item]["question"], items[copies[0]]["question"])
        for gram in found:
            places[gram].append(item)


def test_options_and_replies_alone_tell_nothing() -> None:
    """Chance is 25 % of the items (within 3 standard errors) and 50 % of the pairs."""
    train = list(rows("mc", 2000, seed=7))
    assert options_right(train, lines(FOLDER / "test.jsonl")) <= 0.30
    pairs = list(rows("dpo", 2000, seed=8))
    assert pairs_right(pairs[:1400], pairs[1400:]) <= 0.55


def test_the_blind_classifiers_find_what_gives_an_answer_away() -> None:
    items = [{"choices": ["1 kg", "2 kg", "3 kg", "4 kg"], "answer": i % 4} for i in range(200)]
    for item in items:
        item["choices"] = [f"{c} exactly" if i == item["answer"] else c for i, c in enumerate(item["choices"])]
    assert options_right(items[:150], items[150:]) == 1.0
    largest = [{"choices": [str(9 * (i == n % 4) + i) for i in range(4)], "answer": n % 4} for n in range(200)]
    assert options_right(largest[:150], largest[150:]) > 0.9
    pairs = [{"chosen": [{"content": f"So x = {n}."}], "rejected": [{"content": f"So x is {n}."}]} for n in range(200)]
    assert pairs_right(pairs[:150], pairs[150:]) == 1.0


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
    assert letters["metadata"].items() >= {"version": 3, "cluster": "kind"}.items()
    assert generate["metadata"].items() >= {"version": 2, "cluster": "kind"}.items()
    assert letters["num_fewshot"] == generate["num_fewshot"] == 0
    assert [metric["metric"] for metric in letters["metric_list"]] == ["acc", "acc_norm"]
    assert tasks["ap_statistics"].files == tasks["ap_statistics_generate"].files == (FOLDER / "test.jsonl",)
    assert generate["generation_kwargs"] == {
        "until": ["Question:", "</s>", "<|im_end|>"], "max_gen_toks": 512, "do_sample": False, "temperature": 0.0,
    }  # fmt: skip


def test_prompts_are_what_they_were() -> None:
    """For four choices, byte by byte the prompt since version 2."""
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
