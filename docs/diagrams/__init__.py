"""Diagrams of the feature fusions and of a detector, drawn from the networks' own graphs."""
