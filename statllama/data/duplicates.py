"""Finds rows that repeat an earlier one, across all sources of a stage: exactly, nearly, or in meaning.

`exact`: the same text but for white space and case. `near`: word 5-grams whose Jaccard similarity is at least 0.8;
candidates come from MinHash signatures (datasketch) in bands, and every pair is verified on the 5-grams themselves, so
nothing is called a near duplicate by chance. `semantic`: besides, embeddings whose cosine is at least 0.95.

Rows are added once and kept on the disk as 5-grams and signatures; the search reads the signatures, half a kilobyte a
row, into memory.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from statllama.data.ngrams import every_word, gram_hashes, words
from statllama.data.scratch import Scratch
from statllama.errors import DataError

Mode = Literal["exact", "near", "semantic"]
Embed = Callable[[Sequence[str]], npt.NDArray[np.float32]]
"""Texts to unit vectors, float32 (texts, width)."""

WORDS = 5
SIMILAR = 0.8
SAME_MEANING = 0.95
PERMUTATIONS = 128
SEMANTIC_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
LARGEST_SEMANTIC = 100_000  # rows: every pair is compared
BLOCK = 1024
MOST_CANDIDATES = 50  # rows kept for comparison in one band's bucket: texts from one template would else be quadratic


@dataclass(frozen=True)
class Duplicate:
    """Row `row` repeats the earlier row `of` (both counted over all sources, from 0). `similarity`: 0 to 1."""

    row: int
    of: int
    similarity: float


class Duplicates:
    """Collects texts, then finds those that repeat an earlier one. A context manager: add inside it, find after it."""

    def __init__(self, mode: Mode, folder: Path, embed: Embed | None = None) -> None:
        self.mode = mode
        self._digests = array("Q")
        self._ids = every_word()
        self._embed = (embed or sentence_embedder()) if mode == "semantic" else None
        self._texts: list[str] = []
        self._scratch = Scratch(folder, ("grams", "signature"))
        if mode != "exact":
            self._signer = _signer()

    def __enter__(self) -> Self:
        self._scratch.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._scratch.__exit__(kind, error, at)

    def __len__(self) -> int:
        return len(self._digests)

    def add(self, text: str) -> None:
        """Add the next row's text."""
        same = hashlib.blake2b(" ".join(text.lower().split()).encode(), digest_size=8)
        self._digests.append(int.from_bytes(same.digest(), "little"))
        if self.mode == "exact":
            return
        hashes = gram_hashes(self._ids.ids(words(text)), WORDS)[0]
        grams = np.unique((hashes >> np.uint64(32)).astype(np.uint32))
        self._scratch.append({"grams": grams.view(np.int32), "signature": self._signer(grams).view(np.int32)})
        if self._embed is not None:
            self._texts.append(text)

    def find(self) -> list[Duplicate]:
        """Return every row that repeats an earlier one that is not itself left out, in order."""
        digests = np.frombuffer(self._digests, dtype=np.uint64)
        _, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
        found = {
            int(i): Duplicate(int(i), int(first[inverse[i]]), 1.0)
            for i in np.flatnonzero(first[inverse] != np.arange(len(digests)))
        }
        if self.mode != "exact":
            found |= {d.row: d for d in self._near(set(found))}
        if self._embed is not None:
            found |= {d.row: d for d in self._semantic(set(found))}
        return [found[row] for row in sorted(found)]

    def _near(self, exact: set[int]) -> list[Duplicate]:
        """Return the rows in order: each is compared with the kept rows that share a band of its signature."""
        buckets = self._buckets()
        kept: dict[tuple[int, int], list[int]] = defaultdict(list)
        found = []
        for row in np.flatnonzero((buckets >= 0).any(axis=1)).tolist():
            if row in exact:
                continue
            shared = [(band, bucket) for band, bucket in enumerate(buckets[row].tolist()) if bucket >= 0]
            candidates = sorted({other for place in shared for other in kept[place]})
            best = max(((self._jaccard(row, other), -other) for other in candidates), default=(0.0, 0))
            if best[0] >= SIMILAR:
                found.append(Duplicate(row, -best[1], best[0]))
            else:
                for place in shared:
                    if len(kept[place]) < MOST_CANDIDATES:
                        kept[place].append(row)
        return found

    def _buckets(self) -> npt.NDArray[np.int32]:
        """Return the int32 (rows, bands): which rows share a band of the signature; -1 where a row is alone in it."""
        bands, size = _bands()
        rows = len(self)
        buckets = np.full((rows, bands), -1, dtype=np.int32)
        lengths = self._scratch.lengths("grams")
        signatures = self._scratch.whole("signature").reshape(rows, PERMUTATIONS)
        for band in range(bands):
            part = np.ascontiguousarray(signatures[:, band * size : (band + 1) * size])
            keys = part.view(np.dtype((np.void, part.dtype.itemsize * size))).ravel()
            _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
            together = (counts[inverse] > 1) & (lengths > 0)
            buckets[together, band] = inverse[together]
        return buckets

    def _jaccard(self, a: int, b: int) -> float:
        left, right = self._scratch.column("grams", a), self._scratch.column("grams", b)
        both = len(np.intersect1d(left, right, assume_unique=True))
        return both / (len(left) + len(right) - both)

    def _semantic(self, gone: set[int]) -> list[Duplicate]:
        rows = [i for i in range(len(self)) if i not in gone]
        if len(rows) > LARGEST_SEMANTIC:
            raise DataError(
                f"`deduplicate: semantic` compares all pairs, of at most {LARGEST_SEMANTIC:,} rows; here {len(rows):,}",
                remedy="set `deduplicate: near`",
            )
        assert self._embed is not None
        vectors = self._embed([self._texts[i] for i in rows])
        found: list[Duplicate] = []
        alive = np.ones(len(rows), dtype=bool)
        for start in range(0, len(rows), BLOCK):
            block = vectors[start : start + BLOCK] @ vectors[: start + BLOCK].T
            for i, cosines in enumerate(block, start=start):
                earlier = np.where(alive[:i], cosines[:i], -1.0)
                if i and earlier.max() >= SAME_MEANING:
                    of = int(earlier.argmax())
                    alive[i] = False
                    found.append(Duplicate(rows[i], rows[of], float(earlier[of])))
        return found


