"""--runmode=export: a model in several formats, each run and held against the network."""

from efficientvision.runs.export import run

__all__ = ["run"]
