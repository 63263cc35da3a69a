"""The metadata of an exported classifier."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from efficientvision.tasks.metadata import ModelMetadata
from efficientvision.tasks.metadata_checks import (
    COMMON_CHECKS,
    Check,
    flag,
    min_scores,
    number,
    optional,
)

_CHECKS = {
    **COMMON_CHECKS,
    "multilabel": flag,
    "crop_fraction": optional(number(1e-3, 1)),
    "min_score_thresh": optional(number(0, 1)),
    "class_thresholds": min_scores,
}


@dataclass(frozen=True)
class ClassificationMetadata(ModelMetadata):
    """Metadata of a classifier.

    Attributes:
        multilabel: whether an image may have several classes; probabilities then do not add up
            to 1.
        crop_fraction: how photos are resized and cropped to `image_hw`, see `fit_photos`.
        min_score_thresh: minimum probability of a class; None: 0.5 for a multi-label model, else 0.
        class_thresholds: class number -> its minimum, of classes with another one.
    """

    format: ClassVar[str] = "efficientvision-classifier-1"
    task: ClassVar[str] = "classification"
    kind: ClassVar[str] = "a classifier"
    python_class: ClassVar[str] = "Classifier"
    checks: ClassVar[dict[str, Check]] = _CHECKS
    result_name: ClassVar[str] = "probabilities"
    axes: ClassVar[dict[str, tuple[str, ...]]] = {"probabilities": ("image", "class")}

    multilabel: bool = False
    crop_fraction: float | None = None
    min_score_thresh: float | None = None
    class_thresholds: dict[int, float] = field(default_factory=dict)

    def resize_facts(self) -> dict[str, Any]:
        facts = super().resize_facts()
        if self.crop_fraction is not None:
            facts |= {"method": "cover", "crop_fraction": self.crop_fraction}
        return facts

    def output_facts(self) -> dict[str, Any]:
        """`min_score` and `class_min_scores`, where they are set."""
        facts: dict[str, Any] = {}
        if self.min_score_thresh is not None:
            facts["min_score"] = self.min_score_thresh
        if self.class_thresholds:
            facts["class_min_scores"] = {str(k): v for k, v in self.class_thresholds.items()}
        return facts


METADATA = ClassificationMetadata
