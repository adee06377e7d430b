"""What a stage's training holds in memory, by phase: pure arithmetic on a base's shape and a stage's fields. No torch.

The peak is the largest of its phases: the loss at the end of a forward pass, the backward pass through the last layer
and through the first, the optimizer, the reference's forward pass and the check of it, and generation. `allocated` is
what torch's allocator holds then, `torch.cuda.max_memory_allocated`; what a device needs on top is in `fit`.

Each term was counted from what the libraries' code saves for the backward pass (torch 2.13, Transformers 5.17, PEFT
0.21, TRL 1.14, Unsloth 2026.10). Tests hold them to twelve published peaks of a GPU (`test_memory`), to the 3B shape on
fake tensors (`test_memory_3b`) and to the tensors that real stages keep alive on a CPU (`test_memory_tracked`).
Unsloth's own kernels are read from its source, not measured.

All sizes are in bytes, unless a name says tokens or parameters.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Literal

from statllama.config.lora import DEFAULT_MODULES
from statllama.model.shape import Shape

Kind = Literal["cpt", "sft", "dpo", "kto", "grpo"]
Loss = Literal["whole", "tiles", "unsloth", "sides"]
MIB, GIB = 2**20, 2**30

OPTIMIZER = {
    **{"adamw_torch": 8.0, "adamw_torch_fused": 8.0, "adamw_8bit": 2.03, "paged_adamw_8bit": 2.03},
    **{"lion": 4.0, "schedule_free_adamw": 8.0},
}
"""Bytes of state a trained parameter: two float32 moments, or one; of bitsandbytes two bytes and their scales, one in
256; of the schedule-free one the fast weights and the second moment."""
NLL_TILE = 256  # tokens that TRL's chunked loss projects at once
LOGPROB_TILE = 2048, 8192  # tokens, vocabulary: TRL's chunked log-probabilities
SIDE_TILE = 128  # positions that replay and anchor project at once (`sides.TILE`)
SIDE_LOGIT = 20.0  # bytes of a logit there, beside the two in the base's type: four of float32, and one that is squared
OFFLOADED = 2 * MIB  # Unsloth moves a layer's input to the host's memory if it is larger
GENERATED = 12  # bytes a logit of the sampled token, in the type of the base and in float32


@dataclass(frozen=True)
class Setting:
    """All of a stage, its base and its machine that bears on memory, whatever the passes are."""

    shape: Shape
    kind: Kind = "sft"
    quantization: Literal["nf4", "none"] = "nf4"
    width: int = 2
    """Bytes of an activation: 2 for bfloat16 and float16, 4 for float32."""
    rank: int = 16
    modules: Collection[str] = DEFAULT_MODULES
    """Modules with a slice that trains."""
    layers: Collection[int] | None = None
    """Layers with such modules, counted from 0; None: all."""
    below: int = 0
    """Sum of the ranks of the frozen slices."""
    frozen: int = 2
    """Bytes of a number in a frozen slice: `stack._frozen_type`."""
    optimizer: float = 8.0
    """Bytes a trained parameter; see `state_bytes`."""
    recompute: bool = True
    """Whether layers are recomputed in the backward pass, and keep their input alone."""
    backend: Literal["transformers", "unsloth"] = "transformers"
    loss: Loss = "tiles"
    """`whole`: logits of the whole pass. `tiles`: TRL's chunks. `unsloth`: chunks of at most half the free memory.
    `sides`: a pass over replayed or anchored rows."""
    masked: bool = True
    """Whether padded rows bring a mask of length x length to attention."""
    answers: float = 1.0
    """Share of the tokens that are of answers, whose log-probabilities dpo, kto and grpo take."""
    known_reference: bool = False
    """Whether the reference's log-probabilities were computed before the first step."""
    recast: bool = False
    """Whether each slice has its input cast to float32 and back: PEFT does, in 16 bits on a CPU, under float32 slices,
    which they are without frozen ones."""
    unfused: bool = False
    """Whether attention keeps its probabilities: no flash kernel (float32 on a GPU, or one before Ampere)."""
    float_base: bool = False
    """Whether embedding, head and norms are float32 (PEFT's `prepare_model_for_kbit_training`, which statllama does
    not call)."""
    devices: int = 1
    """Ranks that add up their gradients."""
    rows: Literal["none", "below", "own"] = "none"
    """Whether the stage trains rows of tokens, or stands on a stage that did: a loss in tiles then reads a copy of the
    whole head, whose gradient is there too where its rows train."""
    generated: int = 0
    """Of grpo: completions written at once, each with its prompt as long as the pass's rows."""

    @property
    def trained(self) -> int:
        """Return the parameters that train."""
        return self.shape.slice_parameters(self.rank, self.modules, self.layers)

    @property
    def adapted(self) -> int:
        """Return the number of layers with a slice that trains."""
        return self.shape.layers if self.layers is None else len(self.layers)

    @property
    def weights(self) -> float:
        """Return the bytes of the frozen base."""
        other = 4 if self.float_base else self.width
        if self.quantization == "none":
            return self.width * self.shape.linear_parameters + other * self.shape.other_parameters
        layer = sum(nf4(a * b) for a, b in self.shape.matrices.values())
        return self.shape.layers * layer + other * self.shape.other_parameters

    @property
    def static(self) -> float:
        """Return what stays all through training: base, frozen slices, the new slice in float32, its optimizer."""
        below = self.frozen * self.shape.slice_parameters(self.below, DEFAULT_MODULES)
        return self.weights + below + self.trained * (4 + self.optimizer)


