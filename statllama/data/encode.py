"""Tokenises the rows of one source that a mixture uses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from statllama.config.source import SourceSpec
from statllama.data.batches import batches
from statllama.data.examples import (
    Completion,
    Conversation,
    Document,
    Example,
    Judgement,
    Preference,
    Question,
    texts,
)
from statllama.data.fit import NO_ROOM, Dropped, Fitted, fit
from statllama.data.formats import parse_row
from statllama.data.masking import Tokens, show
from statllama.data.mixture import Ints
from statllama.data.questions import PROMPT_TOO_LONG, QuestionRules, as_question
from statllama.data.report import SourceReport
from statllama.data.scratch import Scratch
from statllama.data.sources import rows, source_name
from statllama.data.tokenise import Judged, Pair, Prompt, Tokeniser
from statllama.errors import DataError

Kind = Literal["documents", "conversations", "preferences", "judgements", "questions"]
Progress = Callable[[str, int, int], None]
"""Called with the task, the amount done and the total."""

SAMPLE = 4000  # characters of the example that a report shows
ACCEPTED: dict[Kind, tuple[type, ...]] = {
    "documents": (Document,),
    "conversations": (Conversation, Completion),
    "preferences": (Preference,),
    "judgements": (Judgement, Preference),
    "questions": (Question, Conversation, Completion),
}
LEARNED_BY: dict[type, str] = {
    Document: "running text is learned by a stage of `type: cpt`",
    Conversation: "questions with answers and conversations are learned by a stage of `type: sft`",
    Completion: "prompts with completions are learned by a stage of `type: sft`",
    Preference: "pairs of answers are learned by a stage of `type: dpo`",
    Judgement: "judged answers are learned by a stage of `type: kto`",
    Question: "questions with an answer to check are learned by a stage of `type: grpo`",
}
INSTEAD: dict[Kind, str] = {
    "documents": "`cpt` reads `format: text` or `sections`",
    "conversations": "`sft` reads `format: messages`, `question_answer`, `prompt_completion` and their like, and with "
    "`train_on: all` plain text too",
    "preferences": "`dpo` reads `format: preference`",
    "judgements": "`kto` reads `format: judged` or `preference`",
    "questions": "`grpo` reads `format: question_answer`, `gsm8k` or `prompt_answer`",
}

FORM: dict[Kind, str] = {
    "documents": "generated problems are not running text: use them in a stage of type sft",
    "conversations": "set `form: sft` or `form: chat`",
    "preferences": "set `form: dpo`",
    "judgements": "set `form: dpo`",
    "questions": "set `form: grpo`",
}


@dataclass
class EncodedSource:
    """The place of each used row: its `count` sequences begin at `first` in the scratch file."""

    source: SourceSpec
    rows_read: int
    used: Ints
    """Indices of the used rows, ascending."""
    first: list[int] = field(default_factory=list)
    count: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    learned: list[int] = field(default_factory=list)
    truncated: list[int] = field(default_factory=list)
    dropped: list[str | None] = field(default_factory=list)
    left_out: list[int] = field(default_factory=list)
    shortest: int = 0
    """The shortest prompt among rows left out for lack of room, in tokens."""
    sample: str = ""

    def positions(self, row_indices: Ints) -> Ints:
        """Return the positions of those rows in `used`."""
        return np.searchsorted(self.used, row_indices)

    def report(self, row_indices: Ints) -> SourceReport:
        """Return the counts over all uses. `row_indices`: the row of each use."""
        times = np.bincount(self.positions(row_indices), minlength=len(self.used))
        total = {
            name: int(times @ np.asarray(getattr(self, name)))
            for name in ("count", "tokens", "learned", "truncated", "left_out")
        }
        dropped: Counter[str] = Counter()
        for uses, reason in zip(times.tolist(), self.dropped, strict=True):
            if reason is not None:
                dropped[reason] += uses
        name = source_name(self.source)
        return SourceReport(
            name, self.rows_read, len(row_indices), total["count"], total["tokens"], total["learned"],
            total["truncated"], dict(dropped), self.sample, total["left_out"],
        )  # fmt: skip


def encode_source(
    result: EncodedSource,
    root: Path,
    kind: Kind,
    tokeniser: Tokeniser,
    scratch: Scratch,
    progress: Progress | None,
    questions: QuestionRules | None = None,
) -> None:
    """Append the sequences of the used rows to the scratch file. DataErrors name file and row.

    `questions`: what rows become questions by, when `kind` is that.
    """
    examples = _examples(result.source, root, kind, tokeniser, result.used)
    if questions is not None:
        examples = ((where, asked(example, questions, where)) for where, example in examples)
    for batch in batches(examples, lambda item: sum(map(len, texts(item[1])))):
        result.left_out += [item.left_out if isinstance(item, Conversation) else 0 for _, item in batch]
        for sequences in tokeniser.encode(batch):
            _keep(result, sequences, kind, tokeniser, scratch)
        if progress is not None:
            progress(f"tokenise {source_name(result.source)}", len(result.first), len(result.used))
    if not sum(result.learned if questions is None else result.count):
        raise _nothing(result, tokeniser.max_length)


def asked(example: Example, rules: QuestionRules, where: str) -> Question:
    """Return `as_question`, with `where` (file and row) in front of its DataErrors."""
    try:
        return as_question(example, rules)
    except DataError as error:
        raise DataError(f"{where}: {error.message}", remedy=error.remedy) from None


def _examples(
    source: SourceSpec, root: Path, kind: Kind, tokeniser: Tokeniser, used: Ints
) -> Iterator[tuple[str, Example]]:
    wanted = iter(used.tolist())
    target = next(wanted, None)
    for number, (where, row) in enumerate(rows(source, root)):
        if number != target:
            continue
        example = parse_row(source, row, where)
        plain_text = isinstance(example, Document) and kind == "conversations" and tokeniser.train_on == "all"
        if not plain_text and not isinstance(example, ACCEPTED[kind]):
            got = type(example).__name__.lower()
            raise DataError(
                f"{where}: format {source.format} gives a {got}, but this stage needs {kind}",
                remedy=f"{LEARNED_BY[type(example)]}; {INSTEAD[kind]}" if source.problems is None else FORM[kind],
            )
        yield where, example
        target = next(wanted, None)
        if target is None:
            return


def _keep(
    result: EncodedSource,
    sequences: Sequence[Tokens | Pair | Judged | Prompt],
    kind: Kind,
    tokeniser: Tokeniser,
    scratch: Scratch,
) -> None:
    tokens = learned = truncated = kept = 0
    reason: str | None = None
    first = len(scratch)
    for fitted in (part for sequence in sequences for part in _fitted(sequence, kind, tokeniser.max_length)):
        if isinstance(fitted, Dropped):
            reason = fitted.reason
            if reason in (NO_ROOM, PROMPT_TOO_LONG):
                result.shortest = min(result.shortest or fitted.prompt, fitted.prompt)
            continue
        scratch.append(fitted.columns)
        kept += 1
        tokens, learned, truncated = (
            tokens + fitted.tokens,
            learned + fitted.learned,
            truncated + fitted.truncated,
        )
    if sequences and (not result.sample or (kept and not any(result.count))):
        result.sample = render(tokeniser, sequences[0])
    result.first.append(first)
    result.count.append(kept)
    result.tokens.append(tokens)
    result.learned.append(learned)
    result.truncated.append(truncated)
    result.dropped.append(None if kept else reason)


def _fitted(sequence: Tokens | Pair | Judged | Prompt, kind: Kind, max_length: int) -> list[Fitted | Dropped]:
    """Return the sequence within `max_length`; a preference pair among judgements as two, the chosen answer first."""
    whole = fit(sequence, max_length)
    if kind != "judgements" or not isinstance(sequence, Pair) or isinstance(whole, Dropped):
        return [whole]
    answers = ((sequence.chosen, True), (sequence.rejected, False))
    return [fit(Judged(sequence.prompt, answer, label), max_length) for answer, label in answers]


def render(tokeniser: Tokeniser, sequence: Tokens | Pair | Judged | Prompt) -> str:
    """Return the decoded sequence with the tokens that carry loss between ⟦ and ⟧, cut at `SAMPLE` characters."""
    if isinstance(sequence, Tokens):
        text = show(tokeniser.tokenizer, sequence)
    elif isinstance(sequence, Prompt):
        text = show(tokeniser.tokenizer, Tokens(sequence.ids, [False] * len(sequence.ids)))
    else:
        shown = ((title, show(tokeniser.tokenizer, tokens)) for title, tokens in answered(sequence))
        text = "\n".join(f"{title}: {text}" for title, text in shown)
    return text if len(text) <= SAMPLE else f"{text[:SAMPLE]} [... {len(text) - SAMPLE} more characters]"


def answered(sequence: Pair | Judged) -> list[tuple[str, Tokens]]:
    """Return each answer after its prompt, with a title: chosen and rejected, or what the answer is judged to be."""
    if isinstance(sequence, Judged):
        answers = {f"label {str(sequence.label).lower()}": sequence.completion}
    else:
        answers = {"chosen": sequence.chosen, "rejected": sequence.rejected}
    prompt = sequence.prompt
    return [
        (title, Tokens(prompt + answer, [False] * len(prompt) + [True] * len(answer)))
        for title, answer in answers.items()
    ]


def _nothing(result: EncodedSource, max_length: int) -> DataError:
    name = source_name(result.source)
    reasons = Counter(reason for reason in result.dropped if reason is not None)
    counted = ", ".join(f"{reason}: {n}" for reason, n in reasons.most_common())
    if set(reasons) == {NO_ROOM}:
        return DataError(
            f"{name}: max_length {max_length} is below the shortest prompt ({result.shortest} tokens), "
            f"so no token carries loss; the first example, uncut:\n{result.sample}",
            remedy=f"set `train.max_length` above {result.shortest}",
        )
    if set(reasons) == {PROMPT_TOO_LONG}:
        return DataError(
            f"{name}: every prompt is longer than max_prompt_length {max_length}: the shortest has {result.shortest} "
            f"tokens; the first, uncut:\n{result.sample}",
            remedy=f"set `max_prompt_length` to at least {result.shortest} (and `train.max_length` to that and "
            "`max_completion_length`)",
        )
    return DataError(
        f"{name}: no token carries loss ({counted}); the first example, with ⟦...⟧ around tokens with loss:\n"
        f"{result.sample}",
        remedy="check `format`, `columns` and the chat template, or raise `train.max_length`",
    )
