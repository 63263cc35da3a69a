"""Runs: set-up, training, evaluation and export, called from Python or by the cli."""
