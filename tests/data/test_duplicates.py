"""Repeated rows, judged by brute force."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statllama.data import duplicates
from statllama.data.duplicates import Duplicate, Duplicates
from statllama.errors import DataError

WORDS = [f"{a}{b}" for a in ("al", "be", "co", "du", "em", "fo") for b in ("ra", "no", "ti", "lus", "ven", "mo")]


def find(texts: Sequence[str], mode: Any, folder: Path, **options: Any) -> list[Duplicate]:
    with Duplicates(mode, folder, **options) as found:
        for text in texts:
            found.add(text)
    return found.find()


def jaccard(a: str, b: str) -> float:
    left, right = (
        {tuple(words[i : i + 5]) for i in range(len(words) - 4)} for words in (a.lower().split(), b.lower().split())
    )
    return len(left & right) / len(left | right) if left | right else 0.0


def test_exact_is_blind_to_case_and_white_space(tmp_path: Path) -> None:
    found = find(["The mean.", "the  MEAN.\n", "The median.", "The mean."], "exact", tmp_path)
    assert [(d.row, d.of) for d in found] == [(1, 0), (3, 0)]


def test_near_against_brute_force(tmp_path: Path) -> None:
    """Every pair that is found is one; of those at 0.9 and above none is missed."""
    draw = random.Random(5)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(30, 90))) for _ in range(300)]
    for _ in range(200):
        words = draw.choice(texts[:300]).split()
        for _ in range(draw.choice([1, 1, 2, 4])):
            words[draw.randrange(len(words))] = draw.choice(WORDS)
        texts.append(" ".join(words))
    draw.shuffle(texts)
    found = find(texts, "near", tmp_path)
    gone = {d.row for d in found}
    for d in found:
        assert d.of < d.row and d.of not in gone
        assert d.similarity == pytest.approx(jaccard(texts[d.row], texts[d.of])) and d.similarity >= 0.8
    kept = [i for i in range(len(texts)) if i not in gone]
    missed = [(i, j) for i, j in itertools.combinations(kept, 2) if jaccard(texts[i], texts[j]) >= 0.8]
    assert not [pair for pair in missed if jaccard(texts[pair[0]], texts[pair[1]]) >= 0.9]
    assert len(missed) <= 0.05 * len(gone)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.lists(st.sampled_from(["a b c d e f g", "a b c d e f h", "x y", "", "A b c d e f g"]), max_size=8))
def test_first_of_equal_texts_stays(tmp_path: Path, texts: list[str]) -> None:
    exact = find(texts, "exact", tmp_path)
    seen: dict[str, int] = {}
    expected = []
    for i, text in enumerate(texts):
        if text.lower() in seen:
            expected.append((i, seen[text.lower()]))
        seen.setdefault(text.lower(), i)
    assert [(d.row, d.of) for d in exact] == expected
    assert {d.row for d in exact} <= {d.row for d in find(texts, "near", tmp_path)}


def test_a_flood_from_one_template_stays_fast_and_bounded(tmp_path: Path) -> None:
    """Texts of one template are candidates of each other; each is compared with a bounded number."""
    texts = [f"{' '.join(WORDS)} answer {i}" for i in range(1500)]
    found = find(texts, "near", tmp_path)
    assert len(found) == 1499 and {d.of for d in found} == {0}


def test_semantic_uses_the_embeddings(tmp_path: Path) -> None:
    vectors = np.array([[1, 0], [0, 1], [0.99, 0.141], [0.6, 0.8]], dtype=np.float32)
    found = find(["a", "b", "c", "d"], "semantic", tmp_path, embed=lambda texts: vectors[: len(texts)])
    assert [(d.row, d.of) for d in found] == [(2, 0)] and found[0].similarity == pytest.approx(0.99)


def test_semantic_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", None)
    with pytest.raises(DataError, match="needs sentence-transformers"):
        duplicates.sentence_embedder()


def test_semantic_with_the_real_library(tmp_path: Path, base_folder: Path) -> None:
    """A model made here: the texts' words decide, so the same words in another order mean the same to it."""
    library = pytest.importorskip("sentence_transformers")
    from sentence_transformers import models

    words = models.Transformer(str(base_folder), max_seq_length=64)
    encoder = library.SentenceTransformer(modules=[words, models.Pooling(words.get_word_embedding_dimension())])
    encoder.save(str(tmp_path / "encoder"))
    embed = duplicates.sentence_embedder(str(tmp_path / "encoder"))
    vectors = embed(["the mean of a sample", "the mean of a sample", "what is the range"])
    assert vectors.dtype == np.float32 and vectors @ vectors.T == pytest.approx((vectors @ vectors.T).T, abs=1e-5)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    found = find(
        ["the mean of a sample", "The mean of a sample.", "what is the range"], "semantic", tmp_path / "s", embed=embed
    )
    assert all(duplicate.of < duplicate.row for duplicate in found)
