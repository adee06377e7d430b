"""A stack's answers to the user's own prompts (`evaluate.prompts`), as `chat` would give them without sampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from statllama.config.evaluate import EvaluateSpec
from statllama.errors import EvaluationError, UsageError
from statllama.runs.chat import Conversation, positions_of, stop_tokens
from statllama.runs.replying import GREEDY, replies_to
from statllama.runs.watch.run_state import PromptAnswer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def answers_to(spec: EvaluateSpec, model: Any, tokenizer: PreTrainedTokenizerBase) -> tuple[PromptAnswer, ...]:
    """Return the greedy answers of a loaded model that carries the stack, in the order of `spec.prompts`.

    A prompt is a conversation's first turn where the tokenizer has a chat template and `evaluate.chat_template` asks
    for it, else a text to go on with. The model is as before when this returns or raises. EvaluationError for a prompt
    that leaves no room for an answer, and for one that does not fit into memory.
    """
    from statllama.evaluation.suite import unchanged

    positions = positions_of(model, spec.max_length)
    encoded = [_encoded(text, spec, tokenizer, positions) for text in spec.prompts]
    with unchanged(model, tokenizer):
        return tuple(
            PromptAnswer(prompt, text, ended)
            for prompt, (text, ended) in zip(spec.prompts, _reply(model, tokenizer, encoded, spec), strict=True)
        )


def _encoded(text: str, spec: EvaluateSpec, tokenizer: Any, positions: int) -> list[int]:
    """Return the prompt's token ids, which leave room for an answer."""
    if spec.chat_template and tokenizer.chat_template:
        try:
            ids = Conversation(tokenizer, positions).prompt(text)
        except UsageError:
            ids = [0] * positions
    else:
        ids = [int(i) for i in tokenizer(text).input_ids]
    if len(ids) + spec.prompt_tokens > positions:
        raise EvaluationError(
            f"`evaluate.prompts`: {text[:40]!r} and an answer of {spec.prompt_tokens} tokens do not fit into the "
            f"{positions:,} that the model can look at",
            remedy="shorten the prompt, or lower `evaluate.prompt_tokens`; `evaluate.max_length` is a limit too",
        )
    return ids


def _reply(model: Any, tokenizer: Any, prompts: Sequence[list[int]], spec: EvaluateSpec) -> list[tuple[str, bool]]:
    """Return (answer, whether it ended by itself) to each prompt."""
    from statllama.evaluation.replies import Manner

    ends = stop_tokens(model, tokenizer)
    manner = Manner(tuple(tokenizer.decode([i]) for i in ends), spec.prompt_tokens, GREEDY)
    try:
        said = replies_to(model, tokenizer, prompts, manner)
    except MemoryError:
        raise EvaluationError(
            f"out of memory while answering one of `evaluate.prompts` in {spec.prompt_tokens} tokens",
            remedy="lower `evaluate.prompt_tokens`, or shorten the prompts",
        ) from None
    texts = [tokenizer.decode([i for i in one.ids if i not in ends], skip_special_tokens=True) for one in said]
    return [(text.strip(), one.ended) for text, one in zip(texts, said, strict=True)]
