"""Real files with the real tokenizer; skipped where they are absent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from statllama.data import prepare
from statllama.data.checks import check_batch
from statllama.data.collate import RowCollator
from statllama.data.masking import Tokens, show
from statllama.specs import SourceSpec


def test_gsm8k_becomes_conversations(shared_data: Path, llama3: Any, tmp_path: Path) -> None:
    columns = {"prompt": "question", "completion": "answer"}
    source = SourceSpec(path="gsm8k_train_1000.jsonl", format="prompt_completion", columns=columns)
    prepared = prepare(
        "conversations", [source], root=shared_data, tokenizer=llama3, train_on="responses", max_length=512,
        packing=True, seed=1, cache=tmp_path,
    )  # fmt: skip
    (report,) = prepared.report.sources
    assert (report.rows_read, report.examples, report.truncated, report.dropped) == (1000, 1000, 0, {})
    assert 0.3 < report.share < 0.8
    assert prepared.report.utilisation > 0.95
    rows = [json.loads(line) for line in (shared_data / source.path).read_text().splitlines()]
    answers = sorted(row["answer"].strip() + "<|eot_id|>" for row in rows)
    learned = []
    for row in prepared.dataset:
        text = show(llama3, Tokens(row["input_ids"], [label != -100 for label in row["labels"]]))
        learned += [part.split("⟧")[0] for part in text.split("⟦")[1:]]
    assert sorted(learned) == answers
    batch = RowCollator(llama3.pad_token_id, "transformers")([prepared.dataset[i] for i in range(8)])
    check_batch(batch, llama3, kind="conversations", train_on="responses", max_length=512)


def test_corpora_become_pieces(shared_data: Path, llama3: Any) -> None:
    names = ("stats_corpus_openstax.jsonl", "stats_corpus_openintro.jsonl")
    sources = [SourceSpec(path=name, format="text", limit=20) for name in names]
    prepared = prepare(
        "documents", sources, root=shared_data, tokenizer=llama3, train_on="all", max_length=1024, packing=True,
        seed=1, cache=None,
    )  # fmt: skip
    assert [s.rows_used for s in prepared.report.sources] == [20, 20]
    assert prepared.report.utilisation > 0.97
    assert all(s.share > 0.99 for s in prepared.report.sources)
    batch = RowCollator(llama3.pad_token_id, "unsloth")(list(prepared.dataset))
    check_batch(batch, llama3, kind="documents", train_on="all", max_length=1024)
