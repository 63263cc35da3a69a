"""Draws a fusion graph."""

from typing import Any

from docs.diagrams.layout import Diagram, Dot

_RADIUS = 0.21
# How far above its row a line to the sums runs.
_BUS = 0.42
_INCHES_A_COLUMN, _INCHES_A_ROW = 0.82, 0.74


def draw_fusion(diagram: Diagram) -> bytes:
    """Draws a diagram as PNG: coarse levels on top, data flow from left to right.

    Args:
        diagram: result of `lay_out`.
    """
    from efficientvision.report.plots import plot_png

    columns = max(dot.column for dot in diagram.dots) + 1
    rows = len({dot.level for dot in diagram.dots})
    size = (_INCHES_A_COLUMN * columns + 1.6, _INCHES_A_ROW * rows + 1.6)
    return plot_png([lambda axes: _draw(axes, diagram)], 1, size)


def _draw(axes: Any, diagram: Diagram) -> None:
    from efficientvision.report.plots import FAINT, INK, SERIES

    finest = min(dot.level for dot in diagram.dots)
    coarsest = max(dot.level for dot in diagram.dots)
    for source, reader in diagram.edges:
        dot = diagram.dots[source]
        color = SERIES[(dot.level - finest) % len(SERIES)]
        _draw_edge(axes, dot, diagram.dots[reader], INK, color)
    for dot in diagram.dots:
        color = SERIES[(dot.level - finest) % len(SERIES)]
        _draw_dot(axes, dot, color)
    for first, last, text in diagram.captions:
        if text.endswith("more"):
            axes.text(first, (finest + coarsest) / 2, "···", ha="center", va="center", fontsize=20)
        axes.text((first + last) / 2, finest - 0.72, text, ha="center", va="center", fontsize=9)
        if last > first:
            box = (first - 0.42, finest - 0.5), last - first + 0.84, coarsest - finest + 1.14
            _draw_frame(axes, *box, FAINT)
    axes.set_xlim(-0.6, max(dot.column for dot in diagram.dots) + 0.6)
    axes.set_ylim(finest - 1, coarsest + 0.8)
    axes.set_aspect("equal")
    axes.axis("off")


def _draw_dot(axes, dot, color):
    from matplotlib.patches import Circle

    hollow = dot.kind == "input"
    place = (dot.column, dot.level)
    fill = "white" if hollow else color
    line = {"linewidth": 1.2, "linestyle": (0, (3, 2)) if hollow else "solid"}
    if dot.kind == "output":
        axes.add_patch(Circle(place, _RADIUS + 0.07, fill=False, edgecolor=color, linewidth=1.6))
    axes.add_patch(Circle(place, _RADIUS, facecolor=fill, edgecolor=color, zorder=3, **line))
    text = color if hollow else "white"
    label = f"P{dot.level}"
    axes.text(*place, label, ha="center", va="center", fontsize=8, color=text, zorder=4)


def _draw_edge(axes, source: Dot, reader: Dot, color, bus_color):
    """Draws an arrow, or a line above the row if it leads to a sum beyond other nodes."""
    from matplotlib.patches import FancyArrowPatch

    style = {"color": color, "linewidth": 0.9, "zorder": 2}
    head = {"arrowstyle": "-|>", "mutation_scale": 8}
    apart = reader.column - source.column
    if source.level == reader.level and apart > 1 and source.kind != "input":
        y, left, right = source.level + _BUS, source.column + 0.14, reader.column - 0.45
        style["color"] = bus_color
        axes.plot([left, left, right], [source.level + _RADIUS - 0.06, y, y], **style)
        ends = (right, y), (reader.column, reader.level)
        axes.add_patch(FancyArrowPatch(*ends, shrinkB=16, shrinkA=0, **head, **style))
        return
    # A line along the row bends around the nodes in between.
    bent = source.level == reader.level and apart > 1
    curve = f"arc3,rad={0.42 if bent else 0}"
    ends = (source.column, source.level), (reader.column, reader.level)
    axes.add_patch(
        FancyArrowPatch(*ends, connectionstyle=curve, shrinkA=13, shrinkB=14, **head, **style)
    )


def _draw_frame(axes, corner, width, height, color):
    from matplotlib.patches import FancyBboxPatch

    frame = FancyBboxPatch(
        corner, width, height, boxstyle="round,pad=0,rounding_size=0.2", fill=False, color=color
    )
    axes.add_patch(frame)
