"""Semantic segmentation: predicts the class of every pixel."""
