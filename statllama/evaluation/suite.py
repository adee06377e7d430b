"""Scores a loaded model on benchmarks with lm-evaluation-harness: the one home of lm_eval.

Importing this module loads neither torch nor lm_eval; `Suite` does. Scoring leaves no trace on training: the
random number generators, every module's training mode, config and tokenizer are put back as they were.
lm-eval's caches stay off, since they do not notice another model or an edited data file.
"""

from __future__ import annotations

import importlib.util
import logging
import random
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, cached_property, partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from statllama.config.benchmarks import FunctionRef, TaskFile
from statllama.config.evaluate import EvaluateSpec
from statllama.config.metrics import HOLDOUT, POINTS, by_likelihood, rubric_column
from statllama.data.chat import TEMPLATE_VARIABLES
from statllama.data.work import Work
from statllama.errors import EvaluationError, StatllamaError
from statllama.evaluation.answers import Answers, Progress
from statllama.evaluation.held_out import likelihood, metric_list
from statllama.evaluation.held_score import Asked, score_held, task_name
from statllama.evaluation.items import make_task
from statllama.evaluation.requests import Requests
from statllama.evaluation.rubric import share
from statllama.evaluation.scores import TaskScore, collect
from statllama.store.commits import known_to_be_there
from statllama.store.noise import hush

if TYPE_CHECKING:
    from statllama.data.holdout import Holdout
    from statllama.evaluation.language_model import Budget, LanguageModel

hush()
# Raised when this module would score the same model on the same task file differently.
PROTOCOL = 3
ASKED = ("limit", "max_length", "chat_template", "fewshot_as_turns", "seed")  # fields that bear on what is asked


def protocol_key(
    spec: EvaluateSpec, fingerprints: Mapping[str, str], stack: Sequence[object], base: object, compute: str
) -> dict[str, Any]:
    """Return everything that can change the scores of `fingerprints` ({task name: task_fingerprint}), to be hashed.

    `stack`: the adapters' keys in order (none: the bare base; see `StackRef.identity`), `base` the JSON-able identity
    of the base model with its quantization, tokenizer and chat template, `compute` its compute type (see
    `precision.compute_type`). `micro_tokens` is left out: it changes rounding, not what is asked. So is `data`: the
    fingerprints hold the content of its files. What is done with the scores (`gates`) has no place here.
    """
    return {
        "protocol": PROTOCOL,
        "lm_eval": version("lm_eval"),
        "transformers": version("transformers"),
        "compute": compute,
        "date_string": TEMPLATE_VARIABLES["date_string"],
        "base": base,
        "stack": list(stack),
        "tasks": dict(sorted(fingerprints.items())),
        **spec.model_dump(mode="json", include=set(ASKED)),
    }


def score(
    model: Any,
    tokenizer: Any,
    tasks: Iterable[TaskFile],
    spec: EvaluateSpec,
    on_progress: Progress | None = None,
) -> tuple[TaskScore, ...]:
    """Score a loaded Transformers or PEFT causal model on `tasks`, one after the other, in this process.

    `on_progress(done, total, task)` is called with 0 at the start of a task and after each request (an item
    of multiple choice makes one for each choice). Raises EvaluationError: see `Suite`.
    """
    suite = Suite(tasks, spec)
    return tuple(suite.score(name, model, tokenizer, on_progress=on_progress) for name in suite.tasks)


@dataclass(frozen=True)
class Spent:
    """What a score took."""

    read: Work
    asked: int
    """Requests that were answered, of `requests` different ones: the others' answers were known from a scoring that was
    killed."""
    requests: int

    @property
    def whole(self) -> bool:
        """Return whether all were answered at once, so that the time is that of all."""
        return self.asked == self.requests


