"""What a card tells of itself to the hub and to its reader: the question, the base, and the scores as metadata."""

from __future__ import annotations

import ast
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from huggingface_hub import ModelCard, metadata_load
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results

from statllama.config.base_model import BaseModelSpec
from statllama.config.evaluate import EvaluateSpec
from statllama.config.shipped import shipped_root
from statllama.release.card import Contents, card
from statllama.release.card_base import BaseFacts, facts_of
from statllama.release.card_question import ANY, Asked, question_for
from statllama.release.card_use import Reader
from statllama.release.licences import Duties
from statllama.release.markdown import plain
from statllama.runs.subject import Subject
from statllama.runs.targets import find_subject
from statllama.store import Store
from tests.conftest import TEMPLATE, make_llama
from tests.release.making import save_base
from tests.release.test_card import CONTENTS, NO_DUTIES, PASSED, cells, scored, sections, written

__all__ = ["scored"]  # a fixture
APACHE = Duties("apache-2.0", "apache-2.0")


# ------------------------------------------------------------------ the question


def of_rows(subject: Subject, root: Path, rows: list[dict[str, Any]], **evaluate: Any) -> Asked:
    """The question of a subject that scores these rows as its own benchmark, after one that ships."""
    folder = root / "eval" / "mine_test"
    folder.mkdir(parents=True, exist_ok=True)
    task = {
        **{"task": "mine_test", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": "test.jsonl"}}},
        **{"test_split": "test", "doc_to_text": "{{question}}", "doc_to_target": "{{answer}}"},
        "metric_list": [{"metric": "exact_match"}],
    }
    (folder / "mine_test.yaml").write_text(json.dumps(task))
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = EvaluateSpec.model_validate({"tasks": ["quickstart_stats", "mine_test"], "domain": ["mine_test"]} | evaluate)
    return question_for(replace(subject, evaluate=spec, root=root))


def test_the_question_is_one_of_the_users_domain(trained: tuple[Path, Store], tmp_path: Path) -> None:
    """The first that makes sense in a line by itself; never an answer, never a row that a stage was trained on."""
    recipe, store = trained
    subject = find_subject(str(recipe), store)
    rows = [
        {"question": "Which of the following holds?", "answer": "the first"},
        {"question": "Short?", "answer": "x"},
        {"question": "Two\nlines of a question, are they shown?", "answer": "x"},
        {"question": "long " * 60 + "?", "answer": "x"},
        {"question": "  Which valve of the boiler opens first? ", "answer": "SECRET"},
    ]
    asked = of_rows(subject, tmp_path, rows)
    assert asked == Asked("Which valve of the boiler opens first?", "question 5 of the benchmark mine_test", True)
    shipped = of_rows(subject, tmp_path, rows[:2])  # none of its own is fit: one of the next benchmark
    assert shipped.source.endswith("of the benchmark quickstart_stats") and not shipped.private
    assert of_rows(subject, tmp_path, rows[:2], tasks=["mine_test"]) == Asked(ANY)
    assert question_for(subject) == Asked(ANY)  # it scores nothing
    assert of_rows(subject, tmp_path, rows, tasks=["gone"], domain=["gone"]) == Asked(ANY)
    assert of_rows(subject, tmp_path, rows, tasks=["gsm8k"], domain=["gsm8k"]) == Asked(ANY)  # on the hub: no network


@pytest.mark.skipif("prompts" not in EvaluateSpec.model_fields, reason="recipes have no `evaluate.prompts`")
def test_a_prompt_of_the_recipe_comes_first(trained: tuple[Path, Store], tmp_path: Path) -> None:
    subject = find_subject(str(trained[0]), trained[1])
    rows = [{"question": "Which valve of the boiler opens first?", "answer": "x"}]
    asked = of_rows(subject, tmp_path, rows, prompts=["How hot is it?", "And now?"])
    assert (asked.text, asked.private) == ("How hot is it?", False)
    assert plain(asked.source) == asked.source, "shown among Markdown as it is"


HARD = 'Is 5 > "x" \\ y, it\'s `z` {a} ${HOME} <b> 100 % of 50 €?'


def test_any_question_survives_python_and_the_shell() -> None:
    reader = Reader("x", "b", None, TEMPLATE, HARD)
    assigned = next(node for node in ast.walk(ast.parse(reader.ask)) if isinstance(node, ast.Assign))
    assert ast.literal_eval(assigned.value) == [{"role": "user", "content": HARD}]
    assert json.loads(shlex.split(reader.request)[0])["messages"][0]["content"] == HARD


def test_the_card_says_where_its_question_is_from(scored: tuple[Subject, Store]) -> None:
    asked = Asked("Which valve opens first?", "question 5 of the benchmark mine_test", True)
    used = sections(written(scored, contents=replace(CONTENTS, asked=asked)))["How to run it"]
    assert used.count("Which valve opens first?") == 4  # Transformers, curl, Ollama, PEFT
    assert r"They ask question 5 of the benchmark mine_test." in used
    assert "They ask" not in sections(written(scored))["How to run it"]


# ------------------------------------------------------------------ the base


def test_the_base_of_the_hub_is_named_in_full(scored: tuple[Subject, Store]) -> None:
    subject, store = scored
    commit = "0123456789abcdef0123456789abcdef01234567"
    spec = BaseModelSpec(model="acme/base", tokenizer="acme/words", quantization="nf4")
    identity = {"model": {"repo": "acme/base", "commit": commit}, "tokenizer": {"commit": commit[::-1]}}
    hub = replace(subject, base=spec, identity=identity)
    contents = Contents("x", base=BaseFacts("LlamaForCausalLM", 3_212_749_824))
    found = dict(cells(sections(card(hub, hub.stack("two"), store, contents, APACHE, PASSED))["Base model"]))
    assert found == {
        "what": "which",
        "model": f"[acme/base](https://huggingface.co/acme/base), commit `{commit}`",
        "architecture": "LlamaForCausalLM",
        "parameters": "3,212,749,824",
        "licence": "apache-2.0",
        "tokenizer": f"[acme/words](https://huggingface.co/acme/words), commit `{commit[::-1]}`",
        "in training": "4 bits (NF4)",
    }


def test_the_base_that_ships_is_named_in_full(scored: tuple[Subject, Store]) -> None:
    subject, store = scored
    place = str(shipped_root() / "recipes" / "quickstart" / "base")
    named = replace(subject, base=subject.base.model_copy(update={"model": place}))
    text = written((named, store), contents=replace(CONTENTS, base=facts_of(Path(place))))
    assert "The base is the folder `quickstart/base`." in text and '"path/to/quickstart/base"' in text
    assert dict(cells(sections(text)["Base model"]))["model"].startswith("a folder, `quickstart/base`, SHA-256 ")


def test_the_base_in_a_folder_is_told_by_its_bytes(scored: tuple[Subject, Store]) -> None:
    subject, _ = scored
    base = Path(subject.base.model)
    text = written(scored, contents=replace(CONTENTS, base=facts_of(base)))
    found = dict(cells(sections(text)["Base model"]))
    content = subject.identity["model"]["content"]
    assert re.fullmatch(r"[0-9a-f]{64}", content)
    assert found["model"] == f"a folder, `{base.name}`, SHA-256 of its files `{content}`"
    assert found["licence"] == "unknown: the base states none" and str(base.parent) not in text


@pytest.mark.parametrize("tied", [True, False])
def test_parameters_are_those_that_torch_counts(tmp_path: Path, tied: bool) -> None:
    model = save_base(tmp_path, tie_word_embeddings=tied)
    facts = facts_of(tmp_path)
    assert facts == BaseFacts("LlamaForCausalLM", sum(p.numel() for p in model.parameters()))
    (tmp_path / "imported.json").write_text(json.dumps({"file": "m.gguf", "sha256": "ab12"}))
    assert facts_of(tmp_path).imported == "m.gguf, SHA-256 ab12"


def test_an_embedding_that_is_stored_twice_counts_once(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    model = make_llama(64)
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    save_file({**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"].clone()}, file)
    assert facts_of(tmp_path).parameters == sum(p.numel() for p in model.parameters())


# ------------------------------------------------------------------ the hub's metadata


def test_the_hub_reads_the_scores(scored: tuple[Subject, Store], tmp_path: Path) -> None:
    """By huggingface_hub's own parser; the values are those of the records in the workspace."""
    _, store = scored
    file = tmp_path / "README.md"
    file.write_text(written(scored), encoding="utf-8")
    results = ModelCard.load(file).data.eval_results
    assert results is not None
    records = [entry.manifest for entry in store.entries("scores") if entry.manifest["kind"] == "score"]
    of_two = {r["score"]["task"]: fmean(r["score"]["items"]) for r in records if r["name"] == "two"}
    assert {r.dataset_name: r.metric_value for r in results} == pytest.approx(of_two, abs=5e-5)
    for result in results:
        assert (result.task_type, result.dataset_split, result.verified) == ("text-generation", "test", False)
        assert result.dataset_args == {
            "items": {"letters": "12", "replies": "8"}[result.dataset_name],
            "version": "1.0",
        }
    assert {r.dataset_name: r.metric_type for r in results} == {"letters": "accuracy", "replies": "exact_match"}
    body = metadata_load(file)
    assert body is not None and body["metrics"] == ["accuracy", "exact_match"]
    name, again = model_index_to_eval_results(body["model-index"])
    assert name == "tiny-two" and len(eval_results_to_model_index(name, again)[0]["results"]) == 2


def test_a_dataset_of_the_hub_is_named_with_its_commit(scored: tuple[Subject, Store]) -> None:
    from statllama.config.benchmarks import read_task
    from statllama.config.shipped import shipped_root
    from statllama.release.card_index import _dataset
    from tests.release.test_card import score

    task = read_task(shipped_root() / "eval" / "arc_challenge" / "arc_challenge.yaml")
    part = replace(score("arc_challenge", [1.0, 0.0]), total=1172)
    assert _dataset(task, part) == {
        **{"name": "arc_challenge", "type": "allenai/ai2_arc", "config": "ARC-Challenge", "split": "test"},
        "revision": "210d026faf9955653af8916fad021475a3f00453",
        "args": {"items": "the first 2 of 1,172", "version": "1"},
    }


def test_without_scores_there_is_no_index(trained: tuple[Path, Store]) -> None:
    recipe, store = trained
    subject = find_subject(str(recipe), store)
    text = card(subject, subject.stack("two"), store, CONTENTS, NO_DUTIES, PASSED)
    assert "model-index" not in text and ModelCard(text).data.eval_results is None
