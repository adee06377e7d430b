"""What is common to all stages that train: the job, the trainer, its arguments and checkpoints."""
