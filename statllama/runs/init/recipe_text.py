"""The recipe that `init` writes, as YAML with a reason beside each setting."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from statllama.config.yaml_lines import parse_value
from statllama.runs.init.benchmark import ANSWERS, DOCUMENTS, EXACT, PAIRS, QUIZ
from statllama.runs.init.draft import Draft, Source
from statllama.runs.init.settings import SMALL, TINY, StageSettings
from statllama.runs.init.survey import Use, known_columns, writable

TEACHES: dict[Use, str] = {
    "cpt": "reads the documents: the words and facts of the field",
    "sft": "learns to answer: loss on the answers alone",
    "dpo": "learns which of two answers is preferred, held near what it was",
    "kto": "learns from single answers, judged good or bad, held near what it was",
}
SHOWS = {
    QUIZ: "quiz questions answered right",
    EXACT: "answers written word for word",
    ANSWERS: "held-out loss: how likely answers are",
    PAIRS: "preferred answers found likelier",
    DOCUMENTS: "held-out loss: how likely passages are",
}
NOUNS: dict[Use, str] = {"cpt": "pieces", "dpo": "pairs"}
WIDTH = 100
NOT_YAML = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
"""Characters that a YAML file cannot hold as they are, or that end a line there."""


def recipe_text(made: Draft) -> str:
    """Return the recipe."""
    return "\n".join([*_head(made), *_base(made), *_stages(made), *_grpo(made), *_evaluate(made), ""])


def _head(made: Draft) -> Iterator[str]:
    yield "# Made by `statllama init`. Change what you like: `statllama plan` says what would run again."
    yield "# Rows are copied to data/, so that no held-out row gets into training when your files change."
    yield "# Your files, which were only read (data/sources.json has their hashes):"
    for found in made.found:
        yield f"#   {_one_line(found.name)}: {_counts(made, found.name)}"
        renamed = {name: used for name, used in known_columns(found.reading).items() if name != used}
        if renamed:
            columns = ", ".join(f"{used!r} as {name}" for name, used in renamed.items())
            yield f"#     read as {found.format}: {_one_line(columns)}"
    yield f"name: {_scalar(made.name)}"
    files = ", ".join(source.found.name for source in made.sources)
    about = made.goal or f"{made.base.model} learns from {files}."
    yield f"description: {_quoted(writable(about))}"


def _counts(made: Draft, name: str) -> str:
    found = next(each for each in made.found if each.name == name)
    files = {str(path) for path in found.files}
    mine = [row for row, unit in enumerate(made.units) if unit.file in files]
    held, gone = set(made.split.held_out), made.split.left_out
    parts = {
        "to train": sum(row not in held and row not in gone for row in mine),
        "held out": sum(row in held for row in mine),
        "left out": sum(row in gone for row in mine) + sum(fault.file in files for fault in made.unusable),
    }
    what = "rows" if found.use != "cpt" else "documents" if len(mine) <= len(found.files) else "pieces of documents"
    return f"{sum(parts.values()):,} {what}: " + ", ".join(f"{n:,} {word}" for word, n in parts.items() if n)


def readable_count(number: float) -> str:
    """Return `3.5 million`, `3.2 billion`."""
    return f"{number / 1e9:.2g} billion" if number >= 1e9 else f"{number / 1e6:.3g} million"


def _base(made: Draft) -> Iterator[str]:
    base = made.base
    exact = "" if base.folder else "about "
    yield ""
    yield "base:"
    yield f"  model: {_scalar(base.model)} # {exact}{readable_count(base.parameters)} parameters"
    if base.quantization == "none":
        yield "  quantization: none # as it is: a base this small gains little by 4 bit"
    else:
        yield "  quantization: nf4 # 4 bit: about a quarter of the memory"
    yield "defaults:"
    yield "  train:"
    yield f"    micro_tokens: {made.micro_tokens} # {_budget(made)}"


def _budget(made: Draft) -> str:
    what = "tokens of a forward pass: memory and speed, not what is learned"
    if made.base.shape is None:
        return f"{what}; halved when memory runs out"
    return f"{what}; forecast to fit {made.device.free / 2**30:.3g} GiB"


def _stages(made: Draft) -> Iterator[str]:
    yield ""
    yield "stages: # one adapter each, on top of those before it"
    for use, settings in made.stages.items():
        yield f"  - name: {use} # {TEACHES[use]}"
        yield f"    type: {use}"
        yield "    data:"
        for source in made.sources:
            if source.use == use:
                yield f"      - {{path: {source.path}, format: {source.format}}} # {_source(source)}"
        yield f"    lora: {{r: {settings.r}, alpha: {settings.alpha}}} # {_rank(use, settings)}"
        yield "    train:"
        yield f"      epochs: {settings.epochs} # {_epochs(use, settings)}"
        yield f"      learning_rate: {settings.learning_rate:.0e} # {_rate(made)}".replace("e-0", "e-")
        yield f"      batch_size: {settings.batch_size} # {NOUNS.get(use, 'rows')} per step"
        yield f"      max_length: {settings.max_length} # tokens; {_length(made, use, settings)}"
        if settings.warmup:
            yield f"      warmup: {settings.warmup:g} # share of the steps with a rising rate"
        if use in ("dpo", "kto"):
            yield "    beta: 0.1 # strength of the pull towards what it was: higher holds it nearer"


def _source(source: Source) -> str:
    count = len(source.rows)
    noun = (
        ("document" if source.use == "cpt" else "row") if count == 1 else "documents" if source.use == "cpt" else "rows"
    )
    return f"{count:,} {noun} of {_one_line(source.found.name)}"


def _rank(use: Use, settings: StageSettings) -> str:
    if use in ("dpo", "kto"):
        return "a preference is a small change: a small rank does"
    size = "a small rank, for few rows" if settings.r < 16 else "the usual rank"
    return f"{size if settings.r <= 16 else 'a large rank, for many rows'}; the adapter's scale is alpha / r"


def _epochs(use: Use, settings: StageSettings) -> str:
    often = "few rows: seen more often" if settings.epochs > 3 else "lower it when the held-out score falls"
    return f"times through {settings.rows:,} {NOUNS.get(use, 'rows')}, {settings.steps:,} steps; {often}"


def _rate(made: Draft) -> str:
    size = made.base.parameters
    kind = "a tiny base" if size < TINY else "a small base" if size < SMALL else "a base of this size"
    return f"usual for LoRA on {kind}; halve it when the loss jumps"


def _length(made: Draft, use: Use, settings: StageSettings) -> str:
    basis = "" if made.base.tokenizer is not None else " (estimated)"
    if use == "cpt":
        return f"longer documents are cut into pieces; the longest has {settings.longest:,}{basis}"
    if settings.cut:
        return f"cuts {settings.cut:,} rows, the longest has {settings.longest:,}{basis}"
    return f"the longest row has {settings.longest:,}{basis}"


def _grpo(made: Draft) -> Iterator[str]:
    if not made.checked:
        return
    yield f"  # {len(made.checked):,} training questions have a number for an answer, which a reward can check."
    yield "  # To learn from answers of the model's own (slow: it writes them), take the # away:"
    length = made.stages["sft"].max_length
    for line in (
        "- name: grpo",
        "  type: grpo",
        "  data: [{path: data/checked.jsonl, format: prompt_answer}]",
        "  system: Think first, then write the final answer alone inside <answer></answer>.",
        "  rewards: [{name: correctness, rtol: 0.01}]",
        "  generations: 8",
        f"  max_completion_length: {length // 2}",
        f"  train: {{steps: 100, batch_size: 16, max_length: {length}, learning_rate: 1e-5}}",
    ):
        yield f"  # {line}"


def _evaluate(made: Draft) -> Iterator[str]:
    yield ""
    if not made.benchmarks:
        yield "# No benchmark: nothing is held out. The rows are too few or too much alike, or `--holdout 0` said so."
        return
    yield "evaluate: # of the base and after each stage, on rows that no stage trains on (data/held_out.jsonl)"
    yield "  tasks:"
    for each in made.benchmarks:
        yield f"    - {each.name} # {len(each.items):,} items in eval/; {SHOWS[each.form]}"
    if len(made.benchmarks) > 1:
        yield f"  domain: [{', '.join(each.name for each in made.benchmarks)}] # what the stages should raise"
    if made.base.positions < 4096:
        yield f"  max_length: {made.base.positions} # all positions that the base has"
    if all(each.form == DOCUMENTS for each in made.benchmarks):
        yield "  chat_template: false # passages are plain text"
    if made.prompts:
        yield "  prompts: # held-out questions that the base and each stage answer, to read side by side"
        yield from (f"    - {_quoted(prompt)}" for prompt in made.prompts)


def _scalar(text: str) -> str:
    """Return a text as YAML: as it is where that is read as the same text, else quoted (`no` would be false)."""
    return text if re.fullmatch(r"[\w./-]+", text) and parse_value(text) == text else _quoted(text)


def _quoted(text: str) -> str:
    """Return a text in double quotes; characters that YAML does not take are escaped."""
    return NOT_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def _one_line(text: str) -> str:
    flat = NOT_YAML.sub("\ufffd", " ".join(text.split()))
    return flat if len(flat) <= WIDTH else f"...{flat[3 - WIDTH :]}"


def next_commands(recipe: str) -> Sequence[tuple[str, str]]:
    """Return the three commands that come next, each with its purpose."""
    return (
        (f"statllama data check {recipe}", "the rows as it sees them"),
        (f"statllama plan {recipe}", "stages, memory, time"),
        (f"statllama run {recipe}", "train and score"),
    )
