"""What scoring would compute: a benchmark's passes, counted by the code that makes them, with no model behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from statllama.config.benchmarks import TaskFile
from statllama.config.evaluate import EvaluateSpec
from statllama.evaluation.language_model import LanguageModel
from statllama.evaluation.replies import Manner, Reply
from statllama.evaluation.shared_context import Answer, Fork
from statllama.evaluation.suite import Spent, Suite

SHARES = {"low": 0.1, "usual": 0.5, "high": 1.0}
"""Lengths of replies nobody has seen yet, as shares of the longest that a benchmark allows."""


class _Unasked(LanguageModel):
    """Puts a benchmark's requests into passes and answers none of them."""

    on_cpu, shares = False, True  # type: ignore[assignment]
    share = 1.0

    def _likelihoods(self, rows: Sequence[Fork], prefix: Any) -> list[list[Answer]]:
        return [[(0.0, False)] * len(row.continuations) for row in rows]

    def _replies(self, prompts: Sequence[list[int]], manner: Manner, prefix: Any) -> Iterator[Reply]:
        length = max(1, round(self.share * manner.longest))
        return (Reply(number, [0] * length, True) for number in range(len(prompts)))

    def _prefix(self, ids: Sequence[int]) -> Any:
        return tuple(ids)


def count(
    task: TaskFile, spec: EvaluateSpec, tokenizer: Any, config: Mapping[str, Any], *, on_cpu: bool, shares: bool
) -> dict[str, Spent]:
    """Return {low, usual, high: what scoring a model on the benchmark takes}; all alike where nothing is generated.

    `config`: the body of the base's config.json; `shares`: whether its passes go on from common prefixes (not under
    Unsloth). Raises EvaluationError and BenchmarkError as scoring does.
    """
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))
    suite, found = Suite([task], spec), {}
    for name, share in reversed(SHARES.items()):
        kind = type("Unasked", (_Unasked,), {"share": share, "on_cpu": on_cpu, "shares": shares})
        found[name] = suite.count(task.name, model, tokenizer, kind)
        if share == 1.0 and not found[name].read.decoded:  # nothing is generated
            return dict.fromkeys(SHARES, found[name])
    return found
