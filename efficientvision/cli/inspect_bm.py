"""--runmode=bm: how fast the network is."""

from efficientvision.runs.benchmark import run

__all__ = ["run"]