def _signer() -> Callable[[npt.NDArray[np.uint32]], npt.NDArray[np.uint32]]:
    """Set of 32-bit hashes -> MinHash signature, uint32 (PERMUTATIONS,)."""
    from datasketch import MinHash

    model = MinHash(num_perm=PERMUTATIONS, seed=1, hashfunc=int)

    def sign(grams: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
        sketch = MinHash(num_perm=PERMUTATIONS, permutations=model.permutations, scheme=model.scheme, hashfunc=int)
        sketch.update_batch(grams)
        return np.asarray(sketch.hashvalues, dtype=np.uint32)

    return sign


def _bands() -> tuple[int, int]:
    """Return the bands of a signature and values in each: what datasketch finds best for `SIMILAR`, recall before
    precision.
    """
    from datasketch import MinHashLSH

    index = MinHashLSH(threshold=SIMILAR, num_perm=PERMUTATIONS, weights=(0.2, 0.8))
    return index.b, index.r


def sentence_embedder(model: str = SEMANTIC_MODEL) -> Embed:
    """Return the embeddings by sentence-transformers. DataError when it is not installed or its model cannot be
    loaded.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise DataError(
            "`deduplicate: semantic` needs sentence-transformers, which is not installed",
            remedy="pip install sentence-transformers, or set `deduplicate: near`",
        ) from None
    try:
        encoder: Any = SentenceTransformer(model, trust_remote_code=False)
    except Exception as error:  # the library and the hub raise many types
        raise DataError(
            f"the embedding model {model} cannot be loaded ({type(error).__name__})",
            remedy="check the connection, or set `deduplicate: near`",
        ) from error
    return lambda texts: np.asarray(
        encoder.encode(list(texts), normalize_embeddings=True, show_progress_bar=False), dtype=np.float32
    )
