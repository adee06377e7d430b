"""Assertions on a collated batch: cheap, and run on the first batch of every training run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from statllama.data.chat import Chat, common_start
from statllama.data.encode import Kind
from statllama.data.examples import Conversation, Message
from statllama.data.fit import IGNORED
from statllama.data.masking import Tokens, show
from statllama.data.tokenise import TrainOn
from statllama.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IdsAndLabels = tuple[list[int], list[int]]  # of one example, without padding


@dataclass(frozen=True)
class Marks:
    """Ids that a sequence is checked for. `header`: what the generation prompt adds (no template: empty)."""

    bos: int | None
    bos_in_turns: bool
    ends: frozenset[int]
    header: tuple[int, ...]
    header_is_special: bool
    """It holds a special token, which no row may hold, so wherever it stands the template wrote it."""
    pad: int | None


def check_batch(
    batch: Mapping[str, Any],
    tokenizer: PreTrainedTokenizerBase,
    *,
    kind: Kind,
    train_on: TrainOn,
    max_length: int,
    chat_template: str | None = None,
    left_out: bool = False,
) -> None:
    """Raise DataError, with the rendered example, unless every example of the batch is well formed.

    That is: one BOS, at the start; no loss on the first token, and some on another; labels equal to the ids where they
    are not -100; and one end-of-turn token at the end of each assistant turn (a turn cut at `max_length` has none).
    Where assistant turns alone are learned: every turn after the first learned one is learned too. (A row may have
    turns before that which are its prompt.) With `left_out`, some turns of the data say that they carry no loss: any
    may be without, and those with loss have it from their start.
    `batch` is RowCollator's, or that of TRL's preference collator (`completion_mask` in place of labels).
    """
    marks = _marks(tokenizer, chat_template)
    responses = kind in ("preferences", "judgements") or (kind == "conversations" and train_on == "responses")
    found = 0
    for ids, labels in _sequences(batch, marks):
        found += 1
        fault = _bos_fault(ids, marks) or _label_fault(ids, labels)
        whole = len(ids) < max_length
        if not fault and responses:
            fault = _turn_fault(ids, labels, marks, whole) or _mask_fault(ids, labels, marks, left_out)
        elif not fault and kind == "conversations":
            fault = _header_fault(ids, marks, whole)
        if fault:
            learned = [label != IGNORED for label in labels]
            raise DataError(
                f"example {found} of the batch: {fault}; the example, with ⟦...⟧ around tokens with loss:\n"
                f"{show(tokenizer, Tokens(ids, learned))}",
                remedy="check the tokenizer's special tokens and `base.chat_template`",
            )
    if not found:
        raise DataError("no example of the batch has a token that carries loss")


def check_completions(
    batch: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase, *, stops: Collection[int], max_length: int
) -> None:
    """Raise DataError unless prompts and what was generated after them are as they must be.

    That is: a prompt (padded on the left) has one BOS, at its start; a completion (padded on the right) counts up to
    its first stop token and no further, and one without a stop token has `max_length` tokens. `batch`: TRL's,
    `prompt_ids`, `prompt_mask`, `completion_ids`, `completion_mask`, each (B, L).
    """
    marks = _marks(tokenizer, None)
    columns = ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask")
    for number, row in enumerate(zip(*(batch[name].tolist() for name in columns), strict=True), start=1):
        prompt, prompt_mask, ids, mask = row
        asked = [i for i, keep in zip(prompt, prompt_mask, strict=True) if keep]
        length = sum(mask)
        first = next((i for i, token in enumerate(ids[:length]) if token in stops), None)
        fault = _bos_fault(asked, marks)
        if any(mask[length:]) or not length:
            fault = fault or "the mask of its completion is broken"
        elif first is not None and first + 1 < length:
            fault = fault or "its completion goes on after the end-of-turn token"
        elif first is None and length < max_length:
            fault = fault or f"its completion ends without an end-of-turn token after {length} of {max_length} tokens"
        if fault:
            shown = show(tokenizer, Tokens(asked + ids[:length], [False] * len(asked) + [True] * length))
            raise DataError(
                f"completion {number} of the batch: {fault}; the prompt, and the completion between ⟦ and ⟧:\n{shown}",
                remedy="check the tokenizer's special tokens and `base.chat_template`",
            )


def end_tokens(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Return the ids that end a turn: the tokenizer's eos, and what its chat template writes after an assistant's
    turn.
    """
    return _marks(tokenizer, None).ends


