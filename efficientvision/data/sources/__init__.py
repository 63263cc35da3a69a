"""Folders of labelled photos in the layouts of other tools, converted to records when needed."""
