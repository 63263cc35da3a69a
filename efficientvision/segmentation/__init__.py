"""Semantic segmentation: its losses, names, colours and tiles."""
