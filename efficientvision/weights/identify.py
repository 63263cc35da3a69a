"""Identifies the network in a checkpoint from the names and shapes of its variables."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from typing import Any

from efficientvision import registry
from efficientvision.configs.overrides import Recipe
from efficientvision.weights import names as naming
from efficientvision.weights.checkpoint_reader import CheckpointReader, open_checkpoint
from efficientvision.weights.edgenets import identify_decoder, identify_edge_network

Shapes = Mapping[str, tuple[int, ...]]

_CELL_NODE = re.compile(r"^fpn_cells/cell_(\d+)/fnode(\d+)/")
_FLAT_NODE = re.compile(r"^fpn_cells/fnode(\d+)/")
_FPN_GAMMA = re.compile(r"^fpn_cells/.*/op_after_combine\d+/bn/gamma$")
_HEAD_LAYER = re.compile(r"^(?:class|box)_net/(?:class|box)-(\d+)/")
_HEAD_LEVEL = re.compile(r"^(?:class|box)_net/(?:class|box)-0-bn-(\d+)/")
# The first node only: QuFPN's last nodes use fastattn regardless of the method.
_FUSION_WEIGHT = re.compile(r"^fpn_cells/(?:cell_0/)?fnode0/WSM$")
_SEGMENTATION_BIAS = re.compile(r"^segmentation_head/conv2d_transpose_\d+/bias$")


@dataclasses.dataclass(frozen=True)
class Identified:
    """A network identified from names and shapes. Unknown attributes are None or empty.

    Attributes:
        model: The registry's first model of this architecture; the backbone's name if there is
            only a backbone; None for a network that is not in the registry.
        candidates: Every registry model of this architecture (d6 and d7 differ only in image
            size).
        backbone_name: For example `"efficientnet-b0"`.
        fpn_name: `"bifpn"`, `"qufpn"` or `"vfpn"`.
        fpn_cell_repeats: Number of fusion cells.
        fpn_num_filters: Channels of the fused maps.
        fpn_weight_methods: Methods whose weights have these shapes; the usual one first.
        box_class_repeats: Number of hidden convolutions in a head.
        min_level: Finest level of the pyramid.
        max_level: Coarsest level of the pyramid.
        anchors_per_location: A, the number of anchors per location.
        num_classes: Number of classes: K, without background, for EfficientDet and classifiers;
            with background for an SSD detector or a network with a segmentation decoder.
        heads: See the hyper-parameter `heads`.
        seg_num_classes: Number of classes of the segmentation head.
        separable_conv: Whether fusion and heads use separable convolutions.
        task: `"classification"`, `"segmentation"` or `"detection"` for an EdgeNets network; for
            other backbones only the latter two, if they have the EdgeNets' decoder or heads.
        settings: Hyper-parameters of another package's network that do not show in its shapes.
        decoder: Hyper-parameters of a segmentation network's decoder, under the names of
            `build_segmenter`.
    """

    model: str | None = None
    candidates: tuple[str, ...] = ()
    backbone_name: str | None = None
    fpn_name: str | None = None
    fpn_cell_repeats: int | None = None
    fpn_num_filters: int | None = None
    fpn_weight_methods: tuple[str, ...] = ()
    box_class_repeats: int | None = None
    min_level: int | None = None
    max_level: int | None = None
    anchors_per_location: int | None = None
    num_classes: int | None = None
    heads: tuple[str, ...] = ()
    seg_num_classes: int | None = None
    separable_conv: bool | None = None
    task: str | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    decoder: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def fpn_weight_method(self) -> str | None:
        """The most common of the methods that fit."""
        return self.fpn_weight_methods[0] if self.fpn_weight_methods else None

    def named(self, preferred: str) -> str | None:
        """`preferred` if it is one of the candidates, else `model`."""
        return preferred if preferred in self.candidates else self.model

    def told(self, hyper_parameter: str) -> Any:
        """The attribute or decoder hyper-parameter of this name; None if unknown."""
        own = getattr(self, hyper_parameter, None)
        return self.decoder.get(hyper_parameter) if own is None else own

    def described(self, name: str) -> str:
        """The name, with task and number of classes if the task is known."""
        return f"{name} for {self.task} with {self.num_classes} classes" if self.task else name


def identify(source: str | os.PathLike | CheckpointReader | Shapes) -> Identified:
    """Identifies the network of a checkpoint.

    Args:
        source: A path that `open_checkpoint` accepts, an open reader, or published name -> shape.

    Raises:
        UserError: The path is not a readable checkpoint.
    """
    if isinstance(source, str | os.PathLike):
        source = open_checkpoint(source)
    shapes = source.names() if isinstance(source, CheckpointReader) else dict(source)
    backbone = naming.backbone_in(shapes)
    told = identify_edge_network(shapes) if backbone is None else identify_decoder(shapes)
    backbone = told.get("backbone_name", backbone)
    if not any(name.startswith("fpn_cells/") for name in shapes):
        dense = shapes.get(f"{backbone}/head/dense/bias")
        return Identified(
            model=backbone,
            candidates=(backbone,) if backbone else (),
            **{
                "backbone_name": backbone,
                "num_classes": dense[0] if dense else None,
                **told,
            },
        )
    found = {"backbone_name": backbone, **_fusion(shapes), **_heads(shapes)}
    levels = [int(m.group(1)) for name in shapes if (m := _HEAD_LEVEL.match(name))]
    if levels:
        found.update(min_level=min(levels), max_level=max(levels))
        found.update(_topology(shapes, max(levels) - min(levels) + 1))
    candidates = tuple(n for n in registry.efficientdet_names() if _fits(n, found))
    model = candidates[0] if candidates else None
    if isinstance(source, CheckpointReader):
        found["settings"] = source.settings
        if source.model in candidates or not candidates:
            model = source.model
    return Identified(model=model, candidates=candidates, **found)


def _topology(shapes: Shapes, num_levels: int) -> dict[str, Any]:
    """Kind and number of fusion cells: a BiFPN cell has 2 * (levels - 1) nodes."""
    bifpn_nodes = 2 * (num_levels - 1)
    flat = {int(m.group(1)) for name in shapes if (m := _FLAT_NODE.match(name))}
    if flat:  # After the cells comes one output node per level.
        return {"fpn_name": "vfpn", "fpn_cell_repeats": (len(flat) - num_levels) // bifpn_nodes}
    nodes = {m.groups() for name in shapes if (m := _CELL_NODE.match(name))}
    cells = {cell for cell, _ in nodes}
    is_bifpn = len(nodes) == bifpn_nodes * len(cells)
    return {"fpn_name": "bifpn" if is_bifpn else "qufpn", "fpn_cell_repeats": len(cells)}


def _fusion(shapes: Shapes) -> dict[str, Any]:
    filters = next((shape[0] for name, shape in shapes.items() if _FPN_GAMMA.match(name)), None)
    weight = next((shape for name, shape in shapes.items() if _FUSION_WEIGHT.match(name)), None)
    if weight is None:
        methods = ("sum",)
    elif len(weight) == 0:
        methods = ("fastattn", "attn")
    else:
        methods = ("channel_fastattn", "channel_attn")
    return {"fpn_num_filters": filters, "fpn_weight_methods": methods}


def _heads(shapes: Shapes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    heads = []
    class_bias = shapes.get("class_net/class-predict/bias")
    box_bias = shapes.get("box_net/box-predict/bias")
    if class_bias and box_bias:
        heads.append("object_detection")
        anchors = box_bias[0] // 4
        repeats = {int(m.group(1)) for name in shapes if (m := _HEAD_LAYER.match(name))}
        found.update(
            anchors_per_location=anchors,
            num_classes=class_bias[0] // anchors,
            box_class_repeats=len(repeats),
            separable_conv="box_net/box-predict/depthwise_kernel" in shapes,
        )
    bias = next((shape for name, shape in shapes.items() if _SEGMENTATION_BIAS.match(name)), None)
    if bias is not None:
        heads.append("segmentation")
        found["seg_num_classes"] = bias[0]
    return {"heads": tuple(heads), **found}


def _fits(model_name: str, found: Mapping[str, Any]) -> bool:
    """Whether the hyper-parameters found are those of a registry model."""
    expected = {"min_level": 3, "max_level": 7, **registry.detection_defaults(model_name)}
    if found.get("fpn_name") == "vfpn":
        expected["fpn_cell_repeats"] = registry.vfpn_cell_repeats(model_name)
    keys = ("backbone_name", "fpn_num_filters", "fpn_cell_repeats", "min_level", "max_level")
    if "object_detection" in found["heads"]:
        keys = (*keys, "box_class_repeats")
    return all(found.get(key) == expected[key] for key in keys)


_FIELDS_TO_COMPARE = (
    "backbone_name",
    "fpn_name",
    "fpn_cell_repeats",
    "fpn_num_filters",
    "fpn_weight_methods",
    "box_class_repeats",
    "min_level",
    "max_level",
    "anchors_per_location",
    "heads",
    "seg_num_classes",
    "separable_conv",
    "decoder_width",
    "pyramid_width",
)


def differences(checkpoint: Identified, model: Identified) -> list[str]:
    """Differences of two networks, such as `"fpn_name: checkpoint vfpn, model bifpn"`.

    Leaves out values that are unknown on either side, and `num_classes`.
    """
    lines = []
    for field in _FIELDS_TO_COMPARE:
        theirs, ours = checkpoint.told(field), model.told(field)
        if theirs in (None, ()) or ours in (None, ()) or theirs == ours:
            continue
        if field == "fpn_weight_methods":
            theirs, ours = theirs[0], ours[0]
        lines.append(
            f"{field.removesuffix('s') if 'methods' in field else field}: "
            f"checkpoint {_shown(theirs)}, model {_shown(ours)}"
        )
    return lines


def _shown(value: Any) -> str:
    return "+".join(value) if isinstance(value, tuple) else str(value)


# Hyper-parameters set from a checkpoint, besides those of the fusion.
_FROM_CHECKPOINT = (
    "num_classes",
    "seg_num_classes",
    "min_level",
    "max_level",
    "fpn_num_filters",
    "fpn_cell_repeats",
    "box_class_repeats",
    "separable_conv",
)


def apply_checkpoint_architecture(config: Any, identified: Identified) -> list[str]:
    """Sets hyper-parameters from a checkpoint, unless the user set them.

    A checkpoint of another registry model changes only the fusion: the error at loading then names
    that model.

    Args:
        config: A `EfficientDetConfig`; changed in place through its `override`.
        identified: Result of `identify`.

    Returns:
        One line to print for each choice. The fusion's line is there whenever it was read from
        the checkpoint.
    """

    def choose(key: str, value: Any) -> None:
        config.override(Recipe({key: value}))
        lines.append(f"{key}={_shown(value)} (read from the checkpoint)")

    lines: list[str] = []
    if identified.fpn_name is None:
        return lines
    if not config.is_set("fpn_name"):
        # Other defaults follow from it (VFPN's cells and anchors), hence first.
        choose("fpn_name", identified.fpn_name)
    method = config.fpn_weight_method or "fastattn"
    if not config.is_set("fpn_weight_method") and method not in identified.fpn_weight_methods:
        choose("fpn_weight_method", identified.fpn_weight_method)
    if config.name in identified.candidates or not identified.candidates:
        for key in _FROM_CHECKPOINT:
            value = getattr(identified, key)
            if value in (None, ()) or config.is_set(key) or value == getattr(config, key):
                continue
            choose(key, value)
        for key, value in identified.settings.items():
            if not config.is_set(key):
                config.override(Recipe({key: value}))
                lines.append(f"{key}={value} (of the package that wrote the checkpoint)")
    return lines
