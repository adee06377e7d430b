"""A form of the model that can be asked: in Transformers and PEFT, or in real llama.cpp. All get the same questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from statllama.data.chat import turn
from statllama.data.examples import Message
from statllama.model.stack import attach_frozen
from statllama.release.llamacpp import LlamaCpp
from statllama.release.prompts import Row
from statllama.release.source import Source
from statllama.release.verify_weights import Tensors, row_blocks

MOST = 1000
"""Next tokens that llama.cpp is asked for at a position; what is beyond them is compared as one sum."""
_FORCE = 1e4  # added to a logit, so that its token is the next


@dataclass(frozen=True)
class Prediction:
    """Log-probabilities of next tokens, in float64: of all tokens (`tokens` is None), or of the most probable ones."""

    logprobs: np.ndarray[Any, np.dtype[np.float64]]
    tokens: np.ndarray[Any, np.dtype[np.int64]] | None = None


@dataclass(frozen=True)
class Reply:
    """A greedy continuation, without the token that ended it."""

    tokens: tuple[int, ...]
    ended: bool
    """By itself, and not at the limit."""
    margins: tuple[float, ...] = ()
    """By how many nats each token, and then the one that ended it, led the runner-up; empty where it is not known."""


class Form(Protocol):
    """What verification asks of a form."""

    def tokens(self, text: str, *, add_special: bool) -> list[int] | None:
        """Return the ids of a text in which special tokens are recognised; None when the form has no tokenizer."""

    def chat(self, messages: Sequence[Message]) -> list[int] | None:
        """Return the ids of a conversation, the assistant to speak, as the form's own program makes them; None without
        a template.

        The date is today's where the template writes one.
        """

    def predict(self, row: Row) -> list[Prediction]:
        """Return the predictions after each of the row's positions."""

    def reply(self, ids: Sequence[int], count: int) -> Reply:
        """Return the greedy continuation by at most `count` tokens."""

    def ends_at(self, token: int) -> bool:
        """Return whether a reply ends when the model is made to say this token."""


def chat_ids(
    tokenizer: Any, messages: Sequence[Message], variables: Mapping[str, Any] | None = None
) -> list[int] | None:
    """Return a conversation as plain Transformers writes it, the assistant to speak; None without a chat template.

    `variables`: for the template; without any, it writes today's date.
    """
    if not tokenizer.chat_template:
        return None
    talk = [turn(message) for message in messages]
    text = tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True, **(variables or {}))
    return list(tokenizer(text, add_special_tokens=False).input_ids)


class InTransformers:
    """A model in Transformers, maybe with a PEFT adapter on it, in float32."""

    def __init__(self, model: Any, tokenizer: Any | None) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.device = next(model.parameters()).device

    def tokens(self, text: str, *, add_special: bool) -> list[int] | None:
        if self.tokenizer is None:
            return None
        return list(self.tokenizer(text, add_special_tokens=add_special).input_ids)

    def chat(self, messages: Sequence[Message]) -> list[int] | None:
        return None if self.tokenizer is None else chat_ids(self.tokenizer, messages)

    @torch.no_grad()
    def logits(self, row: Row) -> Tensor:
        """Return the logits after the row's positions, (positions, vocabulary), float32 on the CPU."""
        ids = torch.tensor([row.ids], device=self.device)
        found: Tensor = self.model(input_ids=ids, use_cache=False).logits[0]
        return found[torch.tensor(row.positions, device=self.device)].float().cpu()

    def predict(self, row: Row) -> list[Prediction]:
        return [Prediction(line.numpy()) for line in self.logits(row).double().log_softmax(-1)]

    def reply(self, ids: Sequence[int], count: int) -> Reply:
        return self._reply(ids, count, {})

    def reply_with(self, ids: Sequence[int], count: int, stops: Sequence[int]) -> Reply:
        """Return `reply` that ends at one of `stops`, whatever the model's configuration says."""
        return self._reply(ids, count, {"eos_token_id": list(stops)})

    def ends_at(self, token: int) -> bool:
        vocabulary = self.model.get_output_embeddings().weight.shape[0]
        if token >= vocabulary:
            return False
        bias = {"sequence_bias": {(token,): _FORCE}}
        return self._reply([self._any(token)], 2, bias).ended

    def _any(self, token: int) -> int:
        """Return a token to begin with."""
        bos = getattr(self.tokenizer, "bos_token_id", None)
        return int(bos) if bos is not None else int(token == 0)

    @torch.no_grad()
    def _reply(self, ids: Sequence[int], count: int, options: dict[str, Any]) -> Reply:
        prompt = torch.tensor([list(ids)], device=self.device)
        with greedy(self.model):
            out = self.model.generate(
                input_ids=prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=count,
                return_dict_in_generate=True,
                output_logits=True,
                **options,
            )
        made = [int(token) for token in out.sequences[0, len(ids) :]]
        top = [logits[0].float().log_softmax(-1).topk(2).values for logits in out.logits]
        ended = len(made) > 0 and made[-1] in _ends(self.model, options)
        margins = tuple(float(first - second) for first, second in top)
        return Reply(tuple(made[:-1] if ended else made), ended, margins)


