"""The arguments of Transformers' trainers: every one that bears on the result, so that no default leaks in."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch

from statllama.train.optimizers import NAMES
from statllama.train.steps import COSINE_LEAST, count_steps, decay_steps
from statllama.train.trackers import PROJECT

if TYPE_CHECKING:
    from statllama.train.job import Job

# Arguments of Transformers that are the same for every stage: none is left to a library's default.
FIXED: dict[str, Any] = {
    "average_tokens_across_devices": False,
    "optim_args": None,
    "optim_target_modules": None,
    "label_smoothing_factor": 0.0,
    "neftune_noise_alpha": None,
    "tf32": None,
    "gradient_checkpointing_kwargs": {"use_reentrant": False},
    "torch_compile": False,
    "use_liger_kernel": False,
    "use_cache": False,
    "activation_offloading": False,
    "auto_find_batch_size": False,
    "torch_empty_cache_steps": None,
    "full_determinism": False,
    "train_sampling_strategy": "random",
    "accelerator_config": {
        "split_batches": False,
        "dispatch_batches": False,
        "even_batches": True,
        "use_seedable_sampler": True,
    },
    "dataloader_drop_last": False,
    "dataloader_num_workers": 0,
    "remove_unused_columns": False,
    "ignore_data_skip": False,
    "logging_strategy": "steps",
    "logging_steps": 1,
    "logging_first_step": False,
    "logging_nan_inf_filter": False,
    "disable_tqdm": True,
    "eval_strategy": "no",
    "save_strategy": "steps",
    "save_total_limit": None,
    "save_only_model": False,
    "push_to_hub": False,
    "load_best_model_at_end": False,
}


def arguments(job: Job, checkpointing: bool) -> dict[str, Any]:
    """Return every training argument of Transformers that bears on the result, set explicitly.

    `checkpointing`: whether activations are recomputed (`activations.recomputes`). Transformers gets the effective
    batch as one batch: `step.StepTrainer` splits it into forward passes.
    """
    train, cuda = job.spec.train, torch.cuda.is_available()
    return {
        **deepcopy(FIXED),
        "output_dir": str(job.checkpoints if job.ranks.first else job.folder),  # is made; only rank 0 writes there
        "run_name": job.run_name,
        "num_train_epochs": float(train.epochs or 1.0),
        "max_steps": train.steps or -1,
        "learning_rate": train.learning_rate,
        **_schedule(job),
        "warmup_steps": train.warmup if train.warmup < 1 else int(train.warmup),
        "per_device_train_batch_size": train.batch_size,
        "gradient_accumulation_steps": 1,
        "weight_decay": train.weight_decay,
        "max_grad_norm": train.max_grad_norm,
        "optim": NAMES.get(train.optimizer, train.optimizer),
        "adam_beta1": train.adam_betas[0],
        "adam_beta2": train.adam_betas[1],
        "adam_epsilon": train.adam_epsilon,
        "bf16": job.base.dtype is torch.bfloat16,
        "fp16": job.base.dtype is torch.float16,
        "gradient_checkpointing": checkpointing,
        "seed": train.seed,
        "data_seed": train.seed,
        "dataloader_pin_memory": cuda,
        "use_cpu": not cuda,
        "report_to": list(job.report_to) or "none",
        "project": PROJECT,
        "save_steps": train.checkpoint_every,
    }


def _schedule(job: Job) -> dict[str, Any]:
    """Return the schedule's name in Transformers and what it takes besides warm-up; its rates: `TrainSpec.schedule`."""
    train = job.spec.train
    name: str = train.schedule
    settings: dict[str, Any] | None = None
    if name == "constant":
        name = "constant_with_warmup" if train.warmup else "constant"
    elif name == "cosine_with_min":
        name, settings = (
            "cosine_with_min_lr",
            {"min_lr_rate": COSINE_LEAST if train.min_rate is None else train.min_rate},
        )
    elif name == "wsd":
        steps = count_steps(job.spec.rows_per_epoch(len(job.dataset)), train)
        name = "warmup_stable_decay"
        settings = {"num_decay_steps": decay_steps(train, steps), "decay_type": "1-sqrt", "warmup_type": "linear"}
        settings["min_lr_ratio"] = train.min_rate or 0.0
    return {"lr_scheduler_type": name, "lr_scheduler_kwargs": settings}
