"""The trainer that `cpt` and `sft` share: TRL's SFTTrainer on rows that are tokenised, masked and packed already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from statllama.data.fit import IGNORED
from statllama.train.job import Job
from statllama.train.step import Pass, Row, StepRows, joined_passes, row_passes
from statllama.train.trainer import StageTrainer


def make_trainer(job: Job, model: Any, arguments: dict[str, Any]) -> Any:
    """Return TRL's SFTTrainer (Unsloth's rewrite of it where Unsloth is loaded) with every field of its config set."""
    import trl

    from statllama.data.collate import RowCollator
    from statllama.model.packed_attention import joins_rows

    joined = job.base.backend == "unsloth" and joins_rows(job.base.model)
    collate = RowCollator(job.base.tokenizer.pad_token_id, job.base.backend, joined)
    split_step = joined_passes if joined else row_passes

    class Trainer(StageTrainer, trl.SFTTrainer):  # type: ignore[misc]
        def passes(self, step: Sequence[Row]) -> list[Pass]:
            return split_step(step, self.lengths(step), self.micro_tokens, collate)

        def lengths(self, step: Sequence[Row]) -> list[int]:
            return [len(row["input_ids"]) for row in step]

        def supervised(self, passes: Sequence[Pass]) -> Any:
            return sum(_with_loss(one) for one in passes)

        def counts(self, one: Pass) -> dict[str, float]:
            return {"items": one.items, "tokens": float(_with_loss(one))}

    config = trl.SFTConfig(
        **arguments,
        chat_template_path=None,
        eos_token=None,
        pad_token=None,
        router_aux_loss_coef=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        truncation_mode="keep_start",
        shuffle_dataset=False,
        packing=False,
        padding_free=False,
        eval_packing=False,
        pad_to_multiple_of=None,
        completion_only_loss=False,
        assistant_only_loss=False,
        # The same loss without the logits of a whole pass (see `_chunks`); Unsloth has its own way.
        loss_type="chunked_nll" if job.base.backend == "transformers" else "nll",
        trust_remote_code=False,
    )
    trainer = Trainer(
        model=model,
        args=config,
        train_dataset=job.dataset,
        processing_class=job.base.tokenizer,
        data_collator=StepRows,
    )
    trainer.job = job
    return trainer


def _with_loss(one: Pass) -> Any:
    """Count the tokens of a pass that carry loss, ()."""
    return one.batch["labels"][:, 1:].ne(IGNORED).sum()
