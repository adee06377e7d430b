"""Checks of a benchmark's items before a model is asked: lm-eval would score a broken item as wrong, for every model.

Works on lm-eval's task object without importing lm-eval. Each error names the file and the row, counted from 1.
"""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import jinja2.meta
import jinja2.sandbox

from statllama.config.benchmarks import BenchmarkError, TaskFile
from statllama.config.metrics import rubric_column
from statllama.evaluation.rubric import fault

TEMPLATES = ("doc_to_text", "doc_to_choice", "doc_to_target")
_PARSER = jinja2.sandbox.ImmutableSandboxedEnvironment()

Item = Mapping[str, Any]


def make_task(task: TaskFile, kind: Any, config: dict[str, Any], limit: int | None) -> Any:
    """Return lm-eval's task object, `kind(config=config)`, whose first `limit` items (None: all) have passed
    `check_items`.

    `kind` is lm-eval's `ConfigurableTask`, `config` that of `task` with functions for FunctionRefs. Also raises
    BenchmarkError for files that `datasets` cannot read.
    """
    loaded = kind.__new__(kind)
    try:
        loaded.__init__(config=config)
    except Exception as error:
        if hasattr(loaded, "features"):  # the rows were read: it then fails on the first, without saying so
            check_items(task, loaded, islice(loaded.eval_docs, 1))
        if "corresponds to no data" in str(error):  # what `datasets` says of a file without rows
            raise _no_items(task) from error
        if broken := _broken_line(task):
            raise broken from error
        if type(error).__name__ in ("DatasetGenerationError", "ArrowInvalid"):
            raise _wrong(task, None, f"cannot be read: {error.__cause__ or error}", "write the file again") from error
        raise
    check_items(task, loaded, islice(loaded.eval_docs, limit))
    return loaded


def check_items(task: TaskFile, loaded: Any, docs: Iterable[Item]) -> None:
    """Check `docs`, the rows of the scored split from its first on, as lm-eval's task object `loaded` would use them.

    Raises BenchmarkError, with file, row and what is allowed: no items, a column or value that is missing, choices that
    are no list of texts or more than the task has letters for, an answer that is none of the choices, an empty target.
    In local files also an `id` or a whole row that occurs twice, since paired comparisons count an item once, and a
    wrong choice that says what a right one says (`_same`), since then either letter is right;
    repetitions in a published dataset are part of it, and nobody could mend them.
    """
    ids: dict[str, int] = {}
    rows: dict[str, int] = {}
    row = 0
    for row, doc in enumerate(docs, start=1):
        if not loaded.multiple_input:  # one prompt for each choice: a form of its own
            choices = _check_choices(task, loaded, row, doc) if task.config.get("doc_to_choice") else None
            answers = _check_answer(task, loaded, row, doc, choices)
            if task.is_local and choices is not None:
                _check_one_right(task, row, doc, choices, answers)
            _check_question(task, loaded, row, doc)
        if column := rubric_column(task.config):
            _check_rubric(task, column, row, doc)
        if task.is_local:
            name = doc.get("id")
            if name is not None and (first := ids.setdefault(str(name), row)) != row:
                what = f"has the `id` of row {first}: {_brief(name)}"
                raise _wrong(task, row, what, "give each item its own `id`")
            if (first := rows.setdefault(json.dumps(doc, default=str), row)) != row:
                raise _wrong(task, row, f"is row {first} again: all columns are equal", "remove one of the two")
    if not row:
        raise _no_items(task)


