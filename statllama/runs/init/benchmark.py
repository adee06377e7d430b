"""Benchmarks out of held-out rows: which form a row can be asked in, and the files of each form.

| form | rows | asked |
|---|---|---|
| `quiz` | questions with choices | which choice, with its letter, the model finds likeliest |
| `answers` | questions with one answer | how likely the model finds the held-out answer: the held-out loss |
| `exact` | the same, where answers are short or end in a number | does the model write that answer |
| `pairs` | preferences | which of the two answers the model finds likelier, by the byte |
| `documents` | documents, where there is nothing else | how likely the model finds how a passage goes on |
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from statllama.data.contamination import plain
from statllama.data.examples import Preference
from statllama.data.ngrams import words
from statllama.runs.init.pool import FEWEST, Forms
from statllama.runs.init.survey import FEW_WORDS, Unit

QUIZ, ANSWERS, EXACT, PAIRS, DOCUMENTS = "quiz", "answers", "exact", "pairs", "documents"
SHORT = 0.8
"""Share of held-out answers that must be short, or numbers, to be compared word for word."""
LONGEST = 2000  # bytes of an answer whose likelihood is asked for; of a longer one its start
CONTEXT = 600  # characters of a document that its passage goes on from
SHOWN = 30  # characters that a passage needs behind its context


@dataclass(frozen=True)
class Benchmark:
    """One benchmark folder: its name, the task file, its README and its items."""

    name: str
    form: str
    task: str
    readme: str
    items: tuple[Mapping[str, Any], ...]


def forms(units: Sequence[Unit]) -> Forms:
    """Return which form each row could be an item of.

    Documents are asked about only where there is nothing else. A row with a system prompt, tools or more turns is asked
    by its first exchange, and only where there are too few plain ones.
    """
    only_documents = all(unit.use == "cpt" for unit in units)
    enough = {use: sum(u.plain and u.use == use for u in units) >= FEWEST for use in ("sft", "dpo", "kto")}

    def form_of(unit: Unit) -> str | None:
        if unit.use == "cpt":
            return DOCUMENTS if only_documents and passage(unit.question, LONGEST) else None
        if not unit.answer or not unit.question.strip() or not (unit.plain or not enough[unit.use]):
            return None
        if unit.choices:
            return QUIZ
        return PAIRS if isinstance(unit.example, Preference) else ANSWERS

    return form_of


def benchmarks(
    name: str,
    units: Sequence[Unit],
    items: Mapping[str, Sequence[int]],
    longest: int = LONGEST,
    kinds: Mapping[int, int] | None = None,
) -> list[Benchmark]:
    """Return the benchmarks of the held-out rows `items`, {form: numbers of rows}; the first is the headline.

    `name`: what their names begin with. `longest`: bytes of an answer whose likelihood is asked for. `kinds`: {row: its
    kind}, of rows that others of their kind are asked beside.
    """
    made: list[Benchmark] = []
    for form in (QUIZ, ANSWERS, PAIRS, DOCUMENTS):
        held = [units[row] for row in items.get(form, ())]
        if not held:
            continue
        of = {units[row].where: f"kind {kind}" for row in items[form] if (kind := (kinds or {}).get(row)) is not None}
        if form == ANSWERS and (exact := _exact(held)):
            made.append(_benchmark(f"{name}_{EXACT}", EXACT, *exact, of))
        made.append(_benchmark(f"{name}_{form}", form, list(_rows(form, held, longest)), _task(form), of))
    return made


def _benchmark(name: str, form: str, rows: list[dict[str, Any]], task: str, kind_of: Mapping[str, str]) -> Benchmark:
    """Return a benchmark of its rows. `task`: its task file between head and version. `kind_of`: {source: kind}.

    Its items are in clusters by their kind, where there are as many kinds as a test of clusters can do with.
    """
    kinds = [kind_of.get(row["source"], f"alone {row['id']}") for row in rows]
    clustered = FEWEST <= len(set(kinds)) < len(rows)
    if clustered:
        rows = [{**row, "kind": kind} for row, kind in zip(rows, kinds, strict=True)]
    version = VERSION + (CLUSTER if clustered else "")
    readme = _readme(form, len(rows), len(set(kinds)) if kind_of else 0)
    return Benchmark(name, form, HEAD.format(name=name) + task + version, readme, tuple(rows))


def passage(text: str, longest: int) -> tuple[str, str] | None:
    """Return a document's start and how it goes on, cut between words; None where it is too short for both."""
    cut = min(CONTEXT, len(text) * 2 // 5)
    at = text.rfind(" ", 0, cut)
    context, rest = text[:at], cut_bytes(text[at:], longest)
    return (context, rest) if at > 0 and len(rest) >= SHOWN and context.strip() else None


def cut_bytes(text: str, longest: int) -> str:
    """Return a text's start of at most so many bytes, cut between words where it can be."""
    if len(text.encode()) <= longest:
        return text
    start = text.encode()[:longest].decode(errors="ignore")
    return start[: start.rfind(" ")] if " " in start.strip() else start


def _rows(form: str, held: Sequence[Unit], longest: int) -> Iterator[dict[str, Any]]:
    for number, unit in enumerate(held, start=1):
        row: dict[str, Any] = {"id": str(number), "source": unit.where}
        if form == QUIZ:
            row |= {"question": unit.stem, "prompt": unit.question, "choices": list(unit.choices), "answer": unit.right}
        elif form == ANSWERS:
            row |= {"question": unit.question, "answer": cut_bytes(unit.answer, longest)}
        elif form == PAIRS:
            assert isinstance(unit.example, Preference)
            pair = [cut_bytes(text, longest) for text in (unit.example.chosen, unit.example.rejected)]
            if pair[0] == pair[1]:  # they differ behind the cut
                continue
            first = number % 2  # so that the right answer is not always at one place
            row |= {"question": unit.question, "choices": pair[::-1] if first else pair, "answer": first}
        else:
            found = passage(unit.question, longest)
            assert found is not None
            row |= {"passage": "".join(found), "before": found[0], "answer": found[1]}
        yield row


HEAD = """task: {name}
dataset_path: json
dataset_kwargs:
  data_files: {{test: test.jsonl}} # beside this file
test_split: test
"""
LIKELIHOOD = """output_type: loglikelihood
doc_to_text: {asked}
doc_to_target: answer
target_delimiter: ""
metric_list:
  - {{metric: likelihood}} # probability of a byte of the answer; its loss, bits per byte, is shown beside it
"""
CHOICES = """output_type: multiple_choice
doc_to_text: {asked}
doc_to_choice: choices
doc_to_target: answer
target_delimiter: ""
metric_list:
  - {{metric: {metric}, aggregation: mean, higher_is_better: true}}
"""
VERSION = """metadata:
  version: 1.0
"""
CLUSTER = """  cluster: kind # questions of one kind are much alike, and say less than as many that are not
"""
WORDED = """output_type: generate_until
num_fewshot: 0
doc_to_text: question
doc_to_target: answer
generation_kwargs: {{until: [{until}], do_sample: false, max_gen_toks: {longest}}}
{filters}metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
    ignore_case: true
    ignore_punctuation: {loose}
    regexes_to_ignore: ['^\\s+', '\\s+$', ',(?=\\d)', '\\.$', '[$€£]']
"""
LAST_NUMBER = """filter_list:
  - name: last-number # in the reply
    filter:
      - {function: regex, group_select: -1, regex_pattern: '(-?[$€£]?\\d[\\d.,/]*)'}
      - {function: take_first}
"""


def _task(form: str) -> str:
    if form == QUIZ:
        return CHOICES.format(asked="prompt", metric="acc")
    if form == PAIRS:
        return CHOICES.format(asked="question", metric="acc_norm")
    if form == DOCUMENTS:
        return LIKELIHOOD.format(asked="before") + "doc_to_decontamination_query: passage\n"
    return LIKELIHOOD.format(asked="question")


def _exact(held: Sequence[Unit]) -> tuple[list[dict[str, Any]], str] | None:
    """Return the rows of answers that can be compared word for word, and their task; None where they are too long."""
    numbers = [unit for unit in held if unit.final is not None]
    short = [unit for unit in held if _is_short(unit.answer)]
    number = len(numbers) >= SHORT * len(held) and len(numbers) > len(short)
    chosen = numbers if number else short
    if len(chosen) < max(2, SHORT * len(held)):
        return None
    rows: list[dict[str, Any]] = [
        {"id": str(i), "source": unit.where, "question": unit.question, "answer": answer}
        for i, unit in enumerate(chosen, start=1)
        if (answer := unit.final if number else unit.answer.strip())
    ]
    longest = max(len(unit.answer.encode()) for unit in chosen)
    task = WORDED.format(
        until="" if number else '"\\n"',
        longest=min(512, 16 + longest // (2 if number else 1)),
        filters=LAST_NUMBER if number else "",
        loose="false" if number else "true",
    )
    return rows, task


def _is_short(answer: str) -> bool:
    said = answer.strip()
    return (
        "\n" not in said and len(words(plain(said))) <= FEW_WORDS and len(said) <= 60 and bool(re.search(r"\w", said))
    )


ASKED = {
    QUIZ: "Which of the choices is right: the model's answer is the choice, with its letter, that it finds likeliest "
    "after the question. `acc` is the share that is right, chance is shown beside it.",
    ANSWERS: "How likely the model finds the held-out answer after its question. The score is the probability of a "
    "byte of it (`likelihood`, higher is better); the loss in bits per byte (lower is better) is shown beside it.",
    EXACT: "Whether the model writes the held-out answer, word for word but for case, spaces and punctuation; of "
    "answers that end in a number, the last number of its reply.",
    PAIRS: "Whether the model finds the preferred answer likelier than the other, by the byte (`acc_norm`); chance "
    "is 50.",
    DOCUMENTS: "How likely the model finds how a held-out passage goes on. The score is the probability of a byte of "
    "it (`likelihood`, higher is better); the loss in bits per byte (lower is better) is shown beside it.",
}  # fmt: skip

ABOUT_KINDS = """
The questions are of {kinds}. Questions of one kind differ by their numbers and names, or little more, so one in
training would give the others away: each kind is held out whole. A score says how the model does on kinds that training
never showed, and on no more of them than these.
"""


def _readme(form: str, count: int, kinds: int) -> str:
    """`kinds`: of how many kinds the questions are, where some are of one; else 0."""
    about = ABOUT_KINDS.format(kinds="1 kind" if kinds == 1 else f"{kinds} kinds") if kinds else ""
    return f"""# Held-out {form}: {count} items

{ASKED[form]}
{about}
Made by `statllama init` out of rows that no stage of the recipe trains on. `source` in a row of test.jsonl is its place
in your files. Correct or remove items as you like: a run then scores again, and trains nothing again.
"""


def as_jsonl(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as lines of JSON. Halves of surrogate pairs, which no file takes as they are, are escaped."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", text)


def benchmark_text(unit: Unit, longest: int = LONGEST) -> str:
    """Return the text that training rows are searched for when this row is held out, as
    `contamination.read_questions` has it of the benchmark made here: its choices too where the question is short.
    """
    if unit.use == "cpt":
        found = passage(unit.question, longest)
        return "".join(found) if found else unit.question
    text = unit.stem or unit.question
    choices: Sequence[str] = unit.choices
    if isinstance(unit.example, Preference):
        choices = (unit.example.chosen, unit.example.rejected)
    return "\n".join([text, *choices]) if choices and len(words(plain(text))) < 8 else text
