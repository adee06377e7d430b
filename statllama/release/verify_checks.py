"""Compares what a form answers with what the reference answered. Pure functions on plain answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from statllama.data.chat import TEMPLATE_VARIABLES
from statllama.data.examples import Message
from statllama.release.bounds import BEHAVIOUR, CLIENT, DESTROYED, PUBLISHED, RUNTIME, UNUSUAL, Behaviour
from statllama.release.certificate import Check
from statllama.release.forms import Form, InTransformers, Prediction, Reply, chat_ids
from statllama.release.prompts import Row, chats, normal_form, readable

CONFIDENT = float(np.log(2))
"""Nats by which the reference's first choice leads where it counts as sure of it: twice as probable as the second."""
REPLY_TOKENS = 24
_ROUNDING = 1e-5  # of a sum of float32 probabilities, with room
_LEAST = -60.0  # nats: llama.cpp's probabilities are float32, which end at -87


@dataclass(frozen=True)
class Reference:
    """The answers of the stack on the original base."""

    texts: tuple[str, ...]
    ids: tuple[tuple[list[int], list[int]], ...]
    """Ids of each text: without the tokenizer's additions around a text, and with them."""
    rows: tuple[Row, ...]
    logits: tuple[Tensor, ...]
    """Logits of each row, (positions, vocabulary), float32."""
    prompts: tuple[tuple[int, ...], ...]
    replies: tuple[Reply, ...]
    bos: int | None
    """The token that a text begins with; None when the tokenizer puts none there."""
    special: frozenset[int]
    """Ids of special tokens."""
    stops: tuple[int, ...]
    """Ids at which a reply must end."""
    chats: tuple[tuple[Message, ...], ...]
    """Conversations that the form's own program is to write."""
    normal_form: str | None = None
    """The form of Unicode that texts and chats are in, where the tokenizer has one (`prompts.normal_form`)."""


def check_tokens(reference: Reference, form: Form) -> Check:
    """Return the ids of every text, with and without what the tokenizer adds."""
    differ = [
        text
        for text, (bare, whole) in zip(reference.texts, reference.ids, strict=True)
        if form.tokens(text, add_special=False) != bare or form.tokens(text, add_special=True) != whole
    ]
    detail = f"of {len(reference.texts)} texts have other ids"
    if differ:
        detail += f", such as {', '.join(readable(differ))}"
    if reference.normal_form:
        detail += f"; all are in Unicode's form {reference.normal_form}, which llama.cpp does not make by itself"
    return Check("token ids", not differ, len(differ), 0, detail)


def check_chats(
    reference: Reference, form: Form, expected: Callable[[Sequence[Message]], list[int] | None]
) -> list[Check]:
    """Return the conversations as the form's own program writes them: the reference's ids, and one BOS. `expected`:
    those ids.
    """
    talks, differ, wrong = reference.chats, 0, []
    for talk in talks:
        before, own, after = expected(talk), form.chat(talk), expected(talk)  # midnight may come between the two
        if before is None or own is None:
            return []
        differ += own not in (before, after)
        if reference.bos is not None and (own[:1] != [reference.bos] or own.count(reference.bos) != 1):
            wrong.append(own.count(reference.bos))
    checks = [Check("rendered chats", not differ, differ, 0, f"of {len(talks)} chats have other ids")]
    if reference.bos is not None:
        detail = f"of {len(talks)} chats do not begin with exactly one" + (f", but have {wrong[0]}" if wrong else "")
        checks.append(Check("one BOS", not wrong, len(wrong), 0, detail))
    return checks


def check_stops(reference: Reference, form: Form, names: Callable[[int], str], required: bool = True) -> Check:
    """Check that the form ends a reply when it is made to say a token that ends one."""
    missed = [names(token) for token in reference.stops if not form.ends_at(token)]
    said = ", ".join(names(token) for token in reference.stops)
    detail = f"replies go on after {', '.join(missed)}" if missed else f"replies end at {said}"
    return Check("stops", not missed and bool(reference.stops), len(missed), 0, detail, required)


@dataclass(frozen=True)
class Distance:
    """The distance of a form's predictions from the reference's, over all positions."""

    positions: int
    relative: float
    """Root mean square difference of the log-probabilities, over the spread of the reference's."""
    divergence: float
    """Mean KL(reference || form) in nats."""
    worst: float
    """Largest KL at a position."""
    largest: float
    """Largest difference of a log-probability."""
    confident: int
    """Positions at which the reference is sure of its first choice."""
    flipped: int
    """Those of them at which the form's first choice is another."""


