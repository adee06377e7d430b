"""lm-evaluation-harness' view of a loaded model: its prompts and stop strings, answered in passes under a budget.

Answers are kept as they come, what prompts share is computed once, and memory that runs out makes passes smaller.
Used by `suite.py` alone, which imports it when a model is scored: it loads torch and lm-eval.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import handle_stop_sequences, has_bos_prefix, normalize_gen_kwargs, postprocess_generated_text

from statllama.config.evaluate import EvaluateSpec
from statllama.config.metrics import by_likelihood
from statllama.data.budget import out_of_memory, split
from statllama.data.chat import TEMPLATE_VARIABLES
from statllama.data.work import Work
from statllama.errors import EvaluationError
from statllama.evaluation.answers import Answers, Progress
from statllama.evaluation.replies import Manner, Reply, replies
from statllama.evaluation.requests import Requests
from statllama.evaluation.shared_context import Answer, Fork, Pair, forks, likelihoods, takes_forks, takes_prefix
from statllama.evaluation.shared_prefix import Group, Prefix, groups

REPLIES = 4  # passes' tokens that a batch of replies holds: decoding reads all weights for one token of each
CPU_PASS = 1024  # tokens of choices that a CPU takes at once: with more, its caches are too small
READ = 4  # tokens of a prefix that hold as much as one that is computed: they are read, layer by layer


@dataclass
class Budget:
    """Tokens that a forward pass may hold. It shrinks when memory runs out, for all models that are asked later too."""

    tokens: int
    note: Callable[[str], None] = lambda text: None


class LanguageModel(HFLM):  # type: ignore[misc, unused-ignore]
    """lm-eval's HFLM of a loaded causal model.

    Requests that `answers` knows are not asked again. EvaluationError for a prompt without exactly one BOS, for a
    benchmark whose replies alone fill the context, and for a row that does not fit into memory.
    """

    cut: set[int]
    """Numbers of the documents whose prompt does not fit into `max_length`."""
    unfinished: set[int]
    """Numbers of the documents whose reply was cut at `max_gen_toks`."""
    read: Work
    """What was computed; `asked`: of how many requests, those left out whose answers were known; `distinct`: all that
    differ."""
    asked: int
    distinct: int

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        task: str,
        spec: EvaluateSpec,
        answers: Answers,
        budget: Budget,
        on_progress: Progress | None,
    ) -> None:
        self._encoded: dict[str, list[int]] = {}
        longest = getattr(model.config, "max_position_embeddings", None) or spec.max_length
        super().__init__(
            pretrained=model,
            tokenizer=tokenizer,
            batch_size=1,  # unused: see `_in_passes`
            max_length=min(spec.max_length, longest),
            chat_template_args=dict(TEMPLATE_VARIABLES),
        )
        self.task, self.answers, self.budget, self.on_progress = task, answers, budget, on_progress
        self.cut, self.unfinished = set(), set()
        self.read, self.asked, self.distinct = Work(), 0, 0

    def answer(self, asked: Requests) -> list[Any]:
        """Return lm-eval's answers to all requests of a benchmark, in order."""
        requests = asked.loaded.instances
        self._method, self._args = requests[0].request_type, [request.args for request in requests]
        self._documents = [request.doc_id for request in requests]
        choices = self._method == "loglikelihood"
        self._whole_contexts = by_likelihood({"metric_list": asked.loaded.config.metric_list})
        if asked.ids is None:
            asked.ids = self._pairs() if choices else self._prompts()
        first: dict[str, int] = {}  # equal requests are asked once
        for number, args in enumerate(self._args):
            first.setdefault(repr(args), number)
        waiting = [n for n in first.values() if self.answers.get(self._method, self._args[n]) is None]
        self._done, self.asked, self.distinct = len(requests) - len(waiting), len(waiting), len(first)
        self._tick(0)
        (self._choose if choices else self._reply)(asked.ids, waiting)
        found = [self.answers.get(self._method, args) for args in self._args]
        self.unfinished |= {doc for doc, known in zip(self._documents, found, strict=True) if known and not known[1]}
        return [known[0] for known in found if known is not None]

    def _keep(self, number: int, answer: Any, ended: bool = True) -> None:
        self.answers.add(self._method, self._args[number], answer, ended)
        self._tick(1)

    def _tick(self, more: int) -> None:
        self._done += more
        if self.on_progress is not None:
            self.on_progress(self._done, len(self._args), self.task)

    # ------------------------------------------------------------------ likelihoods of choices

    def _pairs(self) -> list[Pair]:
        """Encode contexts and continuations by lm-eval's rules, each distinct text once."""
        texts = {context.rstrip() for context, _ in self._args} | {"".join(args) for args in self._args}
        texts |= {context for context, _ in self._args} if self._whole_contexts else set()
        bos = self.tokenizer.decode(self.prefix_token_id)
        for begun in (True, False):
            if chosen := [text for text in texts if has_bos_prefix(text, bos) == begun]:
                options = {"add_special_tokens": False} if begun else {}
                self._encoded.update(zip(chosen, self.tokenizer(chosen, **options).input_ids, strict=True))
        pairs = [self._encode_pair(*args) if args[0] else self._without_context(args[1]) for args in self._args]
        self._encoded.clear()
        for context in {id(context): context for context, _ in pairs}.values():
            _check_bos(self.tokenizer, context, self.task)
        return pairs

    def _encode_pair(self, context: str, continuation: str) -> Pair:
        """Encode as lm-eval does, which counts the spaces at a context's end with the continuation.

        But where the likelihood of an answer is what is asked for, those stay with the context: the line ends of a chat
        template's header are no part of an answer.
        """
        if self._whole_contexts:
            start, whole = self.tok_encode(context), self.tok_encode(context + continuation)
            if whole[: len(start)] == start and len(whole) > len(start):
                return start, whole[len(start) :]
        pair: Pair = super()._encode_pair(context, continuation)
        return pair

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **options: Any) -> list[int]:
        """Encode a text as lm-eval does: at once where `_pairs` has done so."""
        if add_special_tokens is None and string in self._encoded:
            return self._encoded[string]
        ids: list[int] = super().tok_encode(string, add_special_tokens=add_special_tokens, **options)
        return ids

    def _without_context(self, continuation: str) -> Pair:
        ids = self.tok_encode(continuation, add_special_tokens=False)
        return (ids[:1], ids[1:]) if ids[0] == self.prefix_token_id else ([self.prefix_token_id], ids)

    def _choose(self, pairs: Sequence[Pair], waiting: Sequence[int]) -> None:
        """Answer the requests that wait, whose numbers these are."""
        room = self.max_length + 1
        for number, (context, continuation) in enumerate(pairs):
            if len(continuation) >= room:
                raise EvaluationError(
                    f"{self.task}: a choice of {len(continuation)} tokens is longer than a context of {room - 1}",
                    remedy="raise `evaluate.max_length`, if the model has enough positions",
                )
            if len(context) + len(continuation) > room:
                self.cut.add(self._documents[number])
        fitted = [(pairs[n][0][len(pairs[n][1]) - room :], pairs[n][1]) for n in waiting]
        most = CPU_PASS if self.on_cpu else None
        rows = forks(fitted, self.max_length, takes_forks(self.model))

        def choose(prefix: Prefix | None, numbers: Sequence[int]) -> Iterator[int]:
            chosen = [rows[number] for number in numbers]
            known = len(prefix) if prefix else 0
            self.read += _of_choices(chosen, known)
            said = self._likelihoods(chosen, prefix)
            for number, row, answers in zip(numbers, chosen, said, strict=True):
                for request, answer in zip(row.numbers, answers, strict=True):
                    self._keep(waiting[request], answer)
                yield number

        for prefix, members in self._shared([row.trunk[: row.start] for row in rows]):
            known = len(prefix) if prefix else 0
            for branches in (False, True):  # these need a mask
                part = [n for n in members if rows[n].branches is branches]
                self._in_passes(
                    {n: rows[n].length - known + known // READ for n in part}, partial(choose, prefix), most=most
                )

    # ------------------------------------------------------------------ replies

    def _prompts(self) -> list[list[int]]:
        """Encode prompts by lm-eval's rules."""
        texts = [args[0] for args in self._args]
        begun = has_bos_prefix(texts[0], self.tokenizer.bos_token)
        options = {"add_special_tokens": False} if begun else {}
        prompts: list[list[int]] = self.tokenizer(texts, **options).input_ids
        _check_bos(self.tokenizer, prompts[0], self.task)
        return prompts

    def _reply(self, prompts: Sequence[list[int]], waiting: Sequence[int]) -> None:
        """Answer the requests that wait, whose numbers these are. A benchmark's replies are all made in one manner."""
        manner = self._manner(self._args[0][1])
        room = self.max_length - manner.longest
        if room <= 0:
            raise EvaluationError(
                f"{self.task}: replies of up to {manner.longest} tokens leave no room for a prompt in a context of "
                f"{self.max_length}",
                remedy="raise `evaluate.max_length`, if the model has enough positions",
            )
        self.cut |= {self._documents[number] for number, prompt in enumerate(prompts) if len(prompt) > room}
        fitted = [prompts[number][-room:] for number in waiting]

        def reply(prefix: Prefix | None, numbers: Sequence[int]) -> Iterator[int]:
            chosen = [fitted[number] for number in numbers]
            known = len(prefix) if prefix else 0
            lengths = list[int]()
            for said in self._replies(chosen, manner, prefix):
                lengths.append(len(said.ids))
                text = postprocess_generated_text(self.tok_decode(said.ids), list(manner.stops), None)
                self._keep(waiting[numbers[said.number]], text, said.ended)
                yield numbers[said.number]
            self.read += Work.of_replies(lengths, max(map(len, chosen)) - known, known)

        for prefix, members in self._shared(fitted):
            self._in_passes({n: len(fitted[n]) + manner.longest for n in members}, partial(reply, prefix), REPLIES)

    def _manner(self, asked: dict[str, Any]) -> Manner:
        options = dict(normalize_gen_kwargs(asked, self.max_gen_toks))
        options.pop("max_length", None)  # lm-eval's `max_gen_toks` says it
        stops = handle_stop_sequences(
            options.pop("until"), self.tok_decode(self.eot_token_id, skip_special_tokens=False)
        )
        longest = options.pop("max_gen_toks")
        if options.get("do_sample") is False:
            options.pop("temperature", None)
        return Manner(tuple(filter(None, stops)), longest, options)

    # ------------------------------------------------------------------ what the model is asked

    @property
    def on_cpu(self) -> bool:
        """Return whether the model computes on a CPU."""
        return bool(self.model.device.type == "cpu")

    @property
    def shares(self) -> bool:
        """Return whether the model goes on from a prefix: see `takes_prefix`."""
        return takes_prefix(self.model)

    def _likelihoods(self, rows: Sequence[Fork], prefix: Prefix | None) -> list[list[Answer]]:
        return likelihoods(self.model, rows, self.tokenizer.pad_token_id, prefix)

    def _replies(self, prompts: Sequence[list[int]], manner: Manner, prefix: Prefix | None) -> Iterator[Reply]:
        return replies(self.model, self.tokenizer, prompts, manner, prefix, self.shares)

    def _prefix(self, ids: Sequence[int]) -> Prefix:
        return Prefix(self.model, ids)

    # ------------------------------------------------------------------ passes

    def _shared(self, prompts: Sequence[list[int]]) -> Iterator[tuple[Prefix | None, tuple[int, ...]]]:
        """Yield each prefix that prompts share, computed, and which prompts; None: the others."""
        alone = Group((), tuple(range(len(prompts))))
        for group in groups(prompts) if self.shares else [alone]:
            made: list[Prefix] = []
            if group.prefix:
                self._in_passes({0: len(group.prefix)}, partial(self._remember, made, group.prefix))
            yield made[0] if made else None, group.numbers

    def _remember(self, made: list[Prefix], ids: Sequence[int], numbers: Sequence[int]) -> Iterator[int]:
        made.append(self._prefix(ids))
        self.read += Work.of_rows(1, len(ids), 1)
        yield from numbers

    def _in_passes(
        self,
        lengths: Mapping[int, int],
        run: Callable[[Sequence[int]], Iterator[int]],
        times: int = 1,
        most: int | None = None,
    ) -> None:
        """Have `run` answer rows in passes under so many `times` the budget, or `most` tokens, the longest first.

        `lengths`: {number: tokens that the row holds}. `run` yields the numbers that it is done with.

        Where memory runs out, what is left goes on in smaller passes.
        """
        waiting = dict(lengths)
        while waiting:
            numbers = list(waiting)
            tokens = times * self.budget.tokens
            passes = split([waiting[number] for number in numbers], min(tokens, most or tokens))
            for one in sorted(passes, key=lambda rows: -max(waiting[numbers[row]] for row in rows)):
                failed = True
                try:
                    for number in run([numbers[row] for row in one]):
                        del waiting[number]
                    failed = False
                except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
                    if not out_of_memory(error):
                        raise
                if failed:  # outside the `except`: its traceback holds the pass
                    self._shrink([lengths[numbers[row]] for row in one], times)
                    break

    def _shrink(self, held: Sequence[int], times: int) -> None:
        """Halve the budget of a pass whose rows held so many tokens. EvaluationError when it was one row."""
        tokens = len(held) * max(held)
        if len(held) == 1:
            raise EvaluationError(
                f"{self.task}: out of memory in a pass of {tokens:,} tokens, a single row",
                remedy="lower `evaluate.max_length`, or use a smaller base; recorded scores stay valid",
            )
        self.budget.tokens = max(1, min(tokens, times * self.budget.tokens) // (2 * times))
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.budget.note(
            f"{self.task}: out of memory in a pass of {tokens:,} tokens: scoring goes on with at most "
            f"{times * self.budget.tokens:,}"
        )


def _of_choices(rows: Sequence[Fork], known: int) -> Work:
    """Return the work of a pass over rows whose first `known` tokens are in a cache."""
    width, asked = max(row.length for row in rows) - known, max(row.length - row.start for row in rows)
    return Work.of_rows(len(rows), width, len(rows) * (asked + 1), known)


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
