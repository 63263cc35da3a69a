"""Checks of the data before a long training begins; each task brings its own."""