class Suite:
    """Benchmarks that are loaded once and then asked of any number of models."""

    def __init__(
        self,
        tasks: Iterable[TaskFile],
        spec: EvaluateSpec,
        on_note: Callable[[str], None] = lambda text: None,
        holdouts: Callable[[], Sequence[Holdout]] = tuple,
    ) -> None:
        """Take `on_note`, called with a sentence when memory runs out and scoring goes on in smaller passes.

        `holdouts`: returns the rows that are kept out of training, which are read when they are first scored.
        """
        self._holdouts = holdouts
        self.tasks, self.spec = {task.name: task for task in tasks}, spec
        for task in self.tasks.values():
            _check_data(task, spec)
        self._loaded: dict[str, Any] = {}
        self._requests: dict[str, Requests] = {}
        self._budget: Budget | None = None  # shrinks for all models when memory runs out
        self._held_tokens: int | None = None  # likewise
        self._on_note = on_note
        self.spent = Spent(Work(), 0, 0)
        """What the last score took."""

    @cached_property
    def _cache(self) -> tempfile.TemporaryDirectory[str]:
        """Return a folder for `datasets` of local files: its shared cache is keyed on path and time, so it can miss an
        edit.
        """
        return tempfile.TemporaryDirectory(prefix="statllama-eval-", ignore_cleanup_errors=True)

    def load(self, name: str) -> Any:
        """Return lm-eval's task object, its questions read and checked: at the first call.

        EvaluationError for a benchmark whose data cannot be had, or an item without a valid answer.
        """
        if name.startswith(HOLDOUT):
            return self.holdout(name)
        if name not in self._loaded:
            task = self.tasks[name]
            hub = nullcontext("") if task.is_local else known_to_be_there(str(task.config["dataset_path"]))
            with _same_draws(), _quiet(), hub as unreached, _explained(task, unreached):
                self._loaded[name] = _load(task, self.spec, self._cache.name)
        return self._loaded[name]

    def holdout(self, name: str) -> Holdout:
        """Return the hold-out that is scored under this name."""
        return next(held for held in self._holdouts() if task_name(held.name) == name)

    def score(
        self,
        name: str,
        model: Any,
        tokenizer: Any,
        answers: Answers | None = None,
        on_progress: Progress | None = None,
    ) -> TaskScore:
        """Return the score of a loaded model on one of the benchmarks or hold-outs. `answers`: where answers are kept,
        and come from.

        Raises EvaluationError: no chat template, a prompt without exactly one BOS, a template that names no column,
        memory that ran out, and what `load` raises.
        """
        if name.startswith(HOLDOUT):
            return self._score_held(self.holdout(name), model, tokenizer, answers or Answers(), on_progress)
        from statllama.evaluation.language_model import LanguageModel

        task, _ = self.tasks[name], self.load(name)
        started = time.perf_counter()
        with unchanged(model, tokenizer), _quiet(), _explained(task):
            lm, requests, said = self._ask(LanguageModel, name, model, tokenizer, answers or Answers(), on_progress)
            judged = requests.judge(said)
            self.spent = Spent(lm.read, lm.asked, lm.distinct)
            return collect(task, requests, judged, len(lm.cut), len(lm.unfinished), time.perf_counter() - started)

    def _score_held(
        self, held: Holdout, model: Any, tokenizer: Any, answers: Answers, on_progress: Progress | None
    ) -> TaskScore:
        read, asked = Work(), 0

        def count(work: Work) -> None:
            nonlocal read
            read += work

        def shrink(tokens: int) -> None:
            self._held_tokens = tokens
            self._on_note(
                f"{task_name(held.name)}: out of memory: scoring goes on with passes of at most {tokens:,} tokens"
            )

        def tell(done: int, total: int, task: str) -> None:
            nonlocal asked
            asked = asked or total - done
            if on_progress is not None:
                on_progress(done, total, task)

        budget = self._held_tokens or self.spec.micro_tokens
        with unchanged(model, tokenizer):
            score = score_held(held, model, tokenizer, answers, Asked(budget, count, shrink, tell))
        self.spent = Spent(read, asked, score.n)
        return score

    def count(self, name: str, model: Any, tokenizer: Any, kind: type[LanguageModel]) -> Spent:
        """Return what it takes to ask a benchmark of a model that `kind` answers for. See `cost.py`."""
        self.load(name)
        with unchanged(model, tokenizer), _quiet(), _explained(self.tasks[name]):
            lm, _, _ = self._ask(kind, name, model, tokenizer, Answers(), None)
            return Spent(lm.read, lm.asked, lm.distinct)

    def _ask(
        self,
        kind: type[LanguageModel],
        name: str,
        model: Any,
        tokenizer: Any,
        answers: Answers,
        on_progress: Progress | None,
    ) -> tuple[LanguageModel, Requests, list[Any]]:
        """Return what answered, what was asked, and the answers."""
        from statllama.evaluation.language_model import Budget

        spec = self.spec
        if spec.chat_template and not getattr(tokenizer, "chat_template", None):
            raise EvaluationError(
                "the tokenizer has no chat template to put the benchmarks' prompts through",
                remedy="set `evaluate.chat_template: false`, or give the model a `chat_template`",
            )
        self._budget = self._budget or Budget(spec.micro_tokens, self._on_note)
        lm = kind(model, tokenizer, name, spec, answers, self._budget, on_progress)
        requests = self._requests.get(name)
        if requests is None or not requests.are_for(tokenizer):
            requests = Requests.build(self.load(name), tokenizer, spec, lm.apply_chat_template)
            self._requests[name] = requests
        return lm, requests, lm.answer(requests)


def _check_data(task: TaskFile, spec: EvaluateSpec) -> None:
    """Refuse to score a task on its own data when the user named a file instead."""
    if task.name in spec.data and not task.replaced:
        raise EvaluationError(
            f"{task.name}: `evaluate.data.{task.name}` names a file, but the task was read without it",
            remedy="pass `data` and `root` to `find_tasks`",
        )


