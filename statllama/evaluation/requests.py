"""What a benchmark asks with one tokenizer: built once, asked of any number of models, judged by lm-eval's task.

lm-eval builds and renders all of it anew for each model: examples are drawn, templates rendered, every choice encoded.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from statllama.config.evaluate import EvaluateSpec


@dataclass(frozen=True)
class Item:
    """A question of a benchmark, with lm-eval's requests for it in order."""

    number: int
    doc: Mapping[str, Any]
    requests: tuple[Any, ...]
    id: str
    """First 16 hex digits of lm-eval's `doc_hash`."""
    target: Any
    """What lm-eval's `doc_to_target` says."""


@dataclass
class Requests:
    """All requests of a benchmark. `loaded`: lm-eval's task object, which keeps them and judges their answers."""

    loaded: Any
    tokenizer: Any
    template: str | None
    """The chat template that they were rendered with."""
    ids: Any = field(default=None, repr=False)
    """The token ids of all requests, which `LanguageModel` adds when the first model is asked."""

    @classmethod
    def build(cls, loaded: Any, tokenizer: Any, spec: EvaluateSpec, chat_template: Any) -> Requests:
        """Draw examples and render prompts as lm-eval's `simple_evaluate` would. `chat_template`: HFLM's method."""
        import numpy
        import torch

        random.seed(spec.seed)
        numpy.random.seed(spec.seed % 2**32)
        torch.manual_seed(spec.seed)
        loaded.set_fewshot_seed(seed=spec.seed)  # the sampler would draw on from where it was left
        loaded.build_all_requests(
            limit=spec.limit,
            apply_chat_template=spec.chat_template,
            fewshot_as_multiturn=spec.chat_template and spec.fewshot_as_turns,
            chat_template=chat_template if spec.chat_template else None,
        )
        return cls(loaded, tokenizer, getattr(tokenizer, "chat_template", None))

    def are_for(self, tokenizer: Any) -> bool:
        """Return whether another model with this tokenizer is asked the same."""
        return tokenizer is self.tokenizer and getattr(tokenizer, "chat_template", None) == self.template

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """Return the items in document order."""
        from lm_eval.utils import handle_non_serializable, hash_string

        same: dict[int, list[Any]] = defaultdict(list)
        for request in self.loaded.instances:
            same[request.doc_id].append(request)
        items = []
        for number, requests in sorted(same.items()):
            doc = requests[0].doc
            text = json.dumps(doc, indent=2, default=handle_non_serializable, ensure_ascii=False)
            ordered = tuple(sorted(requests, key=lambda request: request.idx))
            items.append(Item(number, doc, ordered, hash_string(text)[:16], self.loaded.doc_to_target(doc)))
        return tuple(items)

    def judge(self, answers: Sequence[Any]) -> dict[str, list[dict[str, Any]]]:
        """Return {filter: each item's {metric: score}}, filters in the task's order. `answers`: one a request.

        The filtered answers are in the requests until the next model is judged.
        """
        for request, answer in zip(self.loaded.instances, answers, strict=True):
            request.resps, request.filtered_resps = [answer] * request.repeats, {}
        self.loaded.apply_filters()
        return {
            name: [
                self.loaded.process_results(item.doc, [request.filtered_resps[name] for request in item.requests])
                for item in self.items
            ]
            for name in self.loaded.instances[0].filtered_resps
        }

    def means(self, judged: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[tuple[str, str], float]:
        """Return {(metric, filter): the items' scores as lm-eval aggregates them}. `judged`: see `judge`."""
        from lm_eval.api.metrics import mean

        ways = self.loaded.aggregation()
        return {
            (metric, name): float(ways.get(metric, mean)([scores[metric] for scores in items]))
            for name, items in judged.items()
            for metric in items[0]
        }
