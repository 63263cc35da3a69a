"""Data sets: the record schema, class names, converters and the input pipeline."""
