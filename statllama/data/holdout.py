"""Rows kept out of training, tokenised: what every stack is scored on, and what a stage may select its best step on."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from statllama.config.holdout import Held
from statllama.data.batches import batches
from statllama.data.cache import DATA_FILE, cache_key, read_rows, write_rows
from statllama.data.encode import ACCEPTED, LEARNED_BY
from statllama.data.examples import (
    Completion,
    Conversation,
    Document,
    Example,
    Judgement,
    Message,
    Preference,
    texts,
)
from statllama.data.fit import Dropped, fit
from statllama.data.formats import parse_row
from statllama.data.held_rows import HOLDOUT_NUMERICS, HeldRows
from statllama.data.prepare import LANGUAGE, PREFERENCE
from statllama.data.scratch import Scratch
from statllama.data.sources import rows, source_name
from statllama.data.tokenise import Tokeniser, TrainOn
from statllama.errors import DataError
from statllama.store import Store
from statllama.store.files import read_json, write_json

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

HeldKind = Literal["documents", "conversations", "preferences"]
"""What a hold-out's rows are scored as. Of judged completions (kto) the good ones are `conversations`: what the stage
should make likelier. The loss of the others should rise, so one mean of both would say nothing."""
KINDS: tuple[tuple[type, HeldKind], ...] = (
    (Document, "documents"),
    (Conversation, "conversations"),
    (Completion, "conversations"),
    (Judgement, "conversations"),
    (Preference, "preferences"),
)
ABOUT_FILE = "holdout.json"
SCRATCH = "scratch"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Holdout:
    """Rows that no stage of the recipe trains on, in the order of their source, never packed."""

    name: str
    """A stage's name, of its own hold-out; else that of the set in `evaluate.holdouts`. Unique in the recipe."""
    kind: HeldKind
    dataset: Dataset
    """Lists of int32: `input_ids` and `labels` (-100 without loss) and `seq_lengths` ([tokens]), or of preferences
    `prompt_ids`, `chosen_ids` and `rejected_ids`. A document longer than `max_length` is several rows."""
    ids: tuple[str, ...]
    """Of each row of `dataset` 16 hex digits of the SHA-256 of its text; each once."""
    fingerprint: str
    """SHA-256 (hex) over kind, ids and token ids with their mask, whatever the order of the rows."""
    dropped: Mapping[str, int]
    """{reason: held-out rows that are not scored}, such as those too long for `max_length`."""
    kept_in: str = ""
    """Key of the entry of a workspace's cache that holds the rows; empty when they are not kept."""


@dataclass(frozen=True)
class _Job:
    held: tuple[tuple[Held, HeldRows], ...]
    root: Path
    kind: HeldKind | None
    good: bool
    tokeniser: Tokeniser
    progress: Progress | None


