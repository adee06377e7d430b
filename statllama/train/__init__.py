"""The common parts of all stages that train: job, trainer, arguments, checkpoints."""
