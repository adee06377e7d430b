"""Benchmarks as data: finds lm-eval task files, checks them and fingerprints them, without torch or lm-eval.

A benchmark is `<folder>/<name>/<name>.yaml`, an lm-evaluation-harness task, with its data files beside it.
Data in lm-eval's format are accepted: questions, prompts, splits, metrics that are a mean over items.
Anything that could run code or change a score unnoticed is refused: `!function` outside the folder
that ships with statllama, `trust_remote_code`, metrics fetched from the hub, hub datasets without a commit.

Source of the format: lm-evaluation-harness 0.4.13, docs/task_guide.md and `lm_eval/config/task.py`.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from statllama.config.blind import blind_of
from statllama.config.evaluate import EvaluateSpec
from statllama.config.metrics import metric_fault
from statllama.config.shipped import located, shipped_root
from statllama.config.yaml_lines import Loader, parse
from statllama.errors import EvaluationError, near

OUTPUT_TYPES = ("generate_until", "loglikelihood", "multiple_choice")
# Loaded by `datasets` from files beside the YAML.
FILE_FORMATS = ("csv", "json", "parquet")
DATA_SUFFIXES = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}
SPLITS = ("training_split", "validation_split", "test_split", "fewshot_split")
DATASET_OPTIONS = ("data_files", "delimiter", "field", "revision")
# Left out of lm-eval's fields: those that name code, another file, several tasks, or images and sound.
FIELDS = frozenset(
    {
        *("task", "task_alias", "tag", "output_type", "metadata"),
        *("dataset_path", "dataset_name", "dataset_kwargs"),
        *("training_split", "validation_split", "test_split", "fewshot_split", "process_docs"),
        *("description", "doc_to_text", "doc_to_choice", "doc_to_target", "gen_prefix", "target_delimiter"),
        *("num_fewshot", "fewshot_config", "fewshot_delimiter", "generation_kwargs", "repeats", "filter_list"),
        *("metric_list", "process_results", "should_decontaminate", "doc_to_decontamination_query"),
    }
)
REFUSED_FIELDS = {
    "include": "write the whole task in one file",
    "group": "list the tasks of a group one by one in `evaluate.tasks`",
    "class": "a task written in Python runs code; write it as data",
    "custom_dataset": "give `dataset_path` and `dataset_kwargs.data_files`",
    "unsafe_code": "benchmarks that execute generated code are not supported",
    "use_prompt": "write the prompt in `doc_to_text`",
    "doc_to_image": "only text models are scored",
    "doc_to_audio": "only text models are scored",
}
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


class BenchmarkError(EvaluationError, ValueError):
    """A missing benchmark or a wrong task file: an error of the user's, so exit code 2."""

    exit_code = 2


@dataclass(frozen=True)
class FunctionRef:
    """`!function module.name` of a shipped task: `name` in the file `file`, loaded when it is scored."""

    file: Path
    name: str


@dataclass(frozen=True)
class TaskFile:
    """One benchmark. `config` is lm-eval's task config with absolute `data_files`; `files` are the local
    files that it reads besides the YAML: data, then code, in the YAML's order."""

    name: str
    path: Path
    text: str = field(repr=False)
    config: Mapping[str, Any] = field(repr=False)
    files: tuple[Path, ...] = ()
    replaced: bool = False
    """Whether the questions are the user's files instead of the task's own data (`with_data`)."""

    @property
    def is_local(self) -> bool:
        """Return whether the questions come from files, not from a hub dataset."""
        return self.config["dataset_path"] in FILE_FORMATS


