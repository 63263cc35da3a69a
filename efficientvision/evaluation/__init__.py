"""Analysis of predictions: matching, precision-recall curves, confusion matrices."""
