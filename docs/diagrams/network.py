"""Draws a detector: backbone, feature network, heads, with the sizes of its configuration."""

import dataclasses
from typing import Any

from docs.diagrams.layout import Diagram, lay_out
from efficientvision.backbones.efficientnet import block_specs
from efficientvision.layers import fusion_graphs
from efficientvision.tasks.detection.efficientdet_config import EfficientDetConfig

_BACKBONE_X, _CELLS_X, _CELL_WIDTH, _HEADS_WIDTH = 2.1, 4.6, 1.7, 3.1
_BOX_HEIGHT = 0.62


@dataclasses.dataclass(frozen=True)
class Network:
    """The facts about a detector in the diagram.

    Attributes:
        name, backbone: names.
        image_hw: size of the input in pixels.
        maps: level -> height, width and channels of the backbone's feature map.
        min_level, max_level: levels used by the heads.
        filters: channels of the fused maps and of the heads.
        cells: number of fusion cells in series.
        head_repeats: number of convolutions in a head before the last one.
        class_outputs, box_outputs: channels of the heads' outputs, as text.
    """

    name: str
    backbone: str
    image_hw: tuple[int, int]
    maps: dict[int, tuple[int, int, int]]
    min_level: int
    max_level: int
    filters: int
    cells: int
    head_repeats: int
    class_outputs: str
    box_outputs: str


