"""The row is unlike the others: no earlier row asks the same, or says nearly the same (`data/duplicates.py`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from statllama.config.spec import Spec as Settings
from statllama.data.build.check.findings import failed
from statllama.data.build.check.reading import Reading
from statllama.data.build.records import Json
from statllama.data.duplicates import SAME_MEANING, SEMANTIC_MODEL, SIMILAR, Duplicates
from statllama.store.versions import installed_version

KIND, COST, NUMERICS = "together", 50, 1

SAME_QUESTION = "asks what an earlier row asks, word for word"
NEARLY = "is nearly the same as an earlier row"


class Spec(Settings):
    """Rows that repeat an earlier one are left out; the first of them stays."""

    rows: Literal["exact", "near", "semantic"] = "near"
    """Rows compared as a whole: the same but for white space and case, at least 0.8 of their 5-grams of words in
    common, or besides these a cosine of at least 0.95 of their sentence embeddings (needs sentence-transformers; all
    pairs)."""
    questions: bool = True
    """Leave out a row whose question is that of an earlier row, word for word, whatever its answer."""


def prepare(spec: Spec, folder: Path) -> Any:
    """Return the version of what decides beside the settings."""
    library = "sentence-transformers" if spec.rows == "semantic" else "datasketch"
    found: dict[str, Any] = {library: installed_version(library), "similar": SIMILAR}
    return found | ({"model": SEMANTIC_MODEL, "same": SAME_MEANING} if spec.rows == "semantic" else {})


def compare(spec: Spec, rows: Callable[[], Iterator[tuple[str, Reading]]], folder: Path) -> dict[str, Json]:
    """Return {id: finding} of the rows that repeat an earlier one that is not itself left out.

    `folder`: an empty one, for signatures. Memory: half a kilobyte a row. DataError: semantic without its library.
    """
    found: dict[str, Json] = {}
    if spec.questions:
        with Duplicates("exact", folder / "questions") as questions:
            ids = [name for name, reading in rows() if _added(questions, reading.asked or reading.whole)]
        for same in questions.find():
            found[ids[same.row]] = failed(SAME_QUESTION, ids[same.of], of=ids[same.of], similarity=1.0).as_json()
    with Duplicates(spec.rows, folder / "rows") as whole:
        ids = [name for name, reading in rows() if name not in found and _added(whole, reading.whole)]
    for near in whole.find():
        other, similarity = ids[near.of], round(near.similarity, 4)
        said = f"{other}, {similarity:.0%} alike"
        found[ids[near.row]] = failed(NEARLY, said, of=other, similarity=similarity).as_json()
    return found


def _added(duplicates: Duplicates, text: str) -> bool:
    duplicates.add(text)
    return True
