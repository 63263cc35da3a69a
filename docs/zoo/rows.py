"""The rows of the model zoo: every network of the registry, with what its authors published."""

import dataclasses
import functools
import json
import pathlib
from typing import Any

from efficientvision.registry import (
    SEGMENTER_IMAGE_SIZE,
    SSD_IMAGE_SIZE,
    classifier_image_size,
    efficientdet_names,
    list_models,
)
from efficientvision.tasks.choice import get_config

TASKS = ("detection", "classification", "segmentation")
PUBLISHED = pathlib.Path(__file__).parent / "published.json"
# Unpublished networks that share their name in the registry with others.
_MORE = ({"task": "detection", "model": "efficientdet-d2", "fpn_name": "vfpn"},)
_SUFFIXES = {"M": 1e6, "B": 1e9}


@dataclasses.dataclass(frozen=True)
class Row:
    """One network at one size, with its published figures.

    Attributes:
        task: one of `TASKS`.
        model: name in the registry.
        options: arguments of `build_model` that differ from its defaults, by name.
        image_size: input size in pixels, `"WIDTHxHEIGHT"`.
        data: training data of the published weights, or None.
        parameters, multiply_adds: as published, `"3.9M"`, or None.
        accuracy: name of the metric -> per cent, as published.
        weights: argument of the download script, or a link; None: not published.
        source: key of `sources()`, or None.
        note: a sentence about the published figures, or None.
    """

    task: str
    model: str
    options: dict[str, Any]
    image_size: str
    data: str | None = None
    parameters: str | None = None
    multiply_adds: str | None = None
    accuracy: dict[str, float] = dataclasses.field(default_factory=dict)
    weights: str | None = None
    source: str | None = None
    note: str | None = None

    @property
    def build(self) -> str:
        """The Python expression that builds the network."""
        given = {} if self._needs_no_task else {"task": self.task}
        named = "".join(f', {name}="{value}"' for name, value in (given | self._sizes).items())
        number = self.options.get("num_classes")
        return f'ev.build_model("{self.model}"{named}{f", num_classes={number}" if number else ""})'

    @property
    def key(self) -> str:
        """Key of the row in the file of counts."""
        return f"{self.task}: {self.build.removeprefix('ev.')}"

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of `build_model` besides the name."""
        return {"task": self.task, **self.options}

    @property
    def lineage(self) -> str:
        """`"EfficientDet"`, including the EfficientNets, or `"EdgeNets"`."""
        return "EfficientDet" if self.model.startswith("efficient") else "EdgeNets"

    @property
    def _needs_no_task(self) -> bool:
        return self.task == "classification" or self.model in efficientdet_names()

    @property
    def _sizes(self) -> dict[str, Any]:
        return {name: value for name, value in self.options.items() if name != "num_classes"}


def quantity(text: str) -> float:
    """Parses a quoted figure: `"2.54B"` -> 2.54e9."""
    return float(text[:-1]) * _SUFFIXES[text[-1]]


@functools.cache
def sources() -> dict[str, dict[str, str]]:
    """The sources of published figures: key -> `title` and, if available, `link`."""
    return _read()["sources"]


def rows() -> list[Row]:
    """All rows: networks with published figures, and the rest of the registry at default sizes.

    Ordered by task, then as the registry orders its names, published ones of a name first.
    """
    published = [_row(**figures) for figures in _read()["figures"]]
    more = [_row(**network) for network in _MORE]
    found: list[Row] = []
    for task in TASKS:
        for model in list_models(task):
            known = [row for row in (*published, *more) if (row.task, row.model) == (task, model)]
            usual = _row(task, model)
            if not any(row.image_size == usual.image_size and _is_plain(row) for row in known):
                known.append(usual)
            found += known
    return found


def _read() -> dict[str, Any]:
    return json.loads(PUBLISHED.read_text(encoding="utf-8"))


def _is_plain(row: Row) -> bool:
    """Whether the row stands for its network as it is built without options."""
    return not set(row.options) - {"num_classes", "image_size"}


def _row(task, model, fpn_name=None, image_size=None, num_classes=None, **figures) -> Row:
    options = {"fpn_name": fpn_name, "image_size": image_size, "num_classes": num_classes}
    options = {name: value for name, value in options.items() if value is not None}
    return Row(task, model, options, image_size or _usual_size(task, model), **figures)


def _usual_size(task: str, model: str) -> str:
    if model in efficientdet_names():
        height, width = get_config(model, task=task).image_hw
        return f"{width}x{height}"
    side = {
        "detection": SSD_IMAGE_SIZE,
        "classification": classifier_image_size(model),
        "segmentation": SEGMENTER_IMAGE_SIZE,
    }[task]
    return f"{side}x{side}"
