"""Draws docs/diagrams/*.png: the feature fusions and a detector. `make diagrams` runs it."""

import dataclasses
import pathlib
from collections.abc import Sequence

from docs.diagrams.fusion import draw_fusion
from docs.diagrams.layout import Diagram, lay_out
from docs.diagrams.network import Network, describe, draw_network
from docs.pictures import write_picture
from efficientvision.layers import fusion_graphs
from efficientvision.layers.fusion_graphs import FusionNode
from efficientvision.tasks.choice import get_config

FOLDER = pathlib.Path(__file__).parent
MODEL = "efficientdet-d0"


def fusions() -> dict[str, Sequence[FusionNode]]:
    """The graphs to draw: name -> nodes, for the levels of `MODEL`.

    BiFPN and QuFPN are one cell of several in series; VFPN is complete, with parallel cells.
    """
    config = get_config(MODEL, {"fpn_name": "vfpn"})
    levels = config.min_level, config.max_level
    return {
        "bifpn": fusion_graphs.bifpn(*levels),
        "qufpn": fusion_graphs.qufpn(*levels),
        "vfpn": fusion_graphs.vfpn(*levels, config.fpn_cell_repeats),
    }


def diagrams() -> dict[str, Diagram | Network]:
    """The diagrams: file name without .png -> content."""
    config = get_config(MODEL)
    drawn = {
        name: lay_out(nodes, config.min_level, config.max_level)
        for name, nodes in fusions().items()
    }
    return {**drawn, "network": describe(config)}


def main() -> None:
    """Draws all diagrams."""
    for name, content in diagrams().items():
        draw = draw_network if isinstance(content, Network) else draw_fusion
        path = FOLDER / f"{name}.png"
        write_picture(path, draw(content), dataclasses.asdict(content))
        print(path)


if __name__ == "__main__":
    main()
