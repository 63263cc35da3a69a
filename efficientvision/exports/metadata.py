"""The metadata of exported models."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from efficientvision.errors import UserError
from efficientvision.exports.metadata_checks import (
    CLASSIFIER_CHECKS,
    DETECTOR_CHECKS,
    SEGMENTATION_RESULTS,
    SEGMENTER_CHECKS,
    Check,
    check_anchors,
    checked_facts,
)

# Maximum length of a reason: a foreign file may contain names of any length.
_MAX_REASON = 200


@dataclass(frozen=True)
class ModelMetadata:
    """Metadata stored with a SavedModel (`metadata.json`) and inside every exported file.

    Attributes:
        model_name: e.g. `efficientdet-d0`.
        image_hw: input size of the network, (height, width) in pixels.
        num_classes: K, without background; for a segmenter, its number of outputs.
        class_names: class number (1..K; for a segmenter 0..K-1) -> name.
        batch_size: number of images per batch; None: any.
        precision: precision of the weights: float32, float16 or int8.
        contract: for a portable file: facts for programs without this library, see
            `contract.contract_of`.
        format: kind and version of the metadata.
        result_name: name of the served tensor.
        task: task as in configurations.
        kind: description for messages.
        python_class: class of this library that runs the model.
        checks: validators of the values read from a file.
    """

    format: ClassVar[str]
    result_name: ClassVar[str]
    task: ClassVar[str]
    kind: ClassVar[str]
    python_class: ClassVar[str]
    checks: ClassVar[dict[str, Check]]

    model_name: str
    image_hw: tuple[int, int]
    num_classes: int
    class_names: dict[int, str] = field(default_factory=dict)
    batch_size: int | None = field(default=1, kw_only=True)
    precision: str = field(default="float32", kw_only=True)
    contract: dict[str, Any] = field(default_factory=dict, kw_only=True)

    def to_json(self) -> str:
        """Returns JSON text for `metadata_from_json`."""
        return json.dumps({"format": self.format, **dataclasses.asdict(self)}, indent=2)


@dataclass(frozen=True)
class DetectorMetadata(ModelMetadata):
    """Metadata of a detector.

    Attributes:
        family: "efficientdet": photos are resized to fit the input and padded; "ssd": they are
            stretched to it.
        fpn_name: feature fusion of an EfficientDet: bifpn, qufpn or vfpn.
        nms: settings of the NMS in the file: method, iou_thresh, sigma, score_thresh (minimum
            score), max_output_size, per_class.
        columns: meaning of the last axis of `detections`.
        preprocessing: for an EfficientDet's file that takes resized photos: `mean_rgb`, the colour
            of the padding at the bottom and the right, which normalisation turns into 0.
        anchors: for a file without NMS: arguments of `generate_anchors`, for an SSD of
            `generate_priors`.
        min_score_thresh: default minimum score of detections.
    """

    format: ClassVar[str] = "efficientvision-detector-1"
    task: ClassVar[str] = "detection"
    kind: ClassVar[str] = "a detector"
    python_class: ClassVar[str] = "Detector"
    checks: ClassVar[dict[str, Check]] = DETECTOR_CHECKS
    result_name: ClassVar[str] = "detections"

    family: str = "efficientdet"
    fpn_name: str | None = None
    nms: dict[str, Any] = field(default_factory=dict)
    columns: tuple[str, ...] = ("image_id", "ymin", "xmin", "ymax", "xmax", "score", "class")
    preprocessing: dict[str, Any] = field(default_factory=dict)
    anchors: dict[str, Any] = field(default_factory=dict)
    min_score_thresh: float = 0.0


@dataclass(frozen=True)
class ClassifierMetadata(ModelMetadata):
    """Metadata of a classifier.

    Attributes:
        multilabel: whether an image may have several classes; probabilities then do not add up
            to 1.
        crop_fraction: how photos are resized and cropped to `image_hw`, see `fit_photos`.
    """

    format: ClassVar[str] = "efficientvision-classifier-1"
    task: ClassVar[str] = "classification"
    kind: ClassVar[str] = "a classifier"
    python_class: ClassVar[str] = "Classifier"
    checks: ClassVar[dict[str, Check]] = CLASSIFIER_CHECKS
    result_name: ClassVar[str] = "probabilities"

    multilabel: bool = False
    crop_fraction: float | None = None


@dataclass(frozen=True)
class SegmenterMetadata(ModelMetadata):
    """Metadata of a segmenter.

    Attributes:
        palette: RGB of each class.
        preprocessing: preprocessing of photos: `resize`, and `mean_rgb` and `stddev_rgb` of the
            normalisation inside the file.
        result: the file's output, one of `SEGMENTATION_RESULTS`.
    """

    format: ClassVar[str] = "efficientvision-segmenter-1"
    task: ClassVar[str] = "segmentation"
    kind: ClassVar[str] = "a segmenter"
    python_class: ClassVar[str] = "Segmenter"
    checks: ClassVar[dict[str, Check]] = SEGMENTER_CHECKS

    palette: list[list[int]] = field(default_factory=list)
    preprocessing: dict[str, Any] = field(default_factory=dict)
    result: str = SEGMENTATION_RESULTS[0]

    @property
    def result_name(self) -> str:  # type: ignore[override]
        return self.result


_KINDS = {k.format: k for k in (DetectorMetadata, ClassifierMetadata, SegmenterMetadata)}


def check_kind(metadata: ModelMetadata | None, wanted: type[ModelMetadata], origin: Any) -> None:
    """Checks that an exported model is of the expected kind.

    Args:
        metadata: metadata of the model; None: it has none.
        wanted: the expected kind.
        origin: path of the model, for the error.

    Raises:
        UserError: the model is of another kind.
    """
    if isinstance(metadata, wanted):
        return
    if metadata is None:
        raise UserError(
            f"{origin} has no metadata of this library, so it is not known to be {wanted.kind}: "
            "export the model again with model_inspect.py --runmode=export"
        )
    raise UserError(
        f"{origin} is {metadata.model_name}, which is not {wanted.kind}: use "
        f"{metadata.python_class} for it"
    )


def metadata_from_json(text: str, origin: str) -> ModelMetadata:
    """Reads metadata of any kind as written by `to_json`.

    Args:
        text: the JSON.
        origin: where it comes from, for the error message.

    Raises:
        UserError: the text is not valid metadata.
    """
    try:
        values = json.loads(text)
        kind = _KINDS[values.pop("format")]
        metadata = kind(**checked_facts(values, kind.checks))
        if isinstance(metadata, DetectorMetadata) and metadata.anchors:
            check_anchors(metadata.anchors, metadata.image_hw, metadata.family == "ssd")
        return metadata
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unreadable(origin, str(error)) from error
    except RecursionError as error:
        raise _unreadable(origin, "it is nested too deeply") from error


def check_portable(
    metadata: ModelMetadata, input_shape: Sequence[int | None] | None, origin: str
) -> None:
    """Checks the metadata of a portable file against its graph and for completeness.

    Args:
        metadata: the metadata.
        input_shape: input shape of the graph, [N, h, w, 3], with None for dynamic sizes; None:
            unknown.
        origin: path of the model, for the error.

    Raises:
        UserError: the shapes differ, or the metadata is incomplete.
    """
    stated = (metadata.batch_size or 1, *metadata.image_hw, 3)
    found = stated if input_shape is None else tuple(input_shape)
    if len(found) != 4 or any(f not in (None, s) for f, s in zip(found, stated, strict=True)):
        raise _unreadable(origin, f"it states an input of {stated}, and the model takes {found}")
    if not isinstance(metadata, DetectorMetadata):
        return
    if metadata.family != "ssd" and "mean_rgb" not in metadata.preprocessing:
        raise _unreadable(origin, "preprocessing lacks mean_rgb")
    if metadata.nms.get("kind") == "none" or metadata.anchors:
        lacking = [
            name for name in ("max_output_size", "max_candidates") if name not in metadata.nms
        ]
        if lacking:
            raise _unreadable(origin, f"nms lacks {lacking[0]}")
        if not metadata.anchors:
            raise _unreadable(origin, "it lacks anchors")


def check_batch(metadata: ModelMetadata | None, number: int | None, origin: str) -> None:
    """Checks the batch size in the metadata against that of a graph (None: dynamic).

    Raises:
        UserError: the batch sizes differ.
    """
    if metadata is not None and number is not None and metadata.batch_size != number:
        raise _unreadable(
            origin, f"it states a batch_size of {metadata.batch_size}, and the model takes {number}"
        )


def _unreadable(origin: str, reason: str) -> UserError:
    reason = "".join(c if c.isprintable() else "?" for c in reason[:_MAX_REASON])
    return UserError(f"the metadata of {origin} cannot be read ({reason}): export the model again")