def _check_choices(task: TaskFile, loaded: Any, row: int, doc: Item) -> list[str]:
    """Return the choices that the task scores, texts or letters; they must fit the texts in its column `choices`, if
    any.
    """
    given = doc.get("choices") if "choices" in _columns(task) else None
    texts = given.get("text") if isinstance(given, Mapping) else given
    if texts is not None and not (isinstance(texts, list) and any(isinstance(x, Mapping) for x in texts)):
        _check_texts(task, row, texts)
    choices = _rendered(task, loaded, "doc_to_choice", row, doc)
    _check_texts(task, row, choices)
    if len(choices) < 2:
        raise _wrong(task, row, f"too few choices: {_brief(choices)}", "give at least two")
    if texts is not None and len(texts) != len(choices) and not set(choices) & {str(text) for text in texts}:
        what = f"there are {len(texts)} choices, and letters for {len(choices)} in {task.path}"
        raise _wrong(task, row, what, f"remove the item, or score it with a benchmark that takes {len(texts)}")
    return list(choices)


def _check_texts(task: TaskFile, row: int, texts: Any) -> None:
    if not isinstance(texts, list) or not all(isinstance(text, str) and text.strip() for text in texts):
        raise _wrong(task, row, f"the choices are not a list of texts: {_brief(texts)}", _list_of_texts(task, texts))


def _list_of_texts(task: TaskFile, texts: Any) -> str:
    if task.config["dataset_path"] == "csv":
        return "a .csv cell cannot hold a list: use .jsonl, .json or .parquet"
    if isinstance(texts, list) and any(isinstance(text, int | float) for text in texts):
        # Then pandas reads the file instead of Arrow, and takes "0.50" for a number.
        return (
            'write texts, as in ["0.50", "0.75"]; if they are, a column is a text in some rows and a number in others'
        )
    return 'write a list, as in ["0.50", "0.75"]'


def _check_answer(task: TaskFile, loaded: Any, row: int, doc: Item, choices: list[str] | None) -> list[Any]:
    """Return the answers that the task takes for right: places or texts of choices."""
    target = _rendered(task, loaded, "doc_to_target", row, doc)
    answers = target if isinstance(target, list) and target else [target]
    for answer in answers:
        if choices is None:
            if answer is None or not str(answer).strip():
                raise _wrong(task, row, f"the answer is empty: {answer!r}", f"see `doc_to_target` in {task.path}")
            continue
        # With generated replies lm-eval takes the choice of that number, and looks for no text.
        named = isinstance(answer, str) and loaded.OUTPUT_TYPE == "multiple_choice"
        if answer not in (choices if named else range(len(choices))):
            columns = _columns(task, "doc_to_target")
            stated = doc[columns[0]] if len(columns) == 1 and columns[0] in doc else answer
            what = f"the answer {_brief(stated)} is not one of the {len(choices)} choices"
            allowed = f"allowed: an index from 0 to {len(choices) - 1}, or one of {_brief(choices)}"
            raise _wrong(task, row, what, f"{allowed}, by `doc_to_target` in {task.path}")
    return list(answers)


def _check_one_right(task: TaskFile, row: int, doc: Item, choices: list[str], answers: list[Any]) -> None:
    """Refuse an item with a wrong choice that says the same as a right one."""
    given = doc.get("choices") if "choices" in _columns(task) else None
    texts = given.get("text") if isinstance(given, Mapping) else given
    if not isinstance(texts, list) or len(texts) != len(choices) or not all(isinstance(text, str) for text in texts):
        texts = choices  # letters may stand for the texts of the column `choices`
    right = [choices.index(answer) if isinstance(answer, str) else int(answer) for answer in answers]
    for place, text in enumerate(texts):
        twin = next((i for i in right if place not in right and _same(text, texts[i])), None)
        if twin is not None:
            said = f"choice {place + 1} is {_brief(text)}, and choice {twin + 1}, the answer, says the same"
            raise _wrong(task, row, f"two right choices: {said}", "change one of the two, or remove the item")


def _same(one: str, other: str) -> bool:
    """Return whether two choices say the same: equal but for spaces and a last full stop, or equal numbers.

    >>> _same("0.5", ".50"), _same("1,000  hours.", "1000 hours"), _same("Aa", "AA")
    (True, True, False)
    """
    first, second = (
        re.sub(r"(?<=\d),(?=\d{3}\b)", "", " ".join(text.split()).removesuffix(".")) for text in (one, other)
    )
    if first == second:
        return True
    try:
        return float(first) == float(second)
    except ValueError:
        return False