def _ends(model: Any, options: Mapping[str, Any]) -> set[int]:
    """Return the ids that `generate` stops at."""
    found = options.get("eos_token_id", model.generation_config.eos_token_id)
    return set(found) if isinstance(found, list) else {found} - {None}


@contextmanager
def greedy(model: Any) -> Iterator[None]:
    """Make `generate` take the most probable token, whatever the generation_config says about sampling."""
    settings = model.generation_config
    changes: dict[str, Any] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None, "min_p": None}
    changes |= {"repetition_penalty": None, "max_length": None, "pad_token_id": settings.pad_token_id or 0}
    before = {name: getattr(settings, name, None) for name in changes}
    try:
        settings.update(**changes)
        yield
    finally:
        settings.update(**before)


class InLlamaCpp:
    """A GGUF file in llama.cpp's own server."""

    def __init__(self, server: LlamaCpp, vocabulary: int) -> None:
        """Take `vocabulary`, the number of tokens that the model predicts."""
        self.server, self.most = server, min(MOST, vocabulary)

    def tokens(self, text: str, *, add_special: bool) -> list[int] | None:
        return self.server.tokens(text, add_special=add_special)

    def chat(self, messages: Sequence[Message]) -> list[int] | None:
        text = self.server.render([{"role": message.role, "content": message.content} for message in messages])
        return self.server.tokens(text, add_special=True)

    def predict(self, row: Row) -> list[Prediction]:
        found = (self.server.next_token(row.ids[: position + 1], self.most) for position in row.positions)
        return [Prediction(one.logprobs, one.tokens) for one in found]

    def reply(self, ids: Sequence[int], count: int) -> Reply:
        made = self.server.generate(ids, count)
        return Reply(made.tokens, made.ended)

    def ends_at(self, token: int) -> bool:
        return self.server.ends_at(token)


@contextmanager
def merged_form(folder: Path, device: Any) -> Iterator[InTransformers]:
    """Yield a folder of merged weights, as plain Transformers loads it, in float32."""
    yield InTransformers(_load(folder).to(device), _tokenizer(folder))


@contextmanager
def adapter_form(folder: Path, base: Path, device: Any) -> Iterator[InTransformers]:
    """Yield a PEFT adapter on the original base, as plain PEFT loads it, in float32."""
    from statllama.model.base_model import with_adapter

    model = with_adapter(_load(base), folder).to(device).eval()
    yield InTransformers(model, _tokenizer(folder) if (folder / "tokenizer.json").exists() else None)


@contextmanager
def file_form(tensors: Tensors, base: Path, device: Any) -> Iterator[InTransformers]:
    """Yield the base's architecture with an artefact's own weights, in Transformers, in float32; without a
    tokenizer.
    """
    model = _load(base)
    names = tensors.names()
    if "lm_head.weight" in names and model.config.tie_word_embeddings:  # the stack has untied it
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            for start, stop in row_blocks(tuple(parameter.shape), tensors.unit(name)):
                parameter[start:stop] = tensors.rows(name, start, stop)
    yield InTransformers(model.to(device), None)


@contextmanager
def stack_form(source: Source, device: Any) -> Iterator[InTransformers]:
    """Yield the stack on the original base, in Transformers, in float32; without a tokenizer."""
    base = _load(source.base)
    model = attach_frozen(base, source.adapters) if source.adapters else base
    yield InTransformers(model.to(device), None)


def stored_type(tensors: Tensors, module: str) -> str:
    """Return the type of a linear module's weight in an artefact; a tied head is the embedding."""
    name = f"{module}.weight"
    return tensors.type(name if name in tensors.names() else "model.embed_tokens.weight")


@contextmanager
def rounded_activations(form: InTransformers, type_of: Callable[[str], str]) -> Iterator[None]:
    """Round the input of each linear module as llama.cpp rounds it for weights of its type.

    `type_of`: type of a module's weight by the module's name.
    """
    linear = [(name, module) for name, module in form.model.named_modules() if isinstance(module, torch.nn.Linear)]
    hooks = [module.register_forward_pre_hook(partial(_rounded_input, type_of(name))) for name, module in linear]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _rounded_input(type_: str, module: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (rounded(inputs[0], type_), *inputs[1:])


def rounded(x: Tensor, type_: str) -> Tensor:
    """Return the activations as llama.cpp multiplies them with weights of a type: `vec_dot_type` in ggml's
    `ggml-cpu.c`.

    For types with blocks that is Q8_0 (Q8_K for k-quants): integers up to 127 times a scale for 32 (256) numbers.
    """
    if type_ in ("F32", "F16", "BF16"):
        return x.to({"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[type_]).float()
    blocks = x.reshape(-1, 256 if type_.endswith("_K") else 32)
    scale = blocks.abs().amax(1, keepdim=True).clamp_min(1e-30) / 127
    return ((blocks / scale).round() * scale).reshape(x.shape)


def _load(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
    ).eval()


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
