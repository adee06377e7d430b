"""Scores a loaded model on benchmarks with lm-evaluation-harness: the one home of lm_eval.

Importing this module loads neither torch nor lm_eval; `score` does. Scoring leaves no trace on training: the
random number generators, every module's training mode, config and tokenizer are put back as they were.
Nothing is cached, since lm-eval's caches do not notice another model or an edited data file.
"""

from __future__ import annotations

import importlib.util
import logging
import random
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from typing import Any

from statllama.benchmarks import BenchmarkError, FunctionRef, TaskFile, find_tasks, task_fingerprint
from statllama.data.chat import TEMPLATE_VARIABLES
from statllama.errors import EvaluationError, StatllamaError
from statllama.scores import TaskScore, collect
from statllama.specs import EvaluateSpec

__all__ = ["TaskFile", "TaskScore", "find_tasks", "protocol_key", "score", "task_fingerprint"]

# Raised when this module would score the same model on the same task file differently.
PROTOCOL = 1

Progress = Callable[[int, int, str], None]


def protocol_key(
    spec: EvaluateSpec, fingerprints: Mapping[str, str], stack_key: str | None, base: object
) -> dict[str, Any]:
    """Everything that can change the scores of `fingerprints` ({task name: task_fingerprint}), to be hashed.

    `stack_key` is the key of the adapter stack (None: the bare base), `base` the JSON-able identity of the
    base model with its quantization, compute type, tokenizer and chat template. `batch_size` is left out: it
    changes rounding, not what is asked. So is `data`: the fingerprints hold the content of its files.
    """
    return {
        "protocol": PROTOCOL,
        "lm_eval": version("lm_eval"),
        "base": base,
        "stack": stack_key,
        "tasks": dict(sorted(fingerprints.items())),
        **spec.model_dump(exclude={"tasks", "batch_size", "data"}),
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
    of multiple choice makes one for each choice). Raises EvaluationError: no chat template, a prompt without
    exactly one BOS, an item without a valid answer, a template that names no column, memory that ran out.
    """
    if spec.chat_template and not getattr(tokenizer, "chat_template", None):
        raise EvaluationError(
            "the tokenizer has no chat template to put the benchmarks' prompts through",
            remedy="set `evaluate.chat_template: false`, or give the model a `chat_template`",
        )
    folder = tempfile.TemporaryDirectory(prefix="statllama-eval-", ignore_cleanup_errors=True)
    with _unchanged(model, tokenizer), _quiet(), folder as cache:
        return tuple(_score_task(model, tokenizer, task, spec, cache, on_progress) for task in tasks)


def _check_data(task: TaskFile, spec: EvaluateSpec) -> None:
    """A task must not be scored on its own data when a file was asked for in their place."""
    if task.name in spec.data and not task.replaced:
        raise EvaluationError(
            f"{task.name}: `evaluate.data.{task.name}` names a file, but the task was read without it",
            remedy="pass `data` and `root` to `find_tasks`",
        )


def _score_task(
    model: Any, tokenizer: Any, task: TaskFile, spec: EvaluateSpec, cache: str, on_progress: Progress | None
) -> TaskScore:
    import numpy
    import torch
    from lm_eval.evaluator import evaluate

    _check_data(task, spec)
    started = time.perf_counter()
    random.seed(spec.seed)
    numpy.random.seed(spec.seed % 2**32)
    torch.manual_seed(spec.seed)
    try:
        loaded = _load(task, spec, cache)
        lm = _language_model(model, tokenizer, task.name, spec, on_progress)
        results = evaluate(
            lm=lm,
            task_dict={"tasks": {task.name: loaded}, "groups": {}},
            limit=spec.limit,
            bootstrap_iters=0,  # a mean needs none: see `scores.standard_error`
            log_samples=True,
            apply_chat_template=spec.chat_template,
            fewshot_as_multiturn=spec.chat_template and spec.fewshot_as_turns,
        )
        return collect(task, loaded, results, len(lm.cut), time.perf_counter() - started)
    except StatllamaError:
        raise
    except torch.OutOfMemoryError as error:
        raise EvaluationError(
            f"{task.name}: out of memory with {spec.batch_size} sequences per forward pass",
            remedy="lower `evaluate.batch_size`: recorded scores stay valid",
        ) from error
    except Exception as error:
        unreached = isinstance(error, OSError) and not task.is_local
        raise EvaluationError(
            f"{task.path}: {type(error).__name__}: {error}",
            remedy=f"without the hub, give a local file: `evaluate: {{data: {{{task.name}: FILE}}}}`"
            if unreached
            else None,
        ) from error


def _load(task: TaskFile, spec: EvaluateSpec, cache: str) -> Any:
    """lm-eval's task object. Local files go through a fresh `datasets` cache: the shared one is keyed on path
    and modification time, so it can miss an edit."""
    from lm_eval.tasks import TaskManager

    config = _resolve(dict(task.config))
    if task.is_local:
        config["dataset_kwargs"]["cache_dir"] = cache
    loaded = TaskManager(include_defaults=False).load([config])["tasks"][task.name]
    if loaded.get_config("num_fewshot") is None:
        loaded.set_config(key="num_fewshot", value=0)
    loaded.set_fewshot_seed(seed=spec.seed)
    if loaded.OUTPUT_TYPE == "multiple_choice" and not loaded.multiple_input:
        _check_answers(task, loaded, spec.limit)
    return loaded


def _resolve(node: Any) -> Any:
    """A deep copy of a task's config with each FunctionRef replaced by the function."""
    if isinstance(node, FunctionRef):
        found = importlib.util.spec_from_file_location(f"statllama_eval_{node.file.parent.name}", node.file)
        assert found is not None and found.loader is not None
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
        return getattr(module, node.name)
    if isinstance(node, dict):
        return {key: _resolve(value) for key, value in node.items()}
    return [_resolve(value) for value in node] if isinstance(node, list) else node


