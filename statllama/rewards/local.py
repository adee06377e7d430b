"""Reward `local`: a function of the user's own, from a file beside the recipe, when its code is trusted."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

from pydantic import Field

from statllama.errors import UsageError, near
from statllama.rewards.spec import RewardSpec

_PATTERN = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$"


class Spec(RewardSpec):
    """Runs only with `--trust-local-code`, since it is code that came with a recipe."""

    name: Literal["local"]
    function: Annotated[str, Field(pattern=_PATTERN)]
    """`module:function`: `my_rewards:brevity` is `brevity` in `my_rewards.py`, `a.b:f` is `f` in `a/b.py`, in the
    recipe's folder."""
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Keyword arguments of the function, beside those of TRL's signature."""


def source(function: str, folder: Path) -> Path:
    """Return the file that `module:function` is in. Raises `UsageError` when there is none below `folder`."""
    if not re.fullmatch(_PATTERN, function):
        raise UsageError(
            f"{function!r} is not a reward function", remedy="write `module:function`, as in `my_rewards:f`"
        )
    module = function.partition(":")[0]
    path = folder.joinpath(*module.split(".")).with_suffix(".py")
    if not path.is_file():
        there = [p.stem for p in sorted(path.parent.glob("*.py"))] if path.parent.is_dir() else []
        raise UsageError(f"reward {function!r}: there is no {path}", remedy=near(module.rpartition(".")[2], there))
    if not path.resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            f"reward {function!r}: {path} leads out of the recipe's folder, to {path.resolve()}",
            remedy="put the file itself beside the recipe",
        )
    return path


def fingerprint(function: str, folder: Path) -> str:
    """Return the SHA-256 of the file that a reward is in: another text, another result."""
    return hashlib.sha256(source(function, folder).read_bytes()).hexdigest()


def load_local(spec: Spec, folder: Path, trusted: bool) -> Callable[..., Any]:
    """Return the function that `spec` names, with its options bound.

    `folder` is the recipe's. The file may import what is installed, but no file beside it. Raises `UsageError` before
    anything of it runs unless `trusted`, and when the file or the function is missing, or cannot be imported or called.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> code = "def brevity(prompts, completions, most, **columns): return [float(len(c) <= most) for c in completions]"
    >>> _ = (folder / "mine.py").write_text(code)
    >>> reward = load_local(Spec(name="local", function="mine:brevity", options={"most": 3}), folder, trusted=True)
    >>> reward(prompts=["p", "q"], completions=["yes", "perhaps"])
    [1.0, 0.0]
    """
    if not trusted:
        raise UsageError(
            f"reward {spec.function!r} is code in {folder}, which runs with all your rights",
            remedy="read it, then allow it with `--trust-local-code`",
        )
    path = source(spec.function, folder)
    module, name = _imported(path, spec.function), spec.function.partition(":")[2]
    function = getattr(module, name, None)
    if function is None:
        there = [n for n, v in vars(module).items() if inspect.isfunction(v) and v.__module__ == module.__name__]
        raise UsageError(f"reward {spec.function!r}: {path} has no {name!r}", remedy=near(name, there))
    if not callable(function) or inspect.iscoroutinefunction(function) or inspect.isclass(function):
        raise UsageError(
            f"reward {spec.function!r}: {name!r} in {path} is not a plain function",
            remedy="define it as `def f(prompts, completions, **columns)` and return one number per completion",
        )
    _check_signature(function, spec, path)
    return partial(function, **spec.options)


class _FromSource(SourceFileLoader):
    """Reads the file itself: Python takes bytecode that it kept for the file of an edit within the same second."""

    def path_stats(self, path: str) -> Mapping[str, Any]:
        """Raise OSError: without the time of the file's last write no bytecode is read or kept."""
        raise OSError


def _imported(path: Path, function: str) -> ModuleType:
    """Return the module in a file, under a name that shadows no other."""
    name = f"statllama_local_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    found = importlib.util.spec_from_file_location(name, path, loader=_FromSource(name, str(path)))
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # dataclasses look themselves up there
    try:
        found.loader.exec_module(module)
    except Exception as error:  # a user's file may raise whatever it likes
        del sys.modules[name]
        raise UsageError(
            f"reward {function!r}: {path} cannot be imported: {type(error).__name__}: {error}",
            remedy="fix it until `python FILE` runs; it can import installed packages, but no file beside it",
        ) from error
    return module


def _check_signature(function: Callable[..., Any], spec: Spec, path: Path) -> None:
    try:
        inspect.signature(function).bind(prompts=[], completions=[], completion_ids=[], **_any_columns(function, spec))
    except TypeError as error:
        raise UsageError(
            f"reward {spec.function!r} in {path} cannot be called as TRL calls rewards: {error}",
            remedy="define it as `def f(prompts, completions, **columns)`; `options` are keyword arguments of it",
        ) from None


def _any_columns(function: Callable[..., Any], spec: Spec) -> dict[str, Any]:
    """Return the options, and something for each argument that a column of the data may fill."""
    given = {"prompts", "completions", "completion_ids"}
    parameters = inspect.signature(function).parameters.values()
    named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    columns: dict[str, Any] = {
        p.name: [] for p in parameters if p.kind in named and p.default is p.empty and p.name not in given
    }
    return {**columns, **spec.options}
