"""Checks of data before the first training step, as rows of one table."""