def _marks(tokenizer: PreTrainedTokenizerBase, template: str | None) -> Marks:
    ends = set() if tokenizer.eos_token_id is None else {int(tokenizer.eos_token_id)}
    bos: int | None = tokenizer.bos_token_id
    pad: int | None = tokenizer.pad_token_id
    if not (template or tokenizer.chat_template):
        return Marks(bos, bos in ends, frozenset(ends), (), False, pad)
    chat = Chat(tokenizer, template)
    asked = Message("user", "a")
    text, ((start, end),) = chat.learned(Conversation((asked, Message("assistant", "b"))))

    def ids(part: str) -> list[int]:
        return list(tokenizer(part, add_special_tokens=False)["input_ids"])

    ends.add(ids(text[start:end])[-1])
    prompted = chat.render([asked], generation_prompt=True)
    header = prompted[common_start(prompted, chat.render([asked])) :]
    special = chat.special.search(header) is not None
    return Marks(bos, bos in ends or bos in ids(text)[1:], frozenset(ends), tuple(ids(header)), special, pad)


def _sequences(batch: Mapping[str, Any], marks: Marks) -> Iterator[IdsAndLabels]:
    """Yield the examples of a batch without padding (which a packed row has as one more example, of pad tokens
    alone).
    """
    ids = batch["input_ids"].tolist()
    if "completion_mask" in batch:
        keep = batch["completion_mask"].tolist()
        labels = [[i if k else IGNORED for i, k in zip(*row, strict=True)] for row in zip(ids, keep, strict=True)]
    else:
        labels = batch["labels"].tolist()
    if "attention_mask" in batch:
        for row, row_labels, length in zip(ids, labels, batch["attention_mask"].sum(-1).tolist(), strict=True):
            yield row[:length], row_labels[:length]
        return
    for row, row_labels, positions in zip(ids, labels, batch["position_ids"].tolist(), strict=True):
        starts = [i for i, position in enumerate(positions) if position == 0]
        for start, stop in zip(starts, [*starts[1:], len(row)], strict=True):
            if any(token != marks.pad for token in row[start:stop]):
                yield row[start:stop], row_labels[start:stop]


def _bos_fault(ids: list[int], marks: Marks) -> str:
    if marks.bos is None:
        return ""
    if ids[0] != marks.bos:
        return "it does not begin with BOS"
    if ids[1:2] == [marks.bos]:
        return "it begins with two BOS"
    return "it has a BOS after its start" if marks.bos in ids[1:] and not marks.bos_in_turns else ""


def _label_fault(ids: list[int], labels: list[int]) -> str:
    if labels[0] != IGNORED:
        return "its first token carries loss"
    if all(label == IGNORED for label in labels):
        return "no token carries loss"
    wrong = [i for i, (token, label) in enumerate(zip(ids, labels, strict=True)) if label not in (IGNORED, token)]
    return f"the label of token {wrong[0]} is another token" if wrong else ""


def _turn_fault(ids: list[int], labels: list[int], marks: Marks, whole: bool) -> str:
    """Check that each run of tokens with loss is one turn: one end-of-turn token, at its end."""
    for i, label in enumerate(labels):
        last = i + 1 == len(labels) or labels[i + 1] == IGNORED
        if label == IGNORED:
            continue
        if last and label not in marks.ends and (whole or i + 1 < len(labels)):
            return "an assistant turn does not end with the end-of-turn token"
        if not last and label in marks.ends:
            return "an assistant turn has an end-of-turn token before its end"
    return ""


def _mask_fault(ids: list[int], labels: list[int], marks: Marks, left_out: bool) -> str:
    """Find an assistant turn without loss after the first token with loss; where turns may be left out, loss that does
    not begin at one.
    """
    first = next(i for i, label in enumerate(labels) if label != IGNORED)
    starts = _after_headers(ids, marks) if marks.header_is_special else []
    if left_out:
        begun = [i for i, label in enumerate(labels) if label != IGNORED and labels[i - 1] == IGNORED]
        return "" if not starts or set(begun) <= set(starts) else "its loss begins inside a turn"
    if any(first < i < len(ids) and labels[i] == IGNORED for i in starts):
        return "an assistant turn after a learned one carries no loss"
    return ""


def _header_fault(ids: list[int], marks: Marks, whole: bool) -> str:
    """Find an assistant header without an end-of-turn token before the next header."""
    starts = _after_headers(ids, marks)
    for start, stop in zip(starts, [*starts[1:], len(ids)], strict=True):
        if not marks.ends.intersection(ids[start:stop]) and (whole or stop < len(ids)):
            return "an assistant turn does not end with the end-of-turn token"
    return ""


def _after_headers(ids: list[int], marks: Marks) -> list[int]:
    """Return the positions behind the assistant's headers, where its turns begin."""
    size = len(marks.header)
    return [i + size for i in range(len(ids)) if size and tuple(ids[i : i + size]) == marks.header]