@dataclass(frozen=True)
class Pass:
    """The largest forward pass: so many tokens, padding included, in rows of `length`."""

    tokens: int
    length: int
    alone: bool = True
    """Whether the step has no other pass, whose gradients would wait meanwhile."""


@dataclass(frozen=True)
class Need:
    """Bytes that are allocated at each phase's peak; `allocated` is the largest, in `phase`."""

    phases: dict[str, float] = field(repr=False)
    static: float
    """Bytes that are held all the time."""
    kept: float
    """Bytes that the forward pass keeps for the backward pass, layers' inputs or all activations."""

    @property
    def phase(self) -> str:
        """Return the name of the phase that needs most."""
        return max(self.phases, key=lambda name: self.phases[name])

    @property
    def allocated(self) -> float:
        """Return the peak."""
        return self.phases[self.phase]


def state_bytes(optimizer: str, rank: int) -> float:
    """Return the bytes of an optimizer's state a trained parameter, of slices of this rank.

    Adafactor keeps a float32 mean for each row and each column of a factor. The `rank` ones are few beside those of the
    other side, which are the factor's numbers over the rank.
    """
    return 4 / rank if optimizer == "adafactor" else OPTIMIZER[optimizer]


def nf4(numbers: int) -> float:
    """Return the bytes of so many weights in NF4 with double quantisation, as bitsandbytes keeps them.

    Half a byte a weight; an 8-bit scale for 64 weights; a float32 scale for 256 of those; tables of 16 and 256 float32,
    and the scales' offset (https://arxiv.org/abs/2305.14314).
    """
    scales = math.ceil(numbers / 64)
    return numbers / 2 + scales + 4 * math.ceil(scales / 256) + 4 * (16 + 256 + 1)


def saved(setting: Setting, length: int) -> float:
    """Return the bytes a token that one layer keeps for its backward pass when nothing is recomputed."""
    s, w, trained = setting.shape, setting.width, set(setting.modules)
    attention = 2 * w * (s.query + s.kv) + 4 * s.heads  # q, k, v, what comes out, log-sum-exp
    if setting.unfused:  # probabilities, scaled q and k, repeated k and v
        attention += w * (s.heads * length + s.query + 2 * (s.query - s.kv))
    if setting.backend == "unsloth":  # two residuals, two normed inputs; gate and up, the rest is made again
        return w * (4 * s.hidden + 2 * s.inner) + 8 + attention
    norms = 8 * s.hidden + 8 + s.head_norms * 4 * (s.query + s.kv + s.heads + s.kv_heads)  # in float32
    # A slice that trains keeps its input; o_proj's is what comes out of attention. An MLP keeps gate, its SiLU and up.
    inputs = s.hidden * (bool(trained & {"q_proj", "k_proj", "v_proj"}) + bool(trained & {"gate_proj", "up_proj"}))
    if setting.recast:  # and so each keeps a copy of its own
        inputs = sum(s.matrices[module][0] for module in trained - {"down_proj"})
    mlp = s.inner * (3 + ("down_proj" in trained))
    slices = (setting.rank + setting.below) * len(trained)
    return norms + attention + w * (inputs + mlp + slices)


def _passed(setting: Setting, length: int) -> float:
    """Return the bytes a token that layers without a slice that trains keep: those above the first with one pass its
    gradient on, those below it keep nothing.
    """
    if setting.layers is None:
        return 0.0
    above = setting.shape.layers - min(setting.layers) - len(setting.layers)
    return above * saved(replace(setting, modules=()), length)