@contextmanager
def _explained(task: TaskFile, unreached: str = "") -> Iterator[None]:
    """Put errors of the libraries below into the user's words. `unreached`: why the hub is, if it is."""
    try:
        yield
    except StatllamaError:
        raise
    except Exception as error:
        elsewhere = None
        if not task.is_local and (unreached or isinstance(error, OSError)):
            elsewhere = (
                f"fetch it where there is a network: `statllama fetch RECIPE`; or give a local file: "
                f"`evaluate: {{data: {{{task.name}: FILE}}}}`"
            )
        if unreached:
            what = (
                f"benchmark {task.name}: {unreached}, and the local cache does not have {task.config['dataset_path']}"
            )
        else:
            what = f"{task.path}: {type(error).__name__}: {error}"
        raise EvaluationError(what, remedy=elsewhere) from error


def _load(task: TaskFile, spec: EvaluateSpec, cache: str) -> Any:
    """Return lm-eval's task object. `cache`: folder for local files as `datasets` keeps them."""
    from lm_eval.api.task import ConfigurableTask

    config = _resolve(dict(task.config))
    if column := rubric_column(config):
        config["process_results"] = partial(_points, column)
        config["metric_list"] = [{"metric": POINTS, "aggregation": "mean", "higher_is_better": True}]
    if by_likelihood(config):
        config |= {"process_results": partial(likelihood, config["doc_to_target"]), "metric_list": metric_list()}
    if task.is_local:
        config["dataset_kwargs"]["cache_dir"] = cache
    loaded = make_task(task, ConfigurableTask, config, spec.limit)
    if loaded.get_config("num_fewshot") is None:
        loaded.set_config(key="num_fewshot", value=0)
    return loaded


def _points(column: str, doc: Mapping[str, Any], replies: Sequence[str]) -> dict[str, float]:
    """Return an item's metric: points earned over points possible by the rubric in a column."""
    return {POINTS: share(doc[column], replies[0])}


def _resolve(node: Any) -> Any:
    """Return a deep copy of a task's config with each FunctionRef replaced by the function."""
    if isinstance(node, FunctionRef):
        found = importlib.util.spec_from_file_location(f"statllama_eval_{node.file.parent.name}", node.file)
        assert found is not None and found.loader is not None
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
        return getattr(module, node.name)
    if isinstance(node, dict):
        return {key: _resolve(value) for key, value in node.items()}
    return [_resolve(value) for value in node] if isinstance(node, list) else node


@contextmanager
def _same_draws() -> Iterator[None]:
    """Restore the random generators afterwards: within, numbers may be drawn and seeds set."""
    import numpy
    import torch

    states = random.getstate(), numpy.random.get_state()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            random.setstate(states[0])
            numpy.random.set_state(states[1])


@contextmanager
def unchanged(model: Any, tokenizer: Any) -> Iterator[None]:
    """Evaluate without gradients; afterwards everything that scoring touches is as it was."""
    import torch

    config = model.config
    modes = [(module, module.training) for module in model.modules()]
    saved = {key: getattr(tokenizer, key) for key in ("pad_token", "padding_side")}
    use_cache = getattr(config, "use_cache", None)
    with _same_draws(), torch.no_grad():
        try:
            model.eval()
            config.use_cache = True  # training switches it off, and generation without it is slow
            yield
        finally:
            config.use_cache = use_cache
            for module, training in modes:
                module.training = training
            for key, value in saved.items():
                setattr(tokenizer, key, value)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence bars, logs and warnings of the libraries below, and keep templates of task files from Python.

    Truncated prompts, which lm-eval would only log, are counted in TaskScore.truncated.
    """
    import datasets
    import lm_eval.api.task
    import lm_eval.utils
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from transformers.utils import logging as transformers_logging

    # `datasets` logs what it then raises.
    loggers = {logging.getLogger("lm_eval"): logging.ERROR, logging.getLogger("datasets"): logging.CRITICAL}
    verbosity = transformers_logging.get_verbosity()
    bars = datasets.utils.are_progress_bars_disabled()
    harness = lm_eval.utils.env
    sandbox = ImmutableSandboxedEnvironment(undefined=harness.undefined, keep_trailing_newline=True)
    sandbox.filters.update(harness.filters)
    # lm-eval compiles a template anew for every item, which takes longer than to score one with a small model.
    sandbox.from_string = cache(sandbox.from_string)  # type: ignore[method-assign, assignment]
    with ExitStack() as stack:
        for module, name, value in (
            (lm_eval.api.task, "tqdm", lambda items, **_: items),
            (lm_eval.utils, "env", sandbox),
        ):
            stack.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, value)
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        for logger, level in loggers.items():
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(level)
        stack.callback(transformers_logging.set_verbosity, verbosity)
        if not bars:
            stack.callback(datasets.enable_progress_bars)
        transformers_logging.set_verbosity(logging.ERROR)
        datasets.disable_progress_bars()
        yield