def describe(config: EfficientDetConfig) -> Network:
    """Reads a detector with BiFPN on an EfficientNet from its configuration."""
    specs = block_specs(config.backbone_name)
    ends = [i for i, spec in enumerate(specs) if spec.strides == 2] + [len(specs)]
    maps, (height, width) = {}, config.image_hw
    for level, end in enumerate(ends, start=1):
        height, width = -(-height // 2), -(-width // 2)
        maps[level] = (height, width, specs[end - 1].out_filters)
    for level in range(len(ends) + 1, config.max_level + 1):
        height, width = -(-height // 2), -(-width // 2)
        maps[level] = (height, width, config.fpn_num_filters)
    anchors = config.anchors_per_location
    return Network(
        config.name,
        config.backbone_name,
        config.image_hw,
        maps,
        config.min_level,
        config.max_level,
        config.fpn_num_filters,
        config.fpn_cell_repeats,
        config.box_class_repeats,
        f"{anchors} anchors x {config.num_classes} classes",
        f"{anchors} anchors x 4 coordinates",
    )


def draw_network(network: Network) -> bytes:
    """The PNG of a detector."""
    from efficientvision.report.plots import plot_png

    width = _heads_x(network) + _HEADS_WIDTH + 0.4
    return plot_png([lambda axes: _draw(axes, network, width)], 1, (width, network.max_level + 1))


def _heads_x(network: Network) -> float:
    return _CELLS_X + network.cells * _CELL_WIDTH + 0.5


def _draw(axes: Any, network: Network, width: float) -> None:
    low, high = network.min_level, network.max_level
    graph = lay_out(fusion_graphs.bifpn(low, high), low, high)
    _draw_backbone(axes, network)
    for cell in range(network.cells):
        left = _CELLS_X + cell * _CELL_WIDTH
        _draw_cell(axes, graph, left, network)
        _text(axes, left + 0.65, low - 0.75, f"BiFPN {cell + 1}")
        end = left + _CELL_WIDTH if cell + 1 < network.cells else _heads_x(network) - 0.17
        for level in range(low, high + 1):
            _arrow(axes, (left + 1.36, level), (end, level))
    middle = _CELLS_X + network.cells * _CELL_WIDTH / 2 - 0.2
    _text(axes, middle, high + 0.85, f"feature network, {network.filters} channels")
    _draw_heads(axes, network)
    axes.set_xlim(-0.4, width - 0.3)
    axes.set_ylim(-0.7, high + 1.2)
    axes.axis("off")


def _draw_backbone(axes, network):
    from efficientvision.report.plots import SERIES

    height, width = network.image_hw
    _box(axes, _BACKBONE_X - 1.2, 0, 2.3, f"image  {width}x{height}x3", SERIES[7])
    last = max(level for level in network.maps if level <= 5)
    for level, (height, width, channels) in network.maps.items():
        left = _BACKBONE_X - 1.2
        pooled = level > last
        text = f"P{level}  {width}x{height}x{channels}"
        _box(axes, left, level, 2.3, text, SERIES[6] if pooled else SERIES[0], dashed=pooled)
        _arrow(axes, (left + 1.15, level - 1 + _BOX_HEIGHT / 2), (left + 1.15, level - 0.31))
        if level >= network.min_level:
            _arrow(axes, (left + 2.3, level), (_CELLS_X - 0.02, level))
    _text(axes, _BACKBONE_X - 0.05, network.max_level + 0.85, network.backbone)
    pooled = [f"P{level}" for level in network.maps if level > last]
    if pooled:
        _text(axes, 0.2, last + 1.5, f"{' and '.join(pooled)}:\nmax-pooled", size=8)


def _draw_cell(axes, graph: Diagram, left, network):
    """Draws a small graph of a fusion cell."""
    from matplotlib.patches import FancyBboxPatch

    from efficientvision.report.plots import FAINT, INK, SERIES

    columns = max(dot.column for dot in graph.dots)
    spots = [(left + 0.2 + 0.95 * dot.column / columns, dot.level) for dot in graph.dots]
    height = network.max_level - network.min_level + 0.9
    frame = {"boxstyle": "round,pad=0,rounding_size=0.15", "facecolor": "white", "edgecolor": FAINT}
    corner = (left, network.min_level - 0.45)
    axes.add_patch(FancyBboxPatch(corner, 1.35, height, linewidth=1.4, **frame))
    for source, reader in graph.edges:
        (x0, y0), (x1, y1) = spots[source], spots[reader]
        if y0 == y1 and graph.dots[reader].column - graph.dots[source].column > 1:
            axes.plot([x0, (x0 + x1) / 2, x1], [y0, y0 - 0.28, y1], color=INK, linewidth=0.7)
        else:
            axes.plot([x0, x1], [y0, y1], color=INK, linewidth=0.7)
    for (x, y), dot in zip(spots, graph.dots, strict=True):
        color = SERIES[1] if dot.kind == "output" else SERIES[4]
        fill = "white" if dot.kind == "input" else color
        axes.plot([x], [y], "o", markersize=6, markerfacecolor=fill, markeredgecolor=color)


def _draw_heads(axes, network):
    from efficientvision.report.plots import FAINT, SERIES

    left, middle = _heads_x(network), (network.min_level + network.max_level) / 2
    height = network.max_level - network.min_level + 0.9
    _box(axes, left - 0.15, middle, _HEADS_WIDTH, "", FAINT, height=height)
    for y, name, outputs, color in (
        (middle + 1.1, "class head", network.class_outputs, SERIES[2]),
        (middle - 1.1, "box head", network.box_outputs, SERIES[3]),
    ):
        text = (
            f"{name}\n{network.head_repeats} x separable conv, {network.filters}\n"
            f"1 x separable conv:\n{outputs}"
        )
        _box(axes, left, y, _HEADS_WIDTH - 0.3, text, color, height=1.85)
    _text(axes, left + 1.4, network.min_level - 0.75, "shared by the levels")
    _text(axes, left + 1.4, network.max_level + 0.85, "heads")


def _box(axes, left, y, width, text, color, *, height=_BOX_HEIGHT, dashed=False):
    from matplotlib.patches import FancyBboxPatch

    style = {"boxstyle": "round,pad=0,rounding_size=0.1", "edgecolor": color, "linewidth": 1.5}
    corner = (left, y - height / 2)
    line = "--" if dashed else "-"
    axes.add_patch(
        FancyBboxPatch(corner, width, height, facecolor="white", linestyle=line, **style)
    )
    _text(axes, left + width / 2, y, text)


def _arrow(axes, start, end):
    from matplotlib.patches import FancyArrowPatch

    from efficientvision.report.plots import INK

    head = {"arrowstyle": "-|>", "mutation_scale": 8, "shrinkA": 0, "shrinkB": 0}
    axes.add_patch(FancyArrowPatch(start, end, color=INK, linewidth=0.9, **head))


def _text(axes, x, y, text, size=9):
    axes.text(x, y, text, ha="center", va="center", fontsize=size)
