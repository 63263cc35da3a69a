"""Image classification: its losses."""
