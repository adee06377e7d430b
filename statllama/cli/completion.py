"""What the shell's Tab key offers: recipes, runs, stages of the recipe at hand, keys of `--set`, benchmarks.

Each function is asked with what stands on the line so far and returns the words that go on from there; it loads no
torch, prints nothing, and offers nothing where a file on the way cannot be read. A key of `--set` is offered whole:
the shell itself stops where the keys differ, at the next dot.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

WORKSPACE = "workspace"


def quiet(offer: Callable[[typer.Context, str], Iterator[Any]]) -> Callable[[typer.Context, str], list[Any]]:
    """Make a list of what is offered; a failure offers nothing, since a line that is being typed is often wrong."""

    @wraps(offer)
    def offered(ctx: typer.Context, incomplete: str) -> list[Any]:
        try:
            return list(offer(ctx, incomplete))
        except Exception:
            return []

    return offered


@quiet
def recipes(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer shipped recipes, and YAML files and folders that go on from what is typed."""
    from statllama.config.shipped import shipped_recipes

    yield from (name for name in shipped_recipes() if name.startswith(incomplete))
    yield from files(incomplete, (".yaml", ".yml"))


@quiet
def recipes_and_studies(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer shipped recipes and studies, and YAML files."""
    from statllama.config.shipped import shipped_studies

    yield from recipes(ctx, incomplete)
    yield from (name for name in shipped_studies() if name.startswith(incomplete))


@quiet
def targets(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer runs of the workspace, shipped recipes and bases, recipe files and folders."""
    from statllama.config.shipped import shipped_bases

    names = dict.fromkeys([*_runs(ctx), *recipes(ctx, incomplete), *shipped_bases()])
    yield from (name for name in names if name.startswith(incomplete))


@quiet
def stages(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer the stages of the recipe or run on the line, and for scored stacks the base."""
    names = [name for name, _ in _stages(ctx)] + ([] if "recipe" in ctx.params else ["base"])
    yield from (name for name in names if name.startswith(incomplete))


@quiet
def benchmarks(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Offer the benchmarks that ship and those in ./eval."""
    from statllama.config.benchmarks import available
    from statllama.config.shipped import shipped_root

    names = available([Path("eval"), shipped_root() / "eval"])
    yield from (name for name in sorted(names) if name.startswith(incomplete))


@quiet
def settings(ctx: typer.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    """Offer `KEY=` with what the field is, and after `KEY=` its values where there are few."""
    key, sign, begun = incomplete.partition("=")
    fields = dict(_fields(ctx))
    if sign:
        for value in _values(key, fields[key]):
            if value.startswith(begun):
                yield f"{key}={value}", ""
        return
    for name, field in fields.items():
        if name.startswith(incomplete):
            yield f"{name}=", " ".join((field.description or "").split()).partition(". ")[0]


def files(incomplete: str, endings: tuple[str, ...]) -> Iterator[str]:
    """Yield the files of these endings, and the folders, whose path goes on from what is typed."""
    folder, _, begun = incomplete.rpartition("/")
    place = f"{folder}/" if "/" in incomplete else ""
    for entry in sorted(os.scandir(os.path.expanduser(place) or "."), key=lambda entry: entry.name):
        if entry.name.startswith(begun) and (begun.startswith(".") or not entry.name.startswith(".")):
            if entry.is_dir():
                yield f"{place}{entry.name}/"
            elif entry.name.endswith(endings):
                yield f"{place}{entry.name}"


def _workspace(ctx: typer.Context) -> Path:
    return Path(ctx.params.get("workspace") or os.environ.get("STATLLAMA_WORKSPACE") or WORKSPACE)


def _runs(ctx: typer.Context) -> list[str]:
    folder = _workspace(ctx) / "runs"
    return sorted(path.stem for path in folder.glob("*.json")) if folder.is_dir() else []


def _stages(ctx: typer.Context) -> list[tuple[str, str]]:
    """Return (name, type) of the stages of the recipe or run on the line.

    Before an option that still lacks its value nothing is parsed, so each word may be it.
    """
    given = [ctx.params.get(name) for name in ("recipe", "target", "run")]
    words = [str(word) for word in (*given, *ctx.args) if word and not str(word).startswith("-")]
    return next((found for word in words if (found := list(_stages_of(word, ctx)))), [])


def _stages_of(target: str, ctx: typer.Context) -> Iterator[tuple[str, str]]:
    """Yield (name, type) of the stages of a recipe, as its file says, or of a run, as its record says."""
    from statllama.config.inherit import load_whole
    from statllama.config.shipped import find_recipe
    from statllama.errors import StatllamaError
    from statllama.store.files import read_json

    try:
        body = load_whole(find_recipe(target)).data
        yield from ((str(stage["name"]), str(stage["type"])) for stage in body["stages"])
    except (StatllamaError, KeyError, TypeError):
        record = read_json(_workspace(ctx) / "runs" / f"{target}.json")
        if isinstance(record, dict):
            yield from ((name, record["stages"][name]["type"]) for name in record["order"])


def _fields(ctx: typer.Context) -> Iterator[tuple[str, Any]]:
    """Yield (key, field) of all keys that `--set` takes on the line: of a run only those of `evaluate`."""
    from statllama.config.base_model import BaseModelSpec
    from statllama.config.evaluate import EvaluateSpec
    from statllama.config.lora import LoraSpec
    from statllama.config.train import TrainSpec
    from statllama.stages import stage_module, stage_types

    yield from ((f"evaluate.{name}", field) for name, field in EvaluateSpec.model_fields.items())
    if "recipe" not in ctx.params:
        return
    yield from ((f"base.{name}", field) for name, field in BaseModelSpec.model_fields.items())
    groups: Mapping[str, Any] = {"train": TrainSpec.model_fields, "lora": LoraSpec.model_fields}
    yield from (
        (f"defaults.{group}.{name}", field) for group, fields in groups.items() for name, field in fields.items()
    )
    for stage, kind in _stages(ctx):
        own = stage_module(kind).Spec.model_fields if kind in stage_types() else {}
        for name, field in own.items():
            if name in groups:
                yield from ((f"stages.{stage}.{name}.{inner}", each) for inner, each in groups[name].items())
            elif name not in ("name", "type", "data"):
                yield f"stages.{stage}.{name}", field


def _values(key: str, field: Any) -> Iterator[str]:
    """Yield the values of a field that has few, as YAML writes them."""
    from statllama.config.shipped import shipped_bases

    if key in ("base.model", "base.tokenizer"):
        yield from shipped_bases()
    waiting = [field.annotation]
    while waiting:
        kind = waiting.pop(0)
        if get_origin(kind) is Literal:
            yield from (str(value).lower() if isinstance(value, bool) else str(value) for value in get_args(kind))
        elif kind is bool:
            yield from ("true", "false")
        elif kind is type(None):
            yield "null"
        else:
            waiting += get_args(kind)
