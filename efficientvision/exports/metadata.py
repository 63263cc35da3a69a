"""What an exported model says about itself."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, ClassVar

from efficientvision.errors import UserError

# What a segmenter may serve: the class of each pixel, or what speaks for each class.
SEGMENTATION_RESULTS = ("class_map", "logits")


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
    """

    format: ClassVar[str]
    result_name: ClassVar[str]
    task: ClassVar[str]
    kind: ClassVar[str]
    python_class: ClassVar[str]

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
        values["image_hw"] = tuple(values["image_hw"])
        if "columns" in values:
            values["columns"] = tuple(values["columns"])
        values["class_names"] = {int(k): v for k, v in values["class_names"].items()}
        return kind(**values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"the metadata of {origin} cannot be read ({error}): export the model again"
        ) from error