def make_holdout(
    held: Sequence[tuple[Held, HeldRows]],
    kind: HeldKind | None,
    *,
    root: Path,
    tokenizer: PreTrainedTokenizerBase,
    train_on: TrainOn,
    max_length: int,
    cache: Path | None,
    good: bool = False,
    progress: Progress | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Holdout:
    """Return the rows of one hold-out, tokenised as a stage with these settings trains.

    `held`: its sources, settled, with their rows. `kind`: None takes that of the first row. `good`: of judged
    completions and pairs the good answers are conversations. `cache`: a workspace, which keeps them; None keeps
    nothing.
    DataError, with file and row, for a row of another kind, and when no row fits into `max_length`.
    """
    tokeniser = Tokeniser(tokenizer, train_on=train_on, max_length=max_length)
    job, name = _Job(tuple(held), root, kind, good, tokeniser, progress), held[0][0].name
    if cache is None:
        with tempfile.TemporaryDirectory(prefix="statllama-") as folder:
            _build(job, Path(folder), Path(folder) / SCRATCH)
            return _load(name, Path(folder), "")
    read = [one.source for one, _ in held]
    key = cache_key(
        read, root, tokenizer, None, holdout=HOLDOUT_NUMERICS, shares=[one.share for one, _ in held], kind=kind,
        train_on=train_on, max_length=max_length, good=good,
    )  # fmt: skip
    store = Store(cache)

    def make() -> dict[str, Any]:
        _build(job, store.fresh_out("cache", key), store.partial("cache", key) / SCRATCH)
        return {"what": "tokenised hold-out", "sources": [source_name(source) for source in read]}

    def damaged(wrong: str) -> None:
        note(f"a tokenised hold-out in the workspace: {wrong}, so it is made again")

    return _load(name, store.obtain("cache", key, make, damaged).path, key)


def _load(name: str, folder: Path, key: str) -> Holdout:
    saved, dataset = read_json(folder / ABOUT_FILE), read_rows(folder / DATA_FILE)
    if saved is None or len(dataset) != len(saved["ids"]):
        raise DataError(f"{folder}: damaged hold-out", remedy=f"delete {folder} and run again")
    return Holdout(name, saved["kind"], dataset, tuple(saved["ids"]), saved["fingerprint"], saved["dropped"], key)


def _build(job: _Job, out: Path, scratch_folder: Path) -> None:
    """Write `DATA_FILE` and `ABOUT_FILE` into `out`."""
    kind = job.kind or _kind(job)
    columns = PREFERENCE if kind == "preferences" else LANGUAGE
    ids, hashes, seen, dropped = list[str](), list[bytes](), Counter[str](), Counter[str]()
    with Scratch(scratch_folder, columns) as scratch:
        for batch in batches(_examples(job, kind, dropped), lambda item: sum(map(len, texts(item[1])))):
            for (_, example), sequences in zip(batch, job.tokeniser.encode(batch), strict=True):
                text = "\n".join(texts(example))
                for sequence in sequences:
                    fitted = fit(sequence, job.tokeniser.max_length)
                    if isinstance(fitted, Dropped):
                        dropped[fitted.reason] += 1
                        continue
                    scratch.append(fitted.columns)
                    ids.append(_id(text, seen))
                    hashes.append(_row_hash(ids[-1], [fitted.columns[name] for name in columns]))
            if job.progress is not None:
                job.progress(f"hold out {job.held[0][0].name}", len(ids), len(ids))
    if not ids:
        raise _nothing(job, kind, dropped)
    numbers = range(len(ids))
    if kind == "preferences":
        rows_ = ({name: scratch.column(name, i) for name in columns} for i in numbers)
        write_rows(out / DATA_FILE, rows_, columns)
    else:
        lengths = scratch.lengths("input_ids").astype(np.int32)
        rows_ = (
            {**{name: scratch.column(name, i) for name in columns}, "seq_lengths": lengths[i : i + 1]} for i in numbers
        )
        write_rows(out / DATA_FILE, rows_, (*columns, "seq_lengths"))
    fingerprint = hashlib.sha256(kind.encode() + b"".join(sorted(hashes))).hexdigest()
    write_json(out / ABOUT_FILE, {"kind": kind, "ids": ids, "fingerprint": fingerprint, "dropped": dict(dropped)})


def _row_hash(id: str, columns: Sequence[Sequence[int]]) -> bytes:
    found = hashlib.sha256(id.encode())
    for values in columns:
        ids = np.asarray(values, dtype="<i4")
        found.update(len(ids).to_bytes(8, "little") + ids.tobytes())
    return found.digest()


def _id(text: str, seen: Counter[str]) -> str:
    """Return the id of the next row with that text: a document's further pieces, and repeats of a row, have ids of
    their own.
    """
    whole = hashlib.sha256(text.encode()).hexdigest()[:16]
    seen[whole] += 1
    again = seen[whole] - 1
    return hashlib.sha256(f"{again}\0{text}".encode()).hexdigest()[:16] if again else whole


def _kind(job: _Job) -> HeldKind:
    (held, chosen), *_ = job.held
    where, example = next(_rows(held, chosen, job.root))
    for made, kind in KINDS:
        if isinstance(example, made):
            return kind
    raise DataError(
        f"{where}: a question without a worked answer has no text to take a loss on, so it cannot be a hold-out",
        remedy="give rows with answers (such as `format: question_answer`), or score a benchmark in `evaluate.tasks`",
    )


def _rows(held: Held, chosen: HeldRows, root: Path) -> Iterator[tuple[str, Example]]:
    wanted = iter(chosen.rows.tolist())
    target = next(wanted)
    for number, (where, row) in enumerate(rows(held.source, root)):
        if number == target:
            yield where, parse_row(held.source, row, where)
            if (target := next(wanted, -1)) < 0:
                return


def _examples(job: _Job, kind: HeldKind, dropped: Counter[str]) -> Iterator[tuple[str, Example]]:
    for held, chosen in job.held:
        for where, example in _rows(held, chosen, job.root):
            scored = _good(example) if job.good or isinstance(example, Judgement) else example
            if scored is None:
                dropped["judged bad"] += 1
                continue
            plain_text = isinstance(scored, Document) and kind == "conversations" and job.tokeniser.train_on == "all"
            if not plain_text and not isinstance(scored, ACCEPTED[kind]):
                raise DataError(
                    f"{where}: format {held.source.format} gives a {type(example).__name__.lower()}, but the hold-out "
                    f"{held.name} is of {kind}",
                    remedy=f"{LEARNED_BY[type(example)]}; hold out rows of one kind",
                )
            yield where, scored


def _good(example: Example) -> Example | None:
    """Return a good answer after its prompt; None of one that is judged to be bad. Other examples stay."""
    if isinstance(example, Judgement):
        return _answered(example.prompt, example.completion, example.tools) if example.label else None
    return _answered(example.prompt, example.chosen, example.tools) if isinstance(example, Preference) else example


def _answered(prompt: tuple[Message, ...] | str, answer: str, tools: tuple[Mapping[str, Any], ...]) -> Example:
    if isinstance(prompt, str):
        return Completion(prompt, answer)
    return Conversation((*prompt, Message("assistant", answer)), len(prompt), tools)


def _nothing(job: _Job, kind: HeldKind, dropped: Counter[str]) -> DataError:
    held = job.held[0][0]
    counted = ", ".join(f"{reason}: {n:,}" for reason, n in dropped.most_common()) or "no row"
    return DataError(
        f"hold-out {held.name} ({source_name(held.source)}): none of its rows can be scored as {kind} of up to "
        f"{job.tokeniser.max_length:,} tokens ({counted})",
        remedy="hold out more or shorter rows, or raise "
        + ("`evaluate.max_length`" if held.stage is None else "`train.max_length`"),
    )
