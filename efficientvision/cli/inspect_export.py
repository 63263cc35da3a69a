"""--runmode=export: a model in several formats, each run and compared with the network."""

from efficientvision.runs.export import run

__all__ = ["run"]