def available(folders: Sequence[Path]) -> dict[str, Path]:
    """Return {name: YAML} of all benchmarks in `folders`; of two with the same name the first one wins."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(Path(folder).glob("*/*.yaml")):
            if path.stem == path.parent.name:
                found.setdefault(path.stem, path)
    return found


def find_tasks(
    names: Iterable[str],
    folders: Sequence[Path],
    data: Mapping[str, str | Mapping[str, str]] | None = None,
    root: Path = Path(),
) -> dict[str, TaskFile]:
    """Return {name: TaskFile} for `names`, in their order, each read from the first of `folders` that has it.

    `data`: `EvaluateSpec.data`, files in the place of a task's own data; those with a relative path lie under `root`.

    Raises BenchmarkError (exit code 2) for unknown names, all at once and with near matches, and for a task
    file that is malformed, names a missing data file, or asks for what is refused.
    """
    found = available(folders)
    wanted = list(dict.fromkeys(names))
    unknown = [name for name in wanted if name not in found]
    if unknown:
        places = ", ".join(str(folder) for folder in folders) or "no folder"
        reasons = [f"unknown benchmark {name!r}: {_why_unknown(name, found, folders)}" for name in unknown]
        raise BenchmarkError("\n".join(reasons), remedy=f"`evaluate.tasks` names benchmarks under {places}")
    tasks = {name: read_task(found[name]) for name in wanted}
    for name, files in (data or {}).items():
        if name in tasks:
            tasks[name] = with_data(tasks[name], files, root)
    return tasks


def _why_unknown(name: str, found: Mapping[str, Path], folders: Sequence[Path]) -> str:
    for folder in folders:
        if name and Path(name).name == name and os.path.isdir(Path(folder) / name):
            return f"{Path(folder) / name} has no {name}.yaml"
    return near(name, found) if found else "these folders hold no benchmarks"


def read_task(path: Path) -> TaskFile:
    """Read and check one task file. Raises BenchmarkError that names the file, the field and the remedy."""
    path = path.resolve()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(path, f"not readable as UTF-8 text: {error}") from error
    config = _parse(path, text)
    _check_fields(path, config)
    if fault := metric_fault(config):
        raise _wrong(path, *fault)
    try:
        blind_of(config)
    except ValueError as error:
        raise _wrong(path, str(error)) from None
    if not isinstance(cluster := (config.get("metadata") or {}).get("cluster"), str | None):
        raise _wrong(path, f"`metadata.cluster` is {cluster!r}; write the name of one column, such as `cluster: kind`")
    data = _resolve_data(path, config)
    code = [ref.file for ref in _functions(config)]
    return TaskFile(path.stem, path, text, config, tuple(dict.fromkeys([*data, *code])))


def _wrong(path: Path, what: str, remedy: str | None = None) -> BenchmarkError:
    return BenchmarkError(f"{path}: {what}", remedy=remedy)


def _parse(path: Path, text: str) -> dict[str, Any]:
    """Return the YAML as plain data. `!function` becomes a FunctionRef in the shipped folder, an error elsewhere."""

    class TaskLoader(Loader):
        pass

    def function(loader: yaml.SafeLoader, node: yaml.Node) -> FunctionRef:
        line = node.start_mark.line + 1
        if not path.is_relative_to((shipped_root() / "eval").resolve()):
            what = f"{path}, line {line}: `!function` runs Python code; only shipped benchmarks may do that"
            raise BenchmarkError(what, remedy="write prompt, target and choices as templates or column names")
        module, _, name = str(getattr(node, "value", "")).rpartition(".")
        file = path.parent / f"{module}.py"
        if not (name.isidentifier() and module.isidentifier() and file.is_file()):
            raise BenchmarkError(f"{path}, line {line}: `!function` needs `module.name`, with {module}.py beside")
        return FunctionRef(file, name)

    TaskLoader.add_constructor("!function", function)
    try:
        config, _, problems = parse(text, TaskLoader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise BenchmarkError(f"{path}{line}: not valid YAML: {error.problem}") from error
    except BenchmarkError:  # of the constructor above; it is a ValueError
        raise
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise _wrong(path, f"not valid YAML: {str(error).splitlines()[0]}") from error
    for problem in problems:
        raise BenchmarkError(f"{path}, line {problem.line}: {problem.where}: {problem.message}")
    if not isinstance(config, dict):
        raise _wrong(path, f"a task file must be a mapping of fields, this one is {type(config).__name__}")
    return config


def _check_fields(path: Path, config: dict[str, Any]) -> None:
    for key in config:
        if key in REFUSED_FIELDS:
            raise _wrong(path, f"`{key}` is not supported", remedy=REFUSED_FIELDS[key])
        if key not in FIELDS:
            raise _wrong(path, f"unknown field `{key}`; {near(str(key), FIELDS)}")
    if config.get("task") != path.stem:
        what = f"`task` is {config.get('task')!r}, the file is {path.name}"
        raise _wrong(path, what, remedy=f"write `task: {path.stem}`")
    for key in ("dataset_path", "doc_to_text", "doc_to_target"):
        if config.get(key) is None:
            raise _wrong(path, f"`{key}` is missing")
    kind = config.get("output_type", "generate_until")
    if kind not in OUTPUT_TYPES:
        raise _wrong(path, f"`output_type` is {kind!r}; {near(str(kind), OUTPUT_TYPES)}")
    if kind == "multiple_choice" and config.get("doc_to_choice") is None:
        raise _wrong(path, "`doc_to_choice` is missing: a multiple-choice task needs the choices")
    if not (config.get("test_split") or config.get("validation_split")):
        raise _wrong(path, "give `test_split` or `validation_split`: the questions to score")
    generation = config.get("generation_kwargs") or {}
    if not isinstance(generation, dict):
        raise _wrong(path, f"`generation_kwargs` must be a mapping, got {generation!r}")
    if generation.get("do_sample"):
        what = "`do_sample: true` makes scores depend on the batch size"
        raise _wrong(path, what, remedy="write `do_sample: false`")


def _resolve_data(path: Path, config: dict[str, Any]) -> list[Path]:
    """Make `data_files` absolute in `config` and return them; for a hub dataset insist on a commit."""
    source = config["dataset_path"]
    options = config.get("dataset_kwargs") or {}
    if not isinstance(options, dict):
        raise _wrong(path, f"`dataset_kwargs` must be a mapping, got {options!r}")
    for key in options:
        if key not in DATASET_OPTIONS:
            raise _wrong(path, f"`dataset_kwargs.{key}` is not supported; {near(str(key), DATASET_OPTIONS)}")
    if source not in FILE_FORMATS:
        _check_hub(path, source, options)
        return []
    if not options.get("data_files"):
        raise _wrong(
            path,
            f"`dataset_path: {source}` needs `dataset_kwargs.data_files`",
            remedy="write `dataset_kwargs: {data_files: {test: test.jsonl}}`",
        )
    splits = options["data_files"]
    splits = splits if isinstance(splits, dict) else {"train": splits}
    resolved = {
        str(split): [_data_file(path, name) for name in (names if isinstance(names, list) else [names])]
        for split, names in splits.items()
    }
    for key in SPLITS:
        if config.get(key) is not None and config[key] not in list(resolved):
            raise _wrong(
                path,
                f"`{key}` is {config[key]!r}, but `data_files` has no such split; {near(str(config[key]), resolved)}",
            )
    # `datasets` takes these as glob patterns.
    files = {split: [glob.escape(str(file)) for file in names] for split, names in resolved.items()}
    config["dataset_kwargs"] = options | {"data_files": files}
    return [file for names in resolved.values() for file in names]


def _check_hub(path: Path, source: object, options: Mapping[str, Any]) -> None:
    if not isinstance(source, str) or not _HUB_ID.fullmatch(source):
        raise _wrong(
            path,
            f"`dataset_path` is {source!r}; allowed: {', '.join(FILE_FORMATS)}, or a hub id `owner/name`",
        )
    if not _COMMIT.fullmatch(str(options.get("revision", ""))):
        raise _wrong(
            path,
            f"hub dataset {source} is not pinned: its questions could change unnoticed",
            remedy="write `dataset_kwargs: {revision: <the 40 hex digits of a commit>}`",
        )


def _data_file(path: Path, name: object) -> Path:
    if not isinstance(name, str):
        raise _wrong(path, f"`data_files` must name files, got {name!r}")
    file = Path(os.path.abspath(path.parent / name))
    if not os.path.isfile(file):
        raise _wrong(path, f"data file {name!r} not found (looked for {file})")
    if not file.stat().st_size:
        raise _wrong(path, f"data file {name!r} is empty: it holds no questions")
    return file


def with_data(
    task: TaskFile, files: str | Mapping[str, str], root: Path, field: str = "evaluate.data", prompts: bool = True
) -> TaskFile:
    """Return the task on local files in place of its own data: one file for the split that is scored, or files by
    split.

    Splits without a file are gone. `field`: where the user named the files. `prompts`: whether prompts are made,
    whose examples need a file too. Raises BenchmarkError for a file that is not there or of another format, a split
    that the task does not have, and few-shot examples that would have no file.
    """
    where = f"`{field}.{task.name}`"
    config = dict(task.config)
    scored = str(config.get("test_split") or config.get("validation_split"))
    named = {key: str(config[key]) for key in SPLITS if config.get(key)}
    given = {scored: files} if isinstance(files, str) else dict(files)
    for split in given:
        if split not in named.values():
            raise BenchmarkError(f"{where}: {task.name} has no split {split!r}; {near(split, named.values())}")
    if scored not in given:
        raise BenchmarkError(f"{where}: no file for {scored!r}, the split that is scored")
    # lm-eval's own order, see its `fewshot_docs`.
    shots = next((named[key] for key in (SPLITS[3], *SPLITS[:2]) if key in named), scored)
    samples = (config.get("fewshot_config") or {}).get("samples")
    if prompts and config.get("num_fewshot") and samples is None and shots not in given:
        raise BenchmarkError(
            f"{where}: no file for {shots!r}, from which the {config['num_fewshot']} examples of each prompt are drawn",
            remedy=f"write `{field.rpartition('.')[2]}: {{{task.name}: {{{scored}: FILE, {shots}: FILE}}}}`",
        )
    found = {split: _own_file(where, located(given[split], root)) for split in sorted(given)}
    formats = {DATA_SUFFIXES[file.suffix] for file in found.values()}
    if len(formats) > 1:
        raise BenchmarkError(f"{where}: the files of all splits must share one format, these are {sorted(formats)}")
    for key in [key for key, split in named.items() if split not in given] + ["dataset_name"]:
        config.pop(key, None)
    config["dataset_path"] = formats.pop()
    config["dataset_kwargs"] = {"data_files": {split: [glob.escape(str(file))] for split, file in found.items()}}
    code = [ref.file for ref in _functions(config)]
    return replace(task, config=config, files=tuple(dict.fromkeys([*found.values(), *code])), replaced=True)


def _own_file(where: str, path: str) -> Path:
    file = Path(path)
    if not os.path.isfile(file):
        raise BenchmarkError(f"{where}: no such file: {file}")
    if file.suffix not in DATA_SUFFIXES:
        raise BenchmarkError(f"{where}: {file} must end in one of {', '.join(DATA_SUFFIXES)}")
    if not file.stat().st_size:
        raise BenchmarkError(f"{where}: {file} is empty: it holds no questions")
    return file


def _functions(node: object) -> list[FunctionRef]:
    """Return all FunctionRefs in a task's config, in order."""
    if isinstance(node, FunctionRef):
        return [node]
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [ref for child in children for ref in _functions(child)]


def task_fingerprint(task: TaskFile) -> str:
    """Return the SHA-256 (hex) of the YAML text and of the bytes of the task's local files, wherever they lie."""
    digest = hashlib.sha256(task.text.encode("utf-8"))
    for file in task.files:
        with file.open("rb") as stream:
            digest.update(b"\0" + hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def chosen_tasks(spec: EvaluateSpec, root: Path) -> tuple[TaskFile, ...]:
    """Return the benchmarks of `spec.tasks`: from `eval/` in the recipe's folder `root`, else those that ship.

    BenchmarkError for one that is not there or is wrong.
    """
    folders = [root / "eval", shipped_root() / "eval"]
    return tuple(find_tasks(spec.tasks, folders, spec.data, root).values())
