"""The first weights of a slice that starts from its stage's own rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from statllama.data.fit import IGNORED
from statllama.model import eva
from statllama.train.job import Job

TOKENS = 8192
"""Tokens that count of the rows which EVA looks at; fewer where the stage has fewer."""


def initialise(job: Job, model: Any) -> None:
    """Start A as `lora.init: eva` says, from the principal components of what its modules see; B stays zero."""
    eva.initialise(model, job.spec.lora.r, rows_for(job, model.device))


def rows_for(job: Job, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (token ids, which count) of the stage's rows, in an order drawn under its seed, each once."""
    seen, room = 0, job.spec.train.max_length
    for i in np.random.default_rng(job.spec.train.seed).permutation(len(job.dataset)).tolist():
        for ids, counts in learned(job.dataset[i]):
            if any(counts[:room]):
                yield torch.tensor([ids[:room]], device=device), torch.tensor(counts[:room])
                seen += sum(counts[:room])
        if seen >= TOKENS:
            return


def learned(row: Mapping[str, Any]) -> Iterator[tuple[list[int], list[bool]]]:
    """Yield the token ids of a row's examples, and which are learned: those with loss, a pair's chosen answer, a
    completion; of a question, whose answers are yet to come, all.
    """
    if "labels" in row:
        counts, start = [label != IGNORED for label in row["labels"]], 0
        for length in row["seq_lengths"]:
            part = slice(start, start + length)
            yield list(row["input_ids"][part]), counts[part]
            start += length
        return
    prompt, answer = list(row["prompt_ids"]), list(row.get("chosen_ids") or row.get("completion_ids") or [])
    yield prompt + answer, [not answer] * len(prompt) + [True] * len(answer)