def distance(logits: Sequence[Tensor], predictions: Sequence[Sequence[Prediction]]) -> Distance:
    """Measure the distance of predictions from `logits`, the reference's, of each row (positions, vocabulary). NaN is
    infinitely far.
    """
    squares = spread = largest = 0.0
    divergences: list[float] = []
    confident = flipped = 0
    for row, answers in zip(logits, predictions, strict=True):
        for line, answer in zip(row.double().log_softmax(-1).numpy(), answers, strict=True):
            at = slice(None) if answer.tokens is None else answer.tokens
            if np.isnan(answer.logprobs).any():
                return Distance(len(divergences), *(float("inf"),) * 4, confident, flipped)
            ours, theirs = line[at].clip(_LEAST), answer.logprobs.clip(_LEAST)
            squares += float(((theirs - ours) ** 2).mean())
            spread += float(ours.var())
            largest = max(largest, float(np.abs(theirs - ours).max()))
            divergences.append(divergence(line, answer))
            first, second = np.partition(line, -2)[[-1, -2]]
            if first - second >= CONFIDENT:
                chosen = int(theirs.argmax()) if answer.tokens is None else int(answer.tokens[theirs.argmax()])
                confident, flipped = confident + 1, flipped + (chosen != int(line.argmax()))
    relative = (squares / spread) ** 0.5 if spread else float(squares > 0)
    mean = float(np.mean(divergences))
    return Distance(len(divergences), relative, mean, max(divergences), largest, confident, flipped)


def divergence(reference: np.ndarray, answer: Prediction) -> float:
    """Return KL(reference || answer) in nats; what lies beyond the answer's tokens counts as one event, which makes it
    less.

    `reference`: log-probabilities of all tokens, (vocabulary,).
    """
    ours = reference if answer.tokens is None else reference[answer.tokens]
    theirs = answer.logprobs.clip(_LEAST)
    p, q = np.exp(ours), np.exp(theirs)
    rest = max(0.0, 1 - float(p.sum())) if len(ours) < len(reference) else 0.0
    beyond = 1 - float(q.sum())
    total = float((p * (ours - theirs)).sum())
    if abs(rest - beyond) < _ROUNDING:  # they sum to 1 within float32, so what is beyond them is only known so far
        total += (1 - rest) * float(np.log(q.sum() / (1 - rest)))
    else:
        total += rest * float(np.log(max(rest, _ROUNDING) / max(beyond, _ROUNDING)))
    return max(0.0, total)


def check_predictions(found: Distance, bounds: Behaviour) -> list[Check]:
    """Check logits, divergence and first choices against the bounds of the type."""
    flips = found.flipped / found.confident if found.confident else 0.0
    return [
        Check(
            "logits",
            found.relative <= bounds.relative,
            found.relative,
            bounds.relative,
            f"difference over spread, {found.positions} positions, largest {found.largest:.2g} nats",
        ),
        Check(
            "divergence",
            found.divergence <= bounds.divergence,
            found.divergence,
            bounds.divergence,
            f"KL(trained || this) in nats, mean; at one position up to {found.worst:.2g}",
        ),
        Check(
            "first choice",
            flips <= bounds.flips,
            flips,
            bounds.flips,
            f"share of {found.confident} sure predictions that are another token",
        ),
    ]


def check_llama_cpp(
    reference: Reference,
    exact: Sequence[Tensor],
    rounded: Sequence[Tensor],
    predictions: Sequence[Sequence[Prediction]],
    type_: str,
) -> list[Check]:
    """Compare llama.cpp with Transformers on the file's own weights, then with the reference.

    `exact`: logits of Transformers on the file's own weights; `rounded`: with activations rounded as llama.cpp does.
    """
    rounding = distance(reference.logits, _same_tokens(exact, predictions))
    arithmetic = distance(exact, _same_tokens(rounded, predictions))
    runtime = distance(exact, predictions)
    allowed = RUNTIME * arithmetic.relative + BEHAVIOUR["f32"].relative
    cap = BEHAVIOUR.get(type_, Behaviour(DESTROYED, float("inf")))
    divergence = (rounding.divergence**0.5 + RUNTIME * arithmetic.divergence**0.5) ** 2 + CLIENT
    bounds = Behaviour(min(cap.relative, rounding.relative + allowed), min(cap.divergence, divergence), cap.flips)
    found = distance(reference.logits, predictions)
    checks = [
        Check(
            "llama.cpp",
            runtime.relative <= allowed,
            runtime.relative,
            allowed,
            "difference over spread of llama.cpp from Transformers, both with the weights of this file",
        ),
        *check_predictions(found, bounds),
    ]
    if type_ in PUBLISHED:
        usual = UNUSUAL * PUBLISHED[type_]
        said = "more than this type usually costs: try a larger one" if found.divergence > usual else "as usual"
        checks.append(Check("cost", found.divergence <= usual, found.divergence, usual, said, required=False))
    return checks


