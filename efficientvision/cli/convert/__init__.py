"""Converters of photos and labels to records: their flags, and the work that these ask for."""
