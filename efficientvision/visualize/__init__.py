"""Draws predictions on pictures."""