def need(setting: Setting, one: Pass, free: float = math.inf) -> Need:
    """Return the memory that training needs whose largest forward pass is `one`.

    `free`: bytes of the whole device; Unsloth sizes the chunks of its loss by what is left of it.
    """
    s, w, tokens, p = setting.shape, setting.width, one.tokens, setting.trained
    static, row = setting.static, (4 if setting.float_base else w) * s.hidden * tokens
    layer_saved = tokens * saved(setting, one.length)
    # A layer's slices as attention and MLP multiply them: joined with the frozen ones, else cast from float32.
    frozen = s.slice_parameters(setting.below, setting.modules, setting.layers)
    joined = w * (p + frozen) / setting.adapted if setting.below else 0.0
    cast = joined or (w * p / setting.adapted if w < 4 else 0.0)
    if not setting.recompute:
        kept = setting.adapted * (layer_saved + cast) + tokens * _passed(setting, one.length)
    else:
        kept = float(s.layers * row)
        if setting.backend == "unsloth":
            kept = min(kept, max(3.0 * row, s.layers * OFFLOADED))
    mask = tokens * one.length * setting.masked
    waiting = 0 if one.alone else 4 * p
    held = static + waiting + kept + mask
    again = layer_saved if setting.recompute else 0.0
    # In a layer's backward pass: at its start one matrix is dequantised, or in its MLP most of it is there at once.
    dequantised = w * s.hidden * s.inner if setting.quantization == "nf4" else 0
    start = again + 5 * w * s.hidden * tokens + dequantised
    mlp = again + tokens * w * (4 * s.inner - setting.recompute * (3 * s.hidden + s.kv))
    layer = cast + max(start, mlp + setting.recast * 4 * s.inner * tokens)
    ends = row + 4 * s.hidden * tokens  # the last hidden states, and their norm in float32
    phases = {
        "loss": held + ends + loss(setting, one, free - static - kept) + head_copies(setting),
        "last layer": held + layer,
        "first layer": static + 4 * p + mask + layer + row,
        "optimizer": static + 8 * p,
    }
    if setting.devices > 1:  # all gradients once more, joined, in float32 (`ranks.add`); the passes are over by then
        phases["sum over devices"] = static + 4 * p + 4 * p
    if setting.kind in ("dpo", "kto", "grpo"):
        if not setting.known_reference:
            phases["reference"] = (
                held
                + (setting.rows != "none") * w * s.vocab * s.hidden
                + tokens * w * 3 * (s.inner + s.hidden)
                + dequantised
            )
        # That the reference is the parents is checked on the first batch, row by row: logits, and their log-softmax.
        phases["first check"] = static + 8 * s.vocab * one.length
    if setting.kind == "grpo":
        phases["generation"] = generation(setting, one.length)
    return Need(phases, static, kept)


def loss(setting: Setting, one: Pass, free: float) -> float:
    """Return the bytes of the logits and of what is made of them, at the peak. `free`: left for them."""
    s, w, tokens = setting.shape, setting.width, one.tokens
    language = setting.kind in ("cpt", "sft")
    if setting.loss == "sides":  # hidden states of the policy, their gradient, and the parent's
        return (2 * w + SIDE_LOGIT) * s.vocab * min(SIDE_TILE, tokens) + 4 * w * s.hidden * tokens
    if setting.loss == "whole":
        if not language:  # policy in float32, reference in both types; its gradients, stacked and scattered
            return 16 * s.vocab * tokens
        if setting.float_base:  # the caller keeps the logits; in 16 bits also a copy of the head
            return s.vocab * (16 * tokens if w == 4 else 14 * tokens + w * s.hidden)
        rows = tokens / one.length
        entropy = (8 + 4 * (rows > 1)) * tokens + 12 * min(128, tokens)
        return s.vocab * max(12 * tokens, entropy)
    if setting.loss == "unsloth" and language:  # unsloth_zoo: 16 bytes a logit, in chunks of at most this
        return min(16 * s.vocab * tokens, max(0.0, min(4 * GIB, free / 2))) + w * s.hidden * tokens
    if setting.loss == "unsloth" and setting.kind == "grpo":  # a quarter of a row at a time
        return 16 * s.vocab * one.length / 4 + (4 + w) * s.hidden * tokens
    if setting.loss == "unsloth":
        return 16 * s.vocab * tokens
    if language:
        return 16 * s.vocab * min(NLL_TILE, tokens) + 2 * w * s.hidden * tokens
    answers = tokens * setting.answers
    buffers = (w + 4) * LOGPROB_TILE[1] + 16 * min(
        s.vocab, LOGPROB_TILE[1]
    )  # two that are always whole; temporary ones
    return buffers * min(answers, LOGPROB_TILE[0]) + (4 + w) * s.hidden * answers


def head_copies(setting: Setting) -> float:
    """Return the bytes of the head's matrix with changed rows, and of its gradient with one that is being added."""
    return {"none": 0, "below": 1, "own": 3}[setting.rows] * setting.width * setting.shape.vocab * setting.shape.hidden


def generation(setting: Setting, length: int) -> float:
    """Return the peak while completions are written: keys and values of all tokens, and the logits of the last."""
    s, w = setting.shape, setting.width
    cache = 2 * w * s.layers * s.kv * setting.generated * length
    grown = cache / s.layers  # one layer's cache is there twice while a token is added
    dequantised = w * s.hidden * s.inner if setting.quantization == "nf4" else 0
    return setting.static + cache + grown + GENERATED * s.vocab * setting.generated + dequantised
