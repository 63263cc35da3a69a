"""Checks data before the first training step; the findings are rows of one table."""
