"""Training: schedules, optimizers, averaging, checkpoints, distribution and the one loop."""
