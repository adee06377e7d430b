"""Rows that a stage's base or parent writes for it to replay: written once, kept in the workspace, shared by stages.

They are kept by all that decides them: the base, the stack below where that writes them, the prompts' bytes, the
settings, the seed, the compute type. While they are written each batch is on the disk, so a killed run goes on where it
was; another process that wants the same rows waits for them. Loads torch when rows are written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from statllama.config.keyed import keyed
from statllama.config.protect import GenerationsSpec
from statllama.config.source import SourceSpec
from statllama.config.stage import TrainingSpec
from statllama.data.cache import described
from statllama.data.examples import Message
from statllama.data.generated import GENERATIONS, ROWS, TRIES, Tries, Try, kept, read_prompts, reasons, spoken
from statllama.data.lengths import Lengths
from statllama.data.prepare import settled
from statllama.data.sources import source_name
from statllama.errors import DataError
from statllama.model.precision import compute_type
from statllama.runs.generating import Asking, Writer
from statllama.runs.loaded import Loaded
from statllama.runs.replayed import generations_note
from statllama.store import Entry
from statllama.store.canonical import digest
from statllama.store.files import translate_os_errors

if TYPE_CHECKING:
    from statllama.store.hold import Hold

ROWS_FILE, TRIES_FILE = "rows.jsonl", "tries.jsonl"
ENOUGH = 0.5
"""Share of the rows that were asked for from which on a stage goes on with fewer."""


class Generations:
    """The generations that the stages of a run replay, on one loaded base."""

    def __init__(self, loaded: Loaded, root: Path, wait: bool = True) -> None:
        """Take `root`, the recipe's, and `wait`: whether to wait for rows that another process writes."""
        self.loaded, self.store, self.root, self.wait = loaded, loaded.store, root, wait
        self._prompts: dict[str, list[tuple[Message, ...]]] = {}

    def key(self, spec: TrainingSpec, below: Sequence[str]) -> str:
        """Return the SHA-256 (hex) of all that decides the rows. `below`: keys of the stack that the stage is on."""
        written = _of(spec)
        fields = keyed(written)
        del fields["by"], fields["prompts"]
        return digest(
            {
                "generations": GENERATIONS,
                "base": dict(self.loaded.identity),
                "below": self._writers(written, below),
                "compute": compute_type(spec.train.precision),
                "seed": spec.train.seed,
                "longest": spec.train.max_length,
                "prompts": described(self._sources(written), self.root),
                **fields,
            }
        )

    def find(self, spec: TrainingSpec, below: Sequence[str]) -> Entry | None:
        """Return the rows where the workspace has them, whole."""
        entry = self.store.find("cache", self.key(spec, below))
        return None if entry is None or self.store.flaw(entry, contents=True) is not None else entry

    def expected(self, spec: TrainingSpec) -> Lengths:
        """Return about what lengths the rows will have that are still to be written.

        DataError for prompts that cannot be read or asked, and for a base that cannot be made to write rows.
        """
        written, asking = _of(spec), self._asking(spec)
        if asking.opening is None:
            known = [len(asking.ids(prompt)) for prompt in asking.prompts[:ROWS]]
            least, most = min(known), max(known)
        else:
            least = len(asking.opened)
            most = least + written.max_tokens
        longest = min(spec.train.max_length, most + written.max_tokens)
        tokens = np.linspace(min(least + 1, longest), longest, written.count).astype(np.int64)
        learned = np.linspace(1, written.max_tokens, written.count).astype(np.int64)
        return Lengths(tokens, np.minimum(tokens - 1, learned).clip(1))

    def make(self, spec: TrainingSpec, below: Sequence[str]) -> Entry:
        """Return the rows, written now where the workspace has none. `below`: all trained.

        DataError when the model writes fewer than half of them in `TRIES` times as many tries.
        """
        key, name = self.key(spec, below), f"{spec.name}: {generations_note(_of(spec), bool(below))}"
        if (entry := self.find(spec, below)) is not None:
            return entry
        reporter = self.loaded.reporter
        with self.store.hold("cache", key, on_wait=reporter.waiting(name), wait=self.wait) as hold:
            damaged = self.store.sound("cache", key, lambda wrong: reporter.note(f"{name}: {wrong}: written again"))
            return damaged or self.store.publish("cache", key, self._write(spec, below, key, name, hold))

    def source(self, entry: Entry) -> SourceSpec:
        """Return rows as a source, to be prepared like any other."""
        return SourceSpec(path=str(entry.path / ROWS_FILE), format="messages")

    # ------------------------------------------------------------------ details

    @staticmethod
    def _writers(written: GenerationsSpec, below: Sequence[str]) -> list[str]:
        return list(below) if written.by == "parent" else []

    def _sources(self, written: GenerationsSpec) -> tuple[SourceSpec, ...]:
        return settled(written.prompts, self.root, self.store.memory)

    def _asking(self, spec: TrainingSpec) -> Asking:
        written, tokenizer = _of(spec), self.loaded.tokenizer
        if not tokenizer.chat_template:
            raise DataError(
                f"stage {spec.name}: `replay.generations` needs a chat template, and the tokenizer of "
                f"{self.loaded.spec.model} has none",
                remedy="use an Instruct model, set `base.chat_template: FILE`, or replay `data`",
            )
        sources = self._sources(written)
        about = digest([described(sources, self.root), spec.train.seed])
        if sources and about not in self._prompts:
            self._prompts[about] = read_prompts(sources, self.root, spec.train.seed)
        return Asking(written, tokenizer, self._prompts.get(about, ()), spec.train.max_length)

    def _write(self, spec: TrainingSpec, below: Sequence[str], key: str, name: str, hold: Hold) -> dict[str, Any]:
        """Write the rows into the entry's unpublished folder; its manifest."""
        written, asking = _of(spec), self._asking(spec)
        tries = Tries(self.store.partial("cache", key) / TRIES_FILE, hold.heed)
        try:
            rows = self._try(spec, below, asking, tries, name)
        finally:
            tries.close()
        dropped = reasons(tries.known, rows, written.count)
        self._judge(name, written.count, len(rows), len(tries.known), dropped)
        out = self.store.fresh_out("cache", key) / ROWS_FILE
        with translate_os_errors(out):
            lines = (json.dumps(tries.known[number].row, ensure_ascii=False) + "\n" for number in rows)
            out.write_text("".join(lines), encoding="utf-8")
        return {
            "what": "generations",
            "data": "conversations",
            "sources": [generations_note(written, bool(below)), *map(source_name, self._sources(written))],
            "by": "parent" if self._writers(written, below) else "base",
            "rows": len(rows),
            "asked_for": written.count,
            "tries": len(tries.known),
            "dropped": dropped,
            "tokens": sum(one.tokens for one in tries.known),
        }

    def _try(self, spec: TrainingSpec, below: Sequence[str], asking: Asking, tries: Tries, name: str) -> list[int]:
        """Write tries until there are enough rows, or no more is to be tried; the numbers of the rows."""
        from statllama.evaluation.suite import unchanged
        from statllama.model.base_model import scoring

        written, loaded = _of(spec), self.loaded
        most = TRIES * written.count
        if not written.temperature:  # asked again, it says the same
            most = min(most, len(asking.prompts))
        if (rows := _enough(tries.known, written.count, most)) is not None:
            return rows
        base = loaded.base(spec.train.precision)
        adapters = loaded.adapters([(key, 1.0) for key in self._writers(written, below)])
        with scoring(base, adapters) as model, unchanged(model, base.tokenizer), loaded.reporter.generating(name) as at:
            writer = Writer(asking, model, spec.train.seed)
            while (rows := _enough(tries.known, written.count, most)) is None:
                if at is not None:
                    at(min(written.count, sum(not one.fault for one in tries.known)), written.count)
                start = len(tries.known)
                tries.add(writer.write(range(start, min(start + ROWS, most))))
        base.check_unchanged()
        return rows

    def _judge(self, name: str, wanted: int, rows: int, tried: int, dropped: Mapping[str, int]) -> None:
        """Note how many rows there are. DataError where they are fewer than half of those that were asked for."""
        said = f"{rows:,} rows of {tried:,} tries" + (f" (dropped: {spoken(dropped)})" if dropped else "")
        if rows < ENOUGH * wanted:
            raise DataError(
                f"{name}: only {said}; {wanted:,} rows were asked for",
                remedy="raise `replay.generations.max_tokens` where answers have no end, lower `temperature` or "
                "`top_p` where they are no answers, give `prompts`, or ask for fewer rows (`count`)",
            )
        self.loaded.reporter.note(f"{name}: {said}" + ("; no more was tried" if rows < wanted else ""))


def _of(spec: TrainingSpec) -> GenerationsSpec:
    assert spec.generated is not None
    return spec.generated


def _enough(tries: Sequence[Try], count: int, most: int) -> list[int] | None:
    """Return the numbers of the rows once there are enough, or no more is to be tried; None until then."""
    if len(tries) < most and sum(not one.fault for one in tries) < count:
        return None
    rows = kept(tries, count)
    return rows if len(rows) == count or len(tries) >= most else None
