"""Training: recipes, the trainer, runs in folders, checkpoints and logs."""