def _check_answers(task: TaskFile, loaded: Any, limit: int | None) -> None:
    """lm-eval scores an item without a valid answer as wrong, for every model: refuse it instead."""
    for row, (_, item) in enumerate(loaded.doc_iterator(limit=limit), start=1):
        choices, target = loaded.doc_to_choice(item), loaded.doc_to_target(item)
        if not isinstance(choices, list) or not all(isinstance(c, str) and c for c in choices):
            raise BenchmarkError(f"{task.path}, item {row}: the choices are no list of texts: {choices!r}")
        for answer in target if isinstance(target, list) else [target]:
            if answer not in (choices if isinstance(answer, str) else range(len(choices))):
                raise BenchmarkError(
                    f"{task.path}, item {row}: the answer {answer!r} is none of the {len(choices)} choices",
                    remedy="`doc_to_target` must give an index from 0 or the text of a choice",
                )


def _language_model(model: Any, tokenizer: Any, task: str, spec: EvaluateSpec, on_progress: Progress | None) -> Any:
    """lm-eval's view of the model. `cut` collects the indices of items whose prompt does not fit."""
    import torch
    from lm_eval.models.huggingface import HFLM
    from lm_eval.models.utils import normalize_gen_kwargs

    class LanguageModel(HFLM):  # type: ignore[misc, valid-type, unused-ignore]
        def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> Any:
            self.cache_hook = _Ticker(len(requests), task, on_progress)
            self.doc_ids = [request.doc_id for request in requests]
            return super().loglikelihood(requests, disable_tqdm=True)

        def _loglikelihood_tokens(self, requests: list[Any], **kwargs: Any) -> Any:
            for doc_id, (_, context, continuation) in zip(self.doc_ids, requests, strict=True):
                _check_bos(self.tokenizer, context, task)
                if len(context) + len(continuation) > self.max_length + 1:
                    self.cut.add(doc_id)
            self.longest = max(len(continuation) for _, _, continuation in requests)
            return super()._loglikelihood_tokens(requests, **kwargs)

        def _model_call(self, inps: torch.Tensor, attn_mask: Any = None, labels: Any = None) -> torch.Tensor:
            # inps: [batch, width], padded on the right with 0. Only continuations are scored; logits of all
            # positions would take batch x width x vocabulary floats: keep the last, those that can be needed.
            width = inps.shape[1]
            ends = ((inps != 0) * torch.arange(1, width + 1, device=inps.device)).amax(1)
            keep = min(width, width - int(ends.min()) + self.longest)
            logits: torch.Tensor = self.model(inps, use_cache=False, logits_to_keep=keep).logits
            return logits  # [batch, keep, vocabulary]

        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> Any:
            self.cache_hook = _Ticker(len(requests), task, on_progress)
            for request in requests:
                reply = normalize_gen_kwargs(request.args[1], self.max_gen_toks)["max_gen_toks"]
                if len(self.tok_encode(request.args[0])) > self.max_length - reply:
                    self.cut.add(request.doc_id)
            _check_bos(self.tokenizer, self.tok_batch_encode([requests[0].args[0]])[0][0].tolist(), task)
            return super().generate_until(requests, disable_tqdm=True)

    device = model.device.type
    longest = getattr(model.config, "max_position_embeddings", None) or spec.max_length
    lm = LanguageModel(
        pretrained=model,
        tokenizer=tokenizer,
        batch_size=spec.batch_size,
        max_length=min(spec.max_length, longest),
        softmax_dtype="float32",
        # HFLM switches a surrounding autocast off unless it is told of it.
        mixed_precision_dtype=torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None,
        chat_template_args=dict(TEMPLATE_VARIABLES),
    )
    lm.cut = set()
    return lm


