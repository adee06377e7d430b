"""All that `init` would write, worked out before anything is written: rows, split, benchmarks, settings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from statllama.data.examples import Conversation, Document, Example, Judgement, Message, Preference
from statllama.errors import DataError
from statllama.runs.forecast.device import Device
from statllama.runs.init import benchmark
from statllama.runs.init.benchmark import Benchmark
from statllama.runs.init.holdout import Progress, Split, split
from statllama.runs.init.reading import named_files, skipped_note
from statllama.runs.init.settings import ChosenBase, StageSettings, micro_tokens, stage_settings, token_counts
from statllama.runs.init.survey import Fault, Found, Unit, Use, survey, writable
from statllama.store.files import temporary_folder

ORDER: tuple[Use, ...] = ("cpt", "sft", "dpo", "kto")
FEWEST_CHECKED = 20  # training rows with an answer that a reward can check, for a grpo stage to be worth a word
PROMPTS = 3
LONGEST_PROMPT = 500  # characters


@dataclass(frozen=True)
class Survey:
    """The user's files as they were read, and notes on what was not."""

    found: tuple[Found, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """The training rows of one of the user's files: a file below `data/`, its stage's type and its rows' format."""

    path: str
    found: Found
    use: Use
    format: str
    rows: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Draft:
    """What `init` would write."""

    name: str
    goal: str
    base: ChosenBase
    device: Device
    """What trains it: named, or found here."""
    found: tuple[Found, ...]
    units: tuple[Unit, ...]
    split: Split
    unusable: tuple[Fault, ...]
    """Rows of the files that no stage can use, and why."""
    sources: tuple[Source, ...]
    checked: tuple[Mapping[str, Any], ...]
    """Rows for a grpo stage."""
    stages: Mapping[Use, StageSettings]
    benchmarks: tuple[Benchmark, ...]
    micro_tokens: int

    @property
    def prompts(self) -> tuple[str, ...]:
        """Return a few short held-out questions, to see what each stage answers."""
        asked = (self.units[row] for rows in self.split.items.values() for row in rows)
        short = [unit.question for unit in asked if unit.use != "cpt" and len(unit.question) <= LONGEST_PROMPT]
        return tuple(short[:PROMPTS])


def look(arguments: Sequence[str], columns: Mapping[str, Mapping[str, str]] | None = None) -> Survey:
    """Read all files that the arguments name. DataError and UsageError for what cannot be read."""
    groups, notes = named_files(arguments)
    notes += [skipped_note(path) for group in groups for path in group.skipped]
    with temporary_folder() as scratch:
        found = survey(groups, scratch, columns)
    notes += [each.note for each in found if each.note]
    return Survey(tuple(found), tuple(notes))


def draft(
    name: str,
    looked: Survey,
    base: ChosenBase,
    device: Device,
    goal: str = "",
    holdout: int | None = None,
    progress: Progress | None = None,
) -> Draft:
    """Return all that would be written. `holdout`: items of each benchmark; None: by the number of rows. `progress`:
    told of the rows that are searched for held-out questions.

    DataError where the base can take none of the rows.
    """
    given = [unit for found in looked.found for unit in found.units]
    counted = token_counts(given, base)
    refused = [(unit, why) for unit, why in zip(given, counted, strict=True) if isinstance(why, str)]
    units = [unit for unit, count in zip(given, counted, strict=True) if isinstance(count, int)]
    counts = [count for count in counted if isinstance(count, int)]
    if not units:
        raise DataError(
            f"{refused[0][0].where}: the base cannot take it: {refused[0][1]}", remedy="choose another --base"
        )
    longest = min(benchmark.LONGEST, base.positions * 3 // 4)
    text_of = partial(benchmark.benchmark_text, longest=longest)
    divided = split(units, benchmark.forms(units), text_of, holdout, progress)
    by_use = {use: [counts[row] for row in divided.train if units[row].use == use] for use in ORDER}
    stages = {use: stage_settings(use, lengths, base) for use, lengths in by_use.items() if lengths}
    faults = [fault for found in looked.found for fault in found.faults]
    faults += [
        Fault(unit.file, unit.row, f"the base cannot take it: {why}", as_row(unit.example)) for unit, why in refused
    ]
    made = benchmark.benchmarks(task_name(name), units, divided.items, longest, divided.kinds)
    return Draft(
        name=name,
        goal=goal,
        base=base,
        device=device,
        found=looked.found,
        units=tuple(units),
        split=divided,
        unusable=tuple(faults),
        sources=tuple(_sources(looked.found, units, divided)),
        checked=tuple(_checked(units, divided)),
        stages=stages,
        benchmarks=tuple(made),
        micro_tokens=micro_tokens(base, stages, device),
    )


def recipe_name(folder: str) -> str:
    """Return a folder's name as a recipe can bear it.

    >>> recipe_name("My FAQ (2)"), recipe_name("___")
    ('My_FAQ_2', 'mine')
    """
    return re.sub(r"[^A-Za-z0-9.-]+", "_", folder).strip("_.-")[:48] or "mine"


def task_name(name: str) -> str:
    """Return what a recipe's benchmarks are called by: lower case, letters, digits and `_`."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "mine"


def _sources(found: Sequence[Found], units: Sequence[Unit], divided: Split) -> Iterator[Source]:
    """Yield each file's training rows, in its order, under a name of its own."""
    taken: set[str] = set()
    members: dict[str, list[int]] = {}
    for row in divided.train:
        members.setdefault(units[row].file, []).append(row)
    for each in found:
        rows = [row for path in each.files for row in members.get(str(path), ())]
        if not rows:
            continue
        stem = re.sub(r"[^\w.-]+", "_", Path(each.name.rstrip("/*")).name.split(".")[0]).strip("_.") or "rows"
        stem = "documents" if len(each.files) > 1 else stem
        name = next(n for i in range(1, 10_000) if (n := stem if i == 1 else f"{stem}_{i}") not in taken)
        taken.add(name)
        format = _format([units[row].example for row in rows])
        body = tuple({**as_row(units[row].example, format), "source": units[row].where} for row in rows)
        yield Source(f"data/{name}.jsonl", each, each.use, format, body)


def _format(examples: Sequence[Example]) -> str:
    if any(isinstance(example, Conversation) and example.trained_from for example in examples):
        return "prompt_completion"
    kinds: dict[type, str] = {Document: "text", Preference: "preference", Judgement: "judged"}
    return kinds.get(type(examples[0]), "messages")


def as_row(example: Example, format: str = "") -> dict[str, Any]:
    """Return an example as a row of `format`, from which the same example is read again."""
    if isinstance(example, Document):
        return {"text": example.text}
    tools = {"tools": list(found)} if (found := getattr(example, "tools", ())) else {}
    if isinstance(example, Conversation):
        turns = [_message(message) for message in example.messages]
        if format == "prompt_completion":
            start = example.trained_from or len(turns) - 1
            return {"prompt": turns[:start], "completion": turns[start:]}
        return {"messages": turns, **tools}
    assert isinstance(example, Preference | Judgement)
    prompt = [_message(turn) for turn in example.prompt] if not isinstance(example.prompt, str) else example.prompt
    if isinstance(example, Preference):
        answers = {"chosen": [_answer(example.chosen)], "rejected": [_answer(example.rejected)]}
        return {"prompt": prompt, **answers, **tools}
    return {"prompt": prompt, "completion": [_answer(example.completion)], "label": example.label, **tools}


def _message(message: Message) -> dict[str, Any]:
    calls = [{"function": {"name": call.name, "arguments": dict(call.arguments)}} for call in message.calls]
    return {"role": message.role, "content": message.content, **({"tool_calls": calls} if calls else {})}


def _answer(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def _checked(units: Sequence[Unit], divided: Split) -> Iterator[dict[str, Any]]:
    rows = [row for row in divided.train if units[row].final is not None and units[row].plain]
    if len(rows) >= FEWEST_CHECKED:
        for row in rows:
            yield {"prompt": units[row].question, "answer": units[row].final}


def held_rows(made: Draft) -> Iterator[dict[str, Any]]:
    """Yield the rows that are kept out of training to be asked, with their places."""
    asked = {row for rows in made.split.items.values() for row in rows}
    for row in made.split.held_out:
        unit = made.units[row]
        why = "asked by a benchmark" if row in asked else "asks what an asked row does, or much the same"
        yield {**as_row(unit.example), "source": unit.where, "why": why}


def left_out_rows(made: Draft) -> Iterator[dict[str, Any]]:
    """Yield the rows that are used for nothing, with their places and why."""
    for fault in made.unusable:
        yield {"source": f"{writable(fault.file)}, row {fault.row}", "why": fault.why, "row": _jsonable(fault.content)}
    for row, why in sorted(made.split.left_out.items()):
        yield {"source": made.units[row].where, "why": why, "row": as_row(made.units[row].example)}


def _jsonable(row: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(row, default=str))
