"""--runmode=bm: times the network."""

from efficientvision.runs.benchmark import run

__all__ = ["run"]
