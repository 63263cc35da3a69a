"""Image classification with one or several labels per image."""
