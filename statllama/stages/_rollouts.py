"""The work of `grpo` stages around TRL's GRPOTrainer: prompts, exact resuming, checks of the first batch, notes.

A generated batch may serve several optimizer steps (`iterations`); a checkpoint between them holds it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import Trainer

from statllama.data.budget import deal, out_of_memory, split
from statllama.data.checks import check_completions, end_tokens
from statllama.data.lengths import lengths
from statllama.data.work import Work
from statllama.errors import TrainingError
from statllama.evaluation.sampling import Drawn, drawing, uniforms
from statllama.model import stack
from statllama.stages._completion_checks import check_completions_reference, check_first_kl
from statllama.stages._completions import of_rows, stretched
from statllama.stages._prompts import PromptSampler
from statllama.stages._reference import require_parents
from statllama.stages._truncated import CutPrompts, that_count, zero_gradients
from statllama.stages._unvaried import SAME, why_unvaried
from statllama.train.step import Pass, free_memory
from statllama.train.trainer import StageTrainer

BUFFER = "rollouts.safetensors"  # in a checkpoint: the generated batch, when steps on it are left


class RolloutTrainer(StageTrainer):
    """Mixed into TRL's GRPOTrainer."""

    shown = (
        *("rewards/", "drift", "task_score", "holdout_", "reward", "kl", "unvaried"),
        *("completions/mean_length", "completions/clipped_ratio"),
    )
    _seen: set[range] | None = None
    """What the stack showed while the first completions were generated and their log-probabilities computed."""
    _read_reference = True
    """Whether this rank had a part in the log-probabilities of the first completions."""
    _batches = 0
    _unvaried = 0
    _note_at = 1
    _counting = 1.0
    """Share of the step's completions that carry loss: below 1 where cut ones are masked."""
    _cut: CutPrompts
    _asked: list[list[int]]
    generated_tokens: int
    """Tokens of prompts and completions that are generated at once at most. Halved when memory runs out meanwhile."""

    @property
    def _spec(self) -> Any:
        """Return `stages.grpo.Spec`."""
        return self.job.spec

    def settle_generation(self) -> None:
        """Make completions end at the template's end-of-turn token too, whatever the base's settings name, and leave
        the draws to `evaluation.sampling`.
        """
        trainer: Any = self
        stops = sorted({*trainer.eos_token_ids, *end_tokens(self.job.base.tokenizer)})
        trainer.eos_token_ids = stops
        greedy = {"do_sample": False, **dict.fromkeys(("temperature", "top_p", "top_k", "min_p"))}
        for name, value in {"eos_token_id": stops, **greedy}.items():
            trainer.generation_kwargs[name] = value
            setattr(trainer.generation_config, name, value)
        self.generated_tokens = self._spec.train.micro_tokens
        self._cut = CutPrompts()

    # ------------------------------------------------------------------ the step

    def step_of(self, inputs: Any) -> dict[str, Any]:
        """Return the completions that this step trains on: generated and judged now, or for an earlier step.

        TRL's tensors, (completions of the step, L) each, and numbers without a dimension.
        """
        found: dict[str, Any] = super()._prepare_inputs(inputs)  # type: ignore[misc]
        if self._spec.mask_truncated_completions:
            found, self._counting = that_count(found)
        return found

    def before_step(self, model: Any, step: Any) -> None:
        """Try the heaviest passes, if that is still to be done and there are completions to make them of."""
        if self._counting:
            super().before_step(model, step)

    def _take(self, model: Any, passes: Sequence[Pass]) -> Tensor:
        return super()._take(model, passes) if self._counting else zero_gradients(self, model)

    def passes(self, step: dict[str, Any]) -> list[Pass]:
        """Split the completions into forward passes."""
        found = []
        for group in split(self.lengths(step), self.micro_tokens):
            batch = of_rows(step, group, trim=self.job.base.backend == "transformers")
            width = batch["prompt_ids"].shape[1] + batch["completion_ids"].shape[1]
            found.append(Pass(batch, len(group), len(group) * width, len(group) * width**2))
        return found

    def lengths(self, step: dict[str, Any]) -> list[int]:
        """Return the tokens of the completions with their prompts, which are padded to the step's longest."""
        prompts, completions = step["prompt_mask"].sum(1), step["completion_mask"].sum(1)
        found: list[int] = (int(prompts.max()) + completions).tolist() if len(prompts) else []
        return found

    def part(self, step: dict[str, Any], items: Sequence[int]) -> dict[str, Any]:
        """Return some completions of a step, padded as they are."""
        return of_rows(step, items, trim=False)

    def heaviest(self, step: dict[str, Any]) -> list[Pass]:
        """Return one pass, as full as the budget allows, of the longest prompt with completions that reach their limit.

        None where the rows have a form of their own (Unsloth's): generating under the same budget comes before it.
        """
        limit = self._spec.max_completion_length
        prompt = int(lengths(self.job.dataset, self.job.data_kind).tokens.max())
        rows = min(self._spec.train.batch_size, max(1, self.micro_tokens // (prompt + limit)))
        batch = stretched(step, rows, prompt, limit)
        tokens = rows * (prompt + limit)
        return [] if batch is None else [Pass(batch, rows, tokens, tokens * (prompt + limit))]

    def counts(self, one: Pass) -> dict[str, float]:
        """Return the completions of a pass, and their tokens."""
        by = "tokens" if self._spec.importance_sampling_level == "token" else "items"  # what TRL's ratios are of
        found = {"items": one.items, "tokens": float(one.batch["completion_mask"].sum())}
        return {**found, "clip_ratio": found[by]}

    def real_tokens(self, one: Pass) -> Tensor:
        """Count the tokens of prompts and completions, ()."""
        counted: Tensor = one.batch["prompt_mask"].sum() + one.batch["completion_mask"].sum()
        return counted

    def _check_batch(self, inputs: dict[str, Any]) -> None:
        trainer: Any = self
        limit, stops = self._spec.max_completion_length, trainer.eos_token_ids
        check_completions(inputs, self.job.base.tokenizer, stops=stops, max_length=limit)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """Take a step; TRL counts steps to know when to generate. One without completions that count checks nothing."""
        checked = self.checked
        loss = super().training_step(model, inputs, num_items_in_batch)
        self.checked = self.checked if self._counting else checked
        trainer: Any = self
        trainer._step += 1
        return loss

    def pass_step(self, model: Any, batch: dict[str, Any], counted: Any) -> Tensor:
        """Run forward and backward as Transformers does: TRL's own step would count each pass."""
        loss: Tensor = Trainer.training_step(self, model, batch, counted)  # type: ignore[arg-type]
        return loss

    def _prepare_inputs(self, inputs: Any) -> Any:
        return inputs  # of a pass: on the device already

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Return the pass's part of the step's loss, after checks of the first one."""
        first = not self.checked
        trainer: Any = self
        if first and self._spec.beta:
            require_parents(trainer, self._seen if self._read_reference else None)
            check_completions_reference(trainer, model, inputs)
        loss = super().compute_loss(model, inputs, *args, **kwargs)  # type: ignore[misc]
        if first and self.fresh_start and self._spec.beta:
            check_first_kl(self._spec, trainer._metrics["train"]["kl"][-1], self.job.base.dtype)
        self.checked = True
        # `dapo` divides by the tokens of the whole step; the others are means over the pass's completions.
        return loss if self._spec.loss == "dapo" else loss * (self.share * self._counting)

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Tensor, attention_mask: Tensor, *args: Any, **kwargs: Any
    ) -> Any:
        """Return TRL's log-probabilities; of a step's completions (it then names a batch size), under the budget."""
        compute: Any = super()._get_per_token_logps_and_entropies  # type: ignore[misc]
        if not kwargs.get("batch_size"):
            return compute(model, input_ids, attention_mask, *args, **kwargs)
        kwargs["batch_size"] = rows = max(1, self.micro_tokens // input_ids.shape[1])
        length = int(args[0] if args else kwargs["logits_to_keep"])
        ranks = self._ranks
        own = slice(len(input_ids) * ranks.rank // ranks.size, len(input_ids) * (ranks.rank + 1) // ranks.size)
        self._read_reference = own.start < own.stop
        groups = input_ids[own].split(rows) if self._read_reference else ()
        for part in groups:
            self.read += Work.of_rows(len(part), part.shape[1], len(part) * length)
        parts = zip(groups, attention_mask[own].split(rows), strict=self._read_reference)
        with self.own_draws():
            found = [compute(model, *part, *args, **kwargs) for part in parts]
        if ranks.size > 1:
            found = [one for its in ranks.gather(_moved(found, "cpu")) for one in its]
            found = _moved(found, input_ids.device)
        logps, *others = zip(*found, strict=True)
        return torch.cat(logps), *(None if other[0] is None else torch.cat(other) for other in others)

    # ------------------------------------------------------------------ prompts and completions

    def _get_train_sampler(self, dataset: Any = None) -> PromptSampler:
        spec, rows = self._spec, len(self.job.dataset)
        return PromptSampler(rows, spec.prompts_per_step, spec.generations, spec.iterations, spec.train.seed)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Any:
        self._asked = [row["prompt_ids"] for row in inputs]
        columns = [{name: value for name, value in row.items() if name != "prompt_ids"} for row in inputs]
        if self.checked:
            return super()._generate_and_score_completions(columns)  # type: ignore[misc]
        with stack.watched(self.model) as self._seen:  # type: ignore[attr-defined]
            return super()._generate_and_score_completions(columns)  # type: ignore[misc]

    def _tokenize_prompts(self, prompts: Any) -> tuple[list[list[int]], None, dict[str, Any]]:
        """Return the ids of the prepared data: TRL would render the prompts anew, with another date and without our
        checks.
        """
        return self._asked, None, {}

    def _generate_single_turn(self, prompt_ids: list[list[int]], *args: Any, **kwargs: Any) -> Any:
        """Generate without dropout and gradient checkpointing, so that the samples are the policy's own and use the
        cache, in batches under the budget: a prompt counts with the longest completion, as its cache may become.
        """
        model: Any = self.model  # type: ignore[attr-defined]
        model.eval()
        limit, found = self._spec.max_completion_length, dict[int, list[int]]()
        own: Sequence[int] = range(len(prompt_ids))
        if self._ranks.size > 1:
            longest, budget = [len(ids) + limit for ids in prompt_ids], self._spec.train.micro_tokens
            own = deal(longest, budget, self._ranks.size)[self._ranks.rank]
        try:
            while waiting := [i for i in own if i not in found]:
                first, *_ = split([len(prompt_ids[i]) + limit for i in waiting], self.generated_tokens)
                rows = [waiting[i] for i in first]
                asked = [prompt_ids[i] for i in rows]
                try:
                    with drawing(model, self._drawn(rows, max(map(len, asked)))):
                        ids, _ = super()._generate_single_turn(asked, *args, **kwargs)  # type: ignore[misc]
                except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
                    if not out_of_memory(error):
                        raise
                else:
                    found |= dict(zip(rows, ids, strict=True))
                    self.read += Work.of_replies([max(map(len, ids))] * len(rows), max(map(len, asked)))
                    continue
                self._generate_fewer(len(rows), len(rows) * (max(map(len, asked)) + limit))
        finally:
            model.train()
        found = {i: ids for part in self._ranks.gather(list(found.items())) for i, ids in part}
        return [found[i] for i in range(len(prompt_ids))], None

    def _drawn(self, rows: Sequence[int], prompt: int) -> Drawn:
        spec, step = self._spec, self.state.global_step  # type: ignore[attr-defined]
        numbers = uniforms(spec.train.seed, step, rows, spec.max_completion_length)
        return Drawn(numbers, prompt, spec.temperature, spec.top_p)

    def _generate_fewer(self, rows: int, tokens: int) -> None:
        """Halve what is generated at once. TrainingError when it was a single completion."""
        free_memory()  # outside the `except`, whose traceback holds the cache
        spec = self._spec
        if rows == 1:
            raise TrainingError(
                f"stage {spec.name}: out of memory while it generates a single completion, {tokens:,} tokens with its "
                "prompt",
                remedy=f"--set stages.{spec.name}.max_completion_length={max(1, spec.max_completion_length // 2)}, or "
                "use a smaller base",
            )
        self.generated_tokens = min(tokens, self.generated_tokens) // 2
        self.job.on_note(
            f"out of memory while generating {rows} completions of {tokens:,} tokens with their prompts: from now on "
            f"at most {self.generated_tokens:,} at once; forward passes in training stay as they are"
        )

    # ------------------------------------------------------------------ what is told

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, ids: list[list[int]]) -> Tensor:
        trainer: Any = self
        judge: Any = super()._calculate_rewards  # type: ignore[misc]
        rewards: Tensor
        if self._ranks.size == 1:
            rewards = judge(inputs, prompts, completions, ids)
        else:  # by rank 0 alone: a user's own reward may be no function of the completions alone
            judged: Any = judge(inputs, prompts, completions, ids).cpu() if self._ranks.first else None
            rewards = self._ranks.broadcast(judged).to(trainer.accelerator.device)
        total = (rewards * trainer.reward_weights.to(rewards.device)).nansum(1).view(-1, self._spec.generations)
        ends = {*trainer.eos_token_ids, trainer._tokenizer.pad_token_id}
        counts = self._cut.look(self._spec, ids, ends, self.job.on_note)
        teach = total.view(-1)[counts].view(-1 if counts else 0, self._spec.generations)
        varied = bool((teach.amax(1) - teach.amin(1) > SAME).any())
        trainer._metrics["train"]["unvaried"].append(float(not varied))
        self._batches += 1
        if not varied:
            self._unvaried += 1
            if self._unvaried >= self._note_at and len(counts):  # of prompts that were all cut, `_cut` has told
                self._note_at *= 4  # told at once, and ever more rarely
                judged, asked = rewards.cpu()[counts], [ids[i] for i in counts]
                reason = why_unvaried(self._spec, trainer.reward_func_names, judged, asked, trainer.eos_token_ids)
                self.job.on_note(
                    f"stage {self._spec.name}: all {self._spec.generations} completions of each prompt got the same "
                    f"reward, so this batch teaches nothing ({self._unvaried} of {self._batches} batches): {reason}"
                )
        return rewards

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log as TRL does, without missing figures: those of a reward that judged no completion of the batch."""
        metrics = self._metrics["train"]  # type: ignore[attr-defined]
        for name in [name for name, values in metrics.items() if all(map(math.isnan, values))]:
            del metrics[name]
        metrics.pop("step_time", None)  # the same run has the same history
        super().log(logs, *args, **kwargs)

    def summary(self, history: list[dict[str, float]]) -> dict[str, float]:
        """Return the mean reward at the start and the end (a tenth of the steps each), and of the end KL, length and
        cut share.

        TrainingError when no batch taught anything: the adapter is zero.
        """
        names = {"kl": "kl", "completion_length": "completions/mean_length", "cut": "completions/clipped_ratio"}
        rewards = [entry["reward"] for entry in history if "reward" in entry]
        unvaried = [entry["unvaried"] for entry in history if "unvaried" in entry]
        if unvaried and all(unvaried):
            whole = " and reach their end" if self._spec.mask_truncated_completions else ""
            raise TrainingError(
                f"stage {self._spec.name}: in none of its {len(unvaried)} batches did a prompt's completions get "
                f"different rewards{whole}, so it learned nothing",
                remedy="the notes say why: fix the rewards, or take prompts that the model sometimes answers right",
            )
        found = {name: _tail([e[key] for e in history if key in e]) for name, key in names.items()}
        found |= {"first_reward": _tail(rewards[::-1]), "reward": _tail(rewards)}
        found |= {"unvaried_batches": _mean(unvaried)}
        return {name: value for name, value in found.items() if value is not None}

    # ------------------------------------------------------------------ checkpoints

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)  # type: ignore[misc]
        trainer: Any = self
        if self._ranks.first and trainer._step % trainer.num_iterations:
            folder = Path(trainer._get_output_dir(trial=trial)) / f"checkpoint-{trainer.state.global_step}"
            save_file(trainer._buffered_inputs[0], folder / BUFFER)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        trainer: Any = self
        folder = Path(resume_from_checkpoint)
        trainer._step = int(folder.name.rpartition("-")[2])
        if (folder / BUFFER).exists():
            trainer._buffered_inputs = [load_file(folder / BUFFER, device=str(trainer.accelerator.device))]


def _moved(found: list[Any], device: Any) -> list[Any]:
    """Return tuples of tensors and None with the tensors on another device."""
    return [tuple(None if value is None else value.to(device) for value in one) for one in found]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _tail(values: Sequence[float]) -> float | None:
    return _mean(values[-max(1, len(values) // 10) :])
