"""Plots as PNG and as SVG in the page's colours."""

import io
import re
import xml.etree.ElementTree

import numpy as np
import pytest
from PIL import Image

from efficientvision.report import figures
from efficientvision.report.plots import plot_png, plot_svg

matplotlib_figure = pytest.importorskip("matplotlib.figure")
backend_agg = pytest.importorskip("matplotlib.backends.backend_agg")


def _losses(axes):
    series = {"loss": ([1, 2, 3], [3.0, 0.1, float("nan")]), "box_loss": ([1, 2, 3], [1, 0, 2])}
    figures.draw_series(axes, "Losses", series, log=True)


def test_svg_has_no_colour_of_its_own():
    svg, legend = plot_svg(_losses, "losses")
    assert not re.findall(r"#[0-9a-fA-F]{6}\b", svg.replace("#ffffff", ""))
    assert {"var(--ink)", "var(--line)", "var(--c0)", "var(--c1)"} <= set(
        re.findall(r"var\([^)]*\)", svg)
    )
    root = xml.etree.ElementTree.fromstring(svg)
    assert root.get("width") is None and root.get("viewBox")
    assert "Losses" in "".join(root.itertext())
    assert legend == (("loss", "var(--c0)", "solid"), ("box_loss", "var(--c1)", "solid"))


def test_two_plots_on_a_page_share_no_identifier():
    one, two = (plot_svg(_losses, name).element for name in ("losses", "others"))
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (one, two)]
    assert ids[0] and not ids[0] & ids[1]
    for svg, known in zip((one, two), ids, strict=True):
        assert set(re.findall(r'(?:url\(|href=")#([^")]+)', svg)) <= known
    assert plot_svg(_losses, "losses").element == one


def test_png_holds_every_plot():
    size = Image.open(io.BytesIO(plot_png([_losses] * 3, 2, (3.0, 2.0)))).size
    assert size == (660, 440)


@pytest.mark.parametrize("classes", [1, 8, 9, 300])
def test_precision_recall_of_few_and_many_classes(classes):
    recalls = np.linspace(0, 1, 101)
    curves = {f"class {i}": (recalls, 1 - recalls * i / classes) for i in range(classes)}
    points = {"class 0": (0.5, 0.5)}
    svg, legend = plot_svg(
        lambda axes: figures.draw_precision_recall(axes, curves, points, "PR"), "pr"
    )
    assert len(svg) < 400_000
    names = [entry.name for entry in legend]
    assert ("class 0" in names) == (classes <= figures.MOST_NAMED)
    assert ("mean over classes" in names) == (classes > figures.MOST_NAMED)
    assert all(entry.color.startswith("var(") for entry in legend)


@pytest.mark.parametrize("classes", [2, 30])
def test_confusion_matrix_is_drawn(classes):
    counts = np.eye(classes, dtype=int) * 5
    labels = [f"a long name of class {i}" for i in range(classes)]
    words = {"title": "Confusion", "detected": "detected as"}
    content = plot_png(
        [lambda axes: figures.draw_confusion(axes, labels, counts, **words)], 1, (6, 6)
    )
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    assert (pixels[..., 2].astype(int) - pixels[..., 0] > 60).any()


def test_the_labels_of_a_thousand_classes_are_thinned(axes):
    labels = [str(i) for i in range(1000)]
    figures.draw_confusion(axes, labels, np.eye(1000), title="Confusion", detected="as")
    assert [tick.get_text() for tick in axes.get_yticklabels()] == labels[::10]


@pytest.fixture
def axes():
    figure = matplotlib_figure.Figure(figsize=(6.2, 3.2), layout="constrained")
    return figure.add_subplot()


def _boxes(axes):
    """Everything of the axes, its plot area, and its legend, in pixels."""
    figure = axes.figure
    renderer = backend_agg.FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    legend = axes.get_legend().get_window_extent(renderer)
    return axes.get_tightbbox(renderer), axes.get_window_extent(renderer), legend


@pytest.mark.parametrize("kind", ["series", "precision and recall", "f1"])
def test_legends_stand_beside_the_curves_and_no_label_is_cut(axes, kind):
    long = {"ein sehr langer Name, der nirgends ein Ende findet " * 3: 1, "short": 2}
    curves = {name: ([0.0, 1e-6], [1.0, 0.5]) for name in long}
    if kind == "series":
        figures.draw_series(axes, "Learning rate", {k: ([1, 10**6], [0, 1e-5]) for k in long})
    elif kind == "f1":
        figures.draw_f1(axes, curves, {"short": (0.4, 0.5)}, 0.4)
        assert axes.get_xlabel() == "score threshold, percent"
    else:
        figures.draw_precision_recall(axes, curves, {}, "title " * 30)
        assert axes.get_ylabel() == "precision, percent" and axes.get_ylim()[1] > 100
    whole, area, legend = _boxes(axes)
    size = axes.figure.get_size_inches() * axes.figure.dpi
    assert legend.x0 >= area.x1 and area.width > 0.3 * size[0]
    assert whole.x0 >= 0 and whole.y0 >= 0 and whole.x1 <= size[0] + 1 and whole.y1 <= size[1] + 1


def test_validation_loss_is_dashed_beside_the_training_losses(axes):
    series = {"loss": ([1, 2], [2.0, 1.0]), "val_loss": ([2], [1.5])}
    figures.draw_series(axes, "Losses", series)
    assert [line.get_linestyle() for line in axes.lines] == ["-", "--"]


def test_a_series_of_nothing_but_gaps():
    gaps = {"loss": ([1, 2], [float("nan"), float("inf")])}
    plot_svg(lambda axes: figures.draw_series(axes, "Losses", gaps, log=True), "gaps")


NAMES = ["$5_$10", "^$_$", "$E=mc^2$", "_background_"]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_drawn_as_they_are(name):
    """Dollars are no mathematics, and a name may begin with an underscore."""
    recalls = [0.0, 1.0]
    curves = {name: (recalls, [1, 0]), "cat": (recalls, [1, 1])}
    for draw in (
        lambda axes: figures.draw_precision_recall(axes, curves, {}, name),
        lambda axes: figures.draw_series(axes, name, curves),
        lambda axes: figures.draw_confusion(axes, [*curves], np.eye(2), title=name, detected="d"),
    ):
        svg, legend = plot_svg(draw, "names")
        texts = [text.strip() for text in xml.etree.ElementTree.fromstring(svg).itertext()]
        texts += [entry.name for entry in legend]
        assert texts.count(name) >= 2  # In the title, and beside it.


def test_powers_on_a_logarithmic_scale_are_numbers():
    svg = plot_svg(_losses, "l").element
    texts = set(map(str.strip, xml.etree.ElementTree.fromstring(svg).itertext()))
    assert {"0.1", "0.2", "1"} <= texts
    assert not [text for text in texts if "mathdefault" in text or "$" in text]
