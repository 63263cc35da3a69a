"""The text of docs/model_zoo.md."""

from collections.abc import Callable, Mapping, Sequence

from docs.zoo.charts import CHARTS
from docs.zoo.counts import Counts
from docs.zoo.elsewhere import FurtherSet, further_sets, size_text
from docs.zoo.rows import Row, sources
from efficientvision.registry import efficientdet_names

_NONE = "–"
_INTRODUCTION = """# Model zoo

All networks of `ev.list_models()`, for all of their tasks. `make zoo` generates this page from the
code: do not edit it.

- **Parameters** are the trainable ones, **multiply-adds** are per image; both were counted here.
  The first number of multiply-adds includes everything that TensorFlow's profiler counts, the
  second only convolutions (no pooling, resizing, activations and sums).
- **Published** figures are quoted from the sources under each table. EfficientDet's authors count
  like the first number, EdgeNets' like the second. Accuracies are the authors', in per cent; none
  was measured here.
- Sizes are width x height in pixels. SSD detectors and segmenters are named after their backbone;
  their classes include background.
- {none} means not published; the command then builds the network with random weights. See
  [Training](training.md); a classifier's weights can initialize a detector or a segmenter with the
  same backbone.
- Weights from other sources follow the tables of each task. Their sizes are parameters, and
  megabytes as published or, after ≈, at four bytes a parameter.

The scripts are explained under [Downloads](downloads.md); the commands follow
`import efficientvision as ev`.
"""

# Task -> heading of its chapter, and its tables: heading and filter of rows.
_CHAPTERS: dict[str, tuple[str, dict[str, Callable[[Row], bool]]]] = {
    "detection": (
        "Detection",
        {
            "EfficientDet (COCO, 90 classes)": lambda row: row.model in efficientdet_names(),
            "SSD (PASCAL VOC, 21 classes, unless noted otherwise)": lambda row: (
                row.model not in efficientdet_names()
            ),
        },
    ),
    "classification": (
        "Classification",
        {
            "EfficientNet (ImageNet, 1000 classes)": lambda row: row.lineage == "EfficientDet",
            "EdgeNets (ImageNet, 1000 classes)": lambda row: row.lineage == "EdgeNets",
        },
    ),
    "segmentation": (
        "Semantic segmentation",
        {
            "PASCAL VOC (21 classes)": lambda row: row.data != "Cityscapes",
            "Cityscapes (20 classes)": lambda row: row.data == "Cityscapes",
        },
    ),
}


def page(rows: Sequence[Row], counts: Mapping[str, Counts]) -> str:
    """Returns the text of the page.

    Args:
        rows: the zoo.
        counts: `Row.key` -> counts, for every row.
    """
    parts = [_INTRODUCTION.format(none=_NONE)]
    for task, (title, tables) in _CHAPTERS.items():
        chart = CHARTS[task]
        parts.append(f"## {title}\n\n![{chart.caption}](zoo/{chart.file})\n\n{chart.caption}.\n")
        for heading, belongs in tables.items():
            chosen = [row for row in rows if row.task == task and belongs(row)]
            parts.append(f"### {heading}\n\n{_figures(chosen, counts)}")
            parts.append(_quoted(chosen))
            parts.append(_commands(chosen))
        for further in further_sets():
            if further.task == task:
                parts.append(_further(further))
    return "\n".join(parts)


def load_command(row: Row) -> str:
    """The Python line that builds the network and loads its published weights."""
    if row.weights is None:
        return f"model = {row.build}"
    return f'model = {row.build}; ev.load_weights(model, "{weights_file(row)}")'


def fetch_command(row: Row) -> str | None:
    """The command that downloads the published weights; None if there are none."""
    if row.weights is None:
        return None
    if "://" in row.weights:
        return f"dataset/download_vfpn.sh '{row.weights}'"
    lineage = "efficientdet" if row.lineage == "EfficientDet" else "edgenets"
    return f"dataset/download_{lineage}.sh {row.weights}"


def weights_file(row: Row) -> str:
    """The downloaded path: a checkpoint's folder, or a `.pth` file."""
    if "://" in row.weights:
        return f"{row.model}-{row.options['fpn_name']}"
    return row.weights if row.lineage == "EfficientDet" else f"{row.weights}.pth"


def _figures(rows: Sequence[Row], counts: Mapping[str, Counts]) -> str:
    """The table of sizes and accuracies."""
    metrics = list(dict.fromkeys(metric for row in rows for metric in row.accuracy))
    header = ["model", "input", "parameters", "multiply-adds", "published"]
    lines = []
    for row in rows:
        counted = counts[row.key]
        madds = f"{_amount(counted['multiply_adds'])} / {_amount(counted['convolutions'])}"
        published = [text for text in (row.parameters, row.multiply_adds) if text]
        lines.append(
            [
                _name(row),
                row.image_size,
                _amount(counted["parameters"]),
                madds,
                ", ".join(published) or _NONE,
                *(str(row.accuracy[m]) if m in row.accuracy else _NONE for m in metrics),
            ]
        )
    return _table([*header, *metrics], lines, numbers_from=2)


def _name(row: Row) -> str:
    """The model's name, with the options that its name does not include."""
    extra = [row.options["fpn_name"].upper()] if "fpn_name" in row.options else []
    if row.task == "detection" and row.options.get("num_classes") == 81:
        extra.append("COCO, 81 classes")
    return ", ".join([f"`{row.model}`", *extra])


def _quoted(rows: Sequence[Row]) -> str:
    """Sources and remarks of a table's published figures."""
    lines = []
    for key in dict.fromkeys(row.source for row in rows if row.source):
        source = sources()[key]
        title = source["title"]
        lines.append(f"[{title}]({source['link']})" if "link" in source else title)
    remarks = [f"{_name(row)} at {row.image_size}: {row.note}" for row in rows if row.note]
    return "".join(f"{text}\n" for text in [f"Published: {'; '.join(lines)}.", *remarks])


def _commands(rows: Sequence[Row]) -> str:
    """The table of downloads and commands."""
    lines = [
        [f"`{fetch_command(row)}`" if row.weights else _NONE, f"`{load_command(row)}`"]
        for row in rows
    ]
    return _table(["weights", "network"], lines)


def _further(further: FurtherSet) -> str:
    """The table of weights from another source."""
    lines = []
    for model, name, size, *accuracy in further.weights:
        fetch, load = further.commands(model, name)
        numbers = [_NONE if value is None else str(value) for value in accuracy]
        lines.append(
            [f"`{name}`", f"`{model}`", size_text(size), *numbers, f"`{fetch}`", f"`{load}`"]
        )
    header = ["weights", "model", "size", *further.metrics, "download", "load"]
    return (
        f"### {further.title}\n\n{further.note} Licence: {further.licence}. Published: "
        f"{further.source}.\n\n{_table(header, lines)}"
    )


def _table(header: Sequence[str], lines: Sequence[Sequence[str]], numbers_from: int = 99) -> str:
    """A Markdown table; columns from `numbers_from` on are right-aligned."""
    rule = ["---" if column < numbers_from else "---:" for column in range(len(header))]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in (header, rule, *lines))


def _amount(number: int) -> str:
    """A count with three digits: `3.88M`, `2.53B`."""
    unit, letter = (1e9, "B") if number >= 999.5e6 else (1e6, "M")
    value = number / unit
    return f"{value:.{max(0, 3 - len(str(int(value))))}f}{letter}"
