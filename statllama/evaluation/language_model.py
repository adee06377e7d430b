"""lm-evaluation-harness' view of a loaded model: progress, answers kept as they come, prompts checked, little memory.

Used by `suite.py` alone, which imports it when a model is scored: it loads torch and lm-eval.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import normalize_gen_kwargs

from statllama.config.evaluate import EvaluateSpec
from statllama.data.chat import TEMPLATE_VARIABLES
from statllama.errors import EvaluationError
from statllama.evaluation.answers import Answers, Progress
from statllama.evaluation.shared_context import Answer, batches, forks, likelihoods, takes_forks


class _Hook:
    """lm-eval tells its cache of each answer as it comes: here that keeps the answer and drives the progress."""

    def __init__(self, answers: Answers, ended: deque[bool], tick: Callable[[], None]) -> None:
        self.answers, self.ended, self.tick = answers, ended, tick

    def add_partial(self, method: str, request: tuple[Any, ...], answer: Any) -> None:
        self.answers.add(method, request, answer, self.ended.popleft() if self.ended else True)
        self.tick()


class LanguageModel(HFLM):  # type: ignore[misc, unused-ignore]
    """lm-eval's HFLM of a loaded causal model.

    Requests that `answers` knows are not asked again. EvaluationError for a prompt without exactly one BOS, and for a
    benchmark whose replies alone fill the context.
    """

    cut: set[int]
    """Numbers of the documents whose prompt does not fit into `max_length`."""
    unfinished: set[int]
    """Numbers of the documents whose reply was cut at `max_gen_toks`."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        task: str,
        spec: EvaluateSpec,
        answers: Answers,
        on_progress: Progress | None,
    ) -> None:
        device = model.device.type
        longest = getattr(model.config, "max_position_embeddings", None) or spec.max_length
        super().__init__(
            pretrained=model,
            tokenizer=tokenizer,
            batch_size=spec.batch_size,
            max_length=min(spec.max_length, longest),
            softmax_dtype="float32",
            # HFLM switches a surrounding autocast off unless it is told of it.
            mixed_precision_dtype=torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None,
            chat_template_args=dict(TEMPLATE_VARIABLES),
        )
        self.task, self.answers, self.on_progress = task, answers, on_progress
        self.cut, self.unfinished, self.ended = set(), set(), deque[bool]()

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[Any]:
        """Answer as lm-eval does, but only the requests that have no answer yet."""
        for request in requests:
            if request.args[0] and self.answers.get("loglikelihood", request.args) is not None:
                self._note_length(request, *self._encode_pair(*request.args))
        return self._resumed("loglikelihood", requests, super().loglikelihood)

    def _loglikelihood_tokens(self, requests: list[Any], **kwargs: Any) -> Any:
        for request, (_, context, continuation) in zip(self.waiting, requests, strict=True):
            _check_bos(self.tokenizer, context, self.task)
            self._note_length(request, context, continuation)
        known: dict[int, Answer] = {}
        if takes_forks(self.model):
            pairs = [(context, continuation) for _, context, continuation in requests]
            for batch in batches(forks(pairs, self.max_length), self.batch_size):
                said = likelihoods(self.model, batch, self.tokenizer.pad_token_id or 0)
                for fork, answers in zip(batch, said, strict=True):
                    for number, answer in zip(fork.numbers, answers, strict=True):
                        known[number] = answer
                        self.cache_hook.add_partial("loglikelihood", requests[number][0], answer)
        alone = [number for number in range(len(requests)) if number not in known]
        if alone:
            self.longest = max(len(requests[number][2]) for number in alone)
            rest = super()._loglikelihood_tokens([requests[number] for number in alone], **kwargs)
            known.update(zip(alone, rest, strict=True))
        return [known[number] for number in range(len(requests))]

    def _note_length(self, request: Any, context: list[int], continuation: list[int]) -> None:
        if len(context) + len(continuation) > self.max_length + 1:
            self.cut.add(request.doc_id)

    def _model_call(self, inps: torch.Tensor, attn_mask: Any = None, labels: Any = None) -> torch.Tensor:
        # inps: [batch, width], padded on the right with 0. Only continuations are scored; logits of all
        # positions would take batch x width x vocabulary floats: keep the last, those that can be needed.
        width = inps.shape[1]
        ends = ((inps != 0) * torch.arange(1, width + 1, device=inps.device)).amax(1)
        keep = min(width, width - int(ends.min()) + self.longest)
        logits: torch.Tensor = self.model(inps, use_cache=False, logits_to_keep=keep).logits
        return logits  # [batch, keep, vocabulary]

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[Any]:
        """Answer as lm-eval does, but only the requests that have no answer yet."""
        for request in requests:
            reply = normalize_gen_kwargs(request.args[1], self.max_gen_toks)["max_gen_toks"]
            if reply >= self.max_length:
                raise EvaluationError(
                    f"{self.task}: replies of up to {reply} tokens leave no room for a prompt in a context of "
                    f"{self.max_length}",
                    remedy="raise `evaluate.max_length`, if the model has enough positions",
                )
            if len(self.tok_encode(request.args[0])) > self.max_length - reply:
                self.cut.add(request.doc_id)
        _check_bos(self.tokenizer, self.tok_batch_encode([requests[0].args[0]])[0][0].tolist(), self.task)
        return self._resumed("generate_until", requests, super().generate_until)

    def _model_generate(self, context: torch.Tensor, max_length: int, stop: list[str], **kwargs: Any) -> torch.Tensor:
        rows: torch.Tensor = super()._model_generate(context=context, max_length=max_length, stop=stop, **kwargs)
        replies = rows[:, context.shape[1] :]  # [batch, new tokens], padded once a row has ended
        full = replies.shape[1] == max_length - context.shape[1]
        texts = self.tokenizer.batch_decode(replies) if full else [""] * len(replies)
        for reply, text in zip(replies, texts, strict=True):
            padded = full and int(reply[-1]) == self.tokenizer.pad_token_id
            self.ended.append(not full or padded or any(s in text for s in stop))
        return rows

    def _resumed(self, method: str, requests: list[Any], ask: Callable[..., Any]) -> list[Any]:
        """Return the answers to `requests`, in order: those that are kept, and what `ask` says to the others."""
        self.waiting = [r for r in requests if self.answers.get(method, r.args) is None]
        done, total = len(requests) - len(self.waiting) - 1, len(requests)

        def tick() -> None:
            nonlocal done
            done += 1
            if self.on_progress is not None:
                self.on_progress(done, total, self.task)

        tick()
        self.ended.clear()
        self.cache_hook = _Hook(self.answers, self.ended, tick)
        if self.waiting:
            ask(self.waiting, disable_tqdm=True)
        known = [self.answers.get(method, r.args) for r in requests]
        self.unfinished |= {r.doc_id for r, found in zip(requests, known, strict=True) if found and not found[1]}
        return [found[0] for found in known if found is not None]


def _check_bos(tokenizer: Any, ids: list[int], task: str) -> None:
    """Check that `ids` (one prompt) start with exactly one BOS, or with none if the tokenizer never adds one."""
    bos = tokenizer.bos_token_id
    if bos is None:
        return
    count = next((i for i, token in enumerate(ids) if token != bos), len(ids))
    if count > 1 or (count == 0 and tokenizer("a").input_ids[:1] == [bos]):
        raise EvaluationError(
            f"{task}: a prompt starts with {count} BOS tokens ({tokenizer.bos_token}) instead of one",
            remedy="let either the chat template or the tokenizer write the BOS, not both",
        )
