"""Published and own checkpoint files -> the variables of our models."""
