"""Diagrams of the feature fusions and of a detector, drawn from what networks are built from."""
