"""The trainer that `cpt` and `sft` share: TRL's SFTTrainer on rows that are tokenised, masked and packed already."""

from __future__ import annotations

from typing import Any

from statllama.train.job import Job
from statllama.train.trainer import StageTrainer


def make_trainer(job: Job, model: Any, arguments: dict[str, Any]) -> Any:
    """Return TRL's SFTTrainer (Unsloth's rewrite of it where Unsloth is loaded) with every field of its config set."""
    import trl

    from statllama.data.collate import RowCollator

    class Trainer(StageTrainer, trl.SFTTrainer):  # type: ignore[misc]
        pass

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
        loss_type="nll",
        trust_remote_code=False,
    )
    trainer = Trainer(
        model=model,
        args=config,
        train_dataset=job.dataset,
        processing_class=job.base.tokenizer,
        data_collator=RowCollator(job.base.tokenizer.pad_token_id, job.base.backend),
    )
    trainer.job = job
    return trainer