class _Ticker:
    """lm-eval tells its cache of each answer as it comes: here that is what drives the progress."""

    def __init__(self, total: int, task: str, on_progress: Progress | None) -> None:
        self.done, self.total, self.task, self.on_progress = -1, total, task, on_progress
        self.add_partial()

    def add_partial(self, *_: Any) -> None:
        self.done += 1
        if self.on_progress is not None:
            self.on_progress(self.done, self.total, self.task)


def _check_bos(tokenizer: Any, ids: list[int], task: str) -> None:
    """`ids` (one prompt) must start with exactly one BOS, or with none if the tokenizer never adds one."""
    bos = tokenizer.bos_token_id
    if bos is None:
        return
    count = next((i for i, token in enumerate(ids) if token != bos), len(ids))
    if count > 1 or (count == 0 and tokenizer("a").input_ids[:1] == [bos]):
        raise EvaluationError(
            f"{task}: a prompt starts with {count} BOS tokens ({tokenizer.bos_token}) instead of one",
            remedy="let either the chat template or the tokenizer write the BOS, not both",
        )


@contextmanager
def _unchanged(model: Any, tokenizer: Any) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards all that scoring touches is as it was."""
    import numpy
    import torch

    config = model.config
    modes = [(module, module.training) for module in model.modules()]
    states = random.getstate(), numpy.random.get_state()
    saved = {key: getattr(tokenizer, key) for key in ("pad_token", "padding_side")}
    use_cache = getattr(config, "use_cache", None)
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices), torch.no_grad():
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
            random.setstate(states[0])
            numpy.random.set_state(states[1])


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars, logs or warnings from the libraries below, and templates of task files cannot reach Python.

    Truncated prompts, which lm-eval would only log, are counted in TaskScore.truncated.
    """
    import datasets
    import lm_eval.api.task
    import lm_eval.utils
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from transformers.utils import logging as transformers_logging

    logger = logging.getLogger("lm_eval")
    level, verbosity = logger.level, transformers_logging.get_verbosity()
    bars = datasets.utils.are_progress_bars_disabled()
    harness = lm_eval.utils.env
    sandbox = ImmutableSandboxedEnvironment(undefined=harness.undefined, keep_trailing_newline=True)
    sandbox.filters.update(harness.filters)
    with ExitStack() as stack:
        for module, name, value in (
            (lm_eval.api.task, "tqdm", lambda items, **_: items),
            (lm_eval.utils, "env", sandbox),
        ):
            stack.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, value)
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.callback(logger.setLevel, level)
        stack.callback(transformers_logging.set_verbosity, verbosity)
        if not bars:
            stack.callback(datasets.enable_progress_bars)
        logger.setLevel(logging.ERROR)
        transformers_logging.set_verbosity(logging.ERROR)
        datasets.disable_progress_bars()
        yield
