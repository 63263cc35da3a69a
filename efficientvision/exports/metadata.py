"""What an exported model says about itself."""

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

# Letters of a reason: a stranger's file may hold names of any length.
_MAX_REASON = 200


@dataclass(frozen=True)
class ModelMetadata:
    """Facts that travel with a SavedModel (`metadata.json`) and inside every exported file.

    Attributes:
        model_name: e.g. `efficientdet-d0`.
        image_hw: input size of the network, (height, width) in pixels.
        num_classes: K, without background; of a segmenter, its outputs.
        class_names: class number (1..K; of a segmenter 0..K-1) -> name.
        batch_size: images in a batch, None: any number.
        precision: of the weights: float32, float16 or int8.
        contract: of a portable file: what programs without this library must know, see
            `contract.contract_of`.
        format: kind of these facts, and their version.
        result_name: of the tensor that is served.
        task: as in configurations.
        kind: what it is, for sentences.
        python_class: of this library, that runs it.
        checks: what a file's facts must be.
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
        """Returns a JSON text that `metadata_from_json` reads."""
        return json.dumps({"format": self.format, **dataclasses.asdict(self)}, indent=2)


@dataclass(frozen=True)
class DetectorMetadata(ModelMetadata):
    """Facts of a detector.

    Attributes:
        family: "efficientdet": photos are fitted into the input and padded; "ssd": they are
            stretched to it.
        fpn_name: feature fusion of an EfficientDet: bifpn, qufpn or vfpn.
        nms: settings of the suppression that is part of the file: method, iou_thresh, sigma,
            score_thresh (weaker detections are left out), max_output_size, per_class.
        columns: meaning of the last axis of `detections`.
        preprocessing: of an EfficientDet's file that takes resized photos: `mean_rgb`, with which
            they are padded at the bottom and the right; it becomes 0 after the normalisation.
        anchors: of a file without suppression: arguments of `generate_anchors`, of an SSD's those
            of `generate_priors`.
        min_score_thresh: detections with lower scores are left out unless asked for.
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
    """Facts of a classifier.

    Attributes:
        multilabel: an image may be of several classes; the probabilities do not add up to 1.
        crop_fraction: how photos are brought to `image_hw`, see `fit_photos`.
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
    """Facts of a segmenter.

    Attributes:
        palette: RGB of each class.
        preprocessing: what is done to photos: `resize`, and the `mean_rgb` and `stddev_rgb` of the
            normalisation inside.
        result: what the file gives, one of `SEGMENTATION_RESULTS`.
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
    """Makes sure that an exported model is of the wanted kind.

    Args:
        metadata: of the model; None: it has none of ours.
        wanted: the kind.
        origin: of the model, for the error.

    Raises:
        UserError: it is of another kind.
    """
    if isinstance(metadata, wanted):
        return
    other = wanted.kind.replace("a ", "no ")
    if metadata is None:
        raise UserError(f"{origin} is no model of ours, which is {other}")
    raise UserError(
        f"{origin} is {metadata.model_name}, which is {other}: use {metadata.python_class} for it"
    )


def metadata_from_json(text: str, origin: str) -> ModelMetadata:
    """Reads what `to_json` wrote, of any kind.

    Args:
        text: the JSON.
        origin: where it comes from, for the error message.

    Raises:
        UserError: it is something else.
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
    """Holds the facts of a portable file against its graph, and what must be done around that.

    Args:
        metadata: the facts.
        input_shape: of the graph, [N, h, w, 3], None for what it leaves open; None: not known.
        origin: of the model, for the error.

    Raises:
        UserError: the file is of another shape, or does not say enough.
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
    """Holds the batch size of the facts against that of a graph, None where that leaves it open.

    Raises:
        UserError: the facts state another.
    """
    if metadata is not None and number is not None and metadata.batch_size != number:
        raise _unreadable(
            origin, f"it states a batch_size of {metadata.batch_size}, and the model takes {number}"
        )


def _unreadable(origin: str, reason: str) -> UserError:
    reason = "".join(c if c.isprintable() else "?" for c in reason[:_MAX_REASON])
    return UserError(f"the metadata of {origin} cannot be read ({reason}): export the model again")