def _check_question(task: TaskFile, loaded: Any, row: int, doc: Item) -> None:
    text = _rendered(task, loaded, "doc_to_text", row, doc)
    if not isinstance(text, str) or not text.strip():
        raise _wrong(task, row, f"the question is not text: {_brief(text)}", f"see `doc_to_text` in {task.path}")


def _check_rubric(task: TaskFile, column: str, row: int, doc: Item) -> None:
    if what := fault(doc.get(column)):
        raise _wrong(task, row, f"`{column}` {what}", "see statllama/evaluation/rubric.py for what a point holds")


def _rendered(task: TaskFile, loaded: Any, name: str, row: int, doc: Item) -> Any:
    """Render a row by the task object, where no value that it takes is missing."""
    columns = _columns(task, name)
    empty = [column for column in columns if doc.get(column) is None]
    error = None
    try:
        made = getattr(loaded, name)(doc)
    except Exception as raised:
        made, error = None, raised
    if empty and (made is None or _shows_null(loaded, name, made, doc, empty)):
        what = f"there is no {' and no '.join(f'`{column}`' for column in empty)}"
        raise _wrong(task, row, what, f"`{name}` in {task.path} takes {', '.join(columns)}") from error
    if error is not None:
        what = f"`{name}` fails: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        raise _wrong(task, row, what, f"`{name}` in {task.path} takes {', '.join(columns)}") from error
    return made


def _shows_null(loaded: Any, name: str, made: object, doc: Item, empty: Iterable[str]) -> bool:
    """Return whether a template put the word None where a row has nothing; not so if it asks for the value first."""
    try:
        without = getattr(loaded, name)({**doc, **dict.fromkeys(empty, "")})
    except Exception:
        return False
    return str(made).count("None") > str(without).count("None")


def _columns(task: TaskFile, *names: str) -> tuple[str, ...]:
    """Return the columns that these templates of a task (none named: all) take, in order."""
    templates = [task.config.get(name) for name in names or TEMPLATES]
    found = (column for template in templates if isinstance(template, str) for column in _variables(template))
    return tuple(dict.fromkeys(found))


@cache
def _variables(template: str) -> tuple[str, ...]:
    """Return the variables of a template in order, or the one column that it names."""
    if template.isidentifier():
        return (template,)
    try:
        return tuple(sorted(jinja2.meta.find_undeclared_variables(_PARSER.parse(template)), key=template.find))
    except jinja2.TemplateSyntaxError:
        return ()


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _no_items(task: TaskFile) -> BenchmarkError:
    return _wrong(task, None, "it holds no items", f"a row has {', '.join(_columns(task))}")


def _wrong(task: TaskFile, row: int | None, what: str, remedy: str) -> BenchmarkError:
    place = ", ".join(map(str, _scored_files(task))) or str(task.config["dataset_path"])
    return BenchmarkError(f"{task.name}: {place}{f', row {row}' if row else ''}: {what}", remedy=remedy)


def _scored_files(task: TaskFile) -> list[Path]:
    """Return the local files with the items."""
    split = str(task.config.get("test_split") or task.config.get("validation_split"))
    patterns = (task.config.get("dataset_kwargs") or {}).get("data_files", {}).get(split, [])
    return [file for file in task.files if glob.escape(str(file)) in patterns]


def _broken_line(task: TaskFile) -> BenchmarkError | None:
    """Return the first line of JSON Lines that is no JSON object."""
    for file in _scored_files(task):
        for number, line in enumerate(file.read_bytes().splitlines() if file.suffix == ".jsonl" else (), start=1):
            try:
                what = None if isinstance(json.loads(line or b"{}"), dict) else "is not a JSON object"
            except ValueError as error:
                what = f"is not JSON: {error}"
            if what:
                return _wrong(task, number, what, 'write each item on its own line, as in {"question": ...}')
    return None