def _same_tokens(logits: Sequence[Tensor], asked: Sequence[Sequence[Prediction]]) -> list[list[Prediction]]:
    """Return the predictions of the tokens that llama.cpp was asked for: a spread is that of the tokens it is taken
    over.
    """
    found = []
    for row, answers in zip(logits, asked, strict=True):
        lines = row.double().log_softmax(-1).numpy()
        pairs = zip(lines, (answer.tokens for answer in answers), strict=True)
        found.append([Prediction(line if at is None else line[at], at) for line, at in pairs])
    return found


def check_replies(reference: Reference, form: Form, type_: str, largest: float) -> Check:
    """Return the greedy replies, token by token, up to where the reference itself was undecided.

    `largest`: by how much a log-probability of the form differs; where two tokens were nearer than twice that, the form
    may take the other one. For types that round much this is information.
    """
    exact = BEHAVIOUR.get(type_)
    near = 2 * (largest if exact is None else min(largest, exact.largest))
    same = ties = other = tokens = 0
    where = ""
    for prompt, wanted in zip(reference.prompts, reference.replies, strict=True):
        got = form.reply(prompt, REPLY_TOKENS)
        at = parted(wanted, got, reference.special)
        tokens += len(wanted.tokens) if at is None else at
        if at is None:
            same += 1
        elif at < len(wanted.margins) and wanted.margins[at] <= near:
            ties += 1
        else:
            other += 1
            where = where or f"; one parts after {at} tokens"
    detail = f"{same} of {len(reference.replies)} replies are the same, {tokens} tokens in all"
    if ties:
        detail += f", {ties} part where two tokens were equally probable"
    return Check("greedy text", other == 0, other, 0, detail + where, required=exact is not None)


def parted(wanted: Reply, got: Reply, special: frozenset[int]) -> int | None:
    """Return the number of tokens after which two replies part; None when they do not.

    A form may end at a special token that the reference's configuration does not name: llama.cpp knows some by name.
    """
    for at, (mine, other) in enumerate(zip(wanted.tokens, got.tokens, strict=False)):
        if mine != other:
            return at
    if len(wanted.tokens) == len(got.tokens):
        return None if wanted.ended == got.ended else len(got.tokens)
    at = min(len(wanted.tokens), len(got.tokens))
    if got.ended and len(got.tokens) == at and wanted.tokens[at] in special:
        return None
    return at


def observe(model: InTransformers, texts: Sequence[str], rows: Sequence[Row], stops: Sequence[int]) -> Reference:
    """Ask the reference everything once, so that it can be closed."""
    longest = max(len(row.ids) for row in rows)
    tokenizer = model.tokenizer
    assert tokenizer is not None
    ids = tuple(
        (list(tokenizer(text, add_special_tokens=False).input_ids), list(tokenizer(text).input_ids)) for text in texts
    )
    asked = chats(tokenizer)
    talks = [prompt for talk in asked if (prompt := chat_ids(tokenizer, talk, TEMPLATE_VARIABLES))]
    prompts = [*talks[:2], *(list(row.ids[: max(2, len(row.ids) // 2)]) for row in rows[:2])]
    prompts = [prompt for prompt in prompts if len(prompt) <= longest]
    begins = tokenizer.bos_token_id is not None and list(tokenizer("a").input_ids[:1]) == [tokenizer.bos_token_id]
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    return Reference(
        texts=tuple(texts),
        ids=ids,
        rows=tuple(rows),
        logits=tuple(model.logits(row) for row in rows),
        prompts=tuple(map(tuple, prompts)),
        replies=tuple(model.reply_with(prompt, REPLY_TOKENS, stops) for prompt in prompts),
        bos=tokenizer.bos_token_id if begins else None,
        special=frozenset(special | set(stops)),
        stops=tuple(stops),
        chats=asked,
        normal_form=normal_form(tokenizer),
    )


def finite(logits: Sequence[Tensor]) -> bool:
    """Return whether all predictions are numbers."""
    return all(bool(torch.isfinite(row).all()) for row in logits)
