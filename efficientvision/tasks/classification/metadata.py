"""The metadata of an exported classifier."""

from dataclasses import dataclass
from typing import Any, ClassVar

from efficientvision.tasks.metadata import ModelMetadata
from efficientvision.tasks.metadata_checks import COMMON_CHECKS, Check, flag, number, optional

_CHECKS = {
    **COMMON_CHECKS,
    "multilabel": flag,
    "crop_fraction": optional(number(1e-3, 1)),
}


@dataclass(frozen=True)
class ClassificationMetadata(ModelMetadata):
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
    checks: ClassVar[dict[str, Check]] = _CHECKS
    result_name: ClassVar[str] = "probabilities"
    axes: ClassVar[dict[str, tuple[str, ...]]] = {"probabilities": ("image", "class")}

    multilabel: bool = False
    crop_fraction: float | None = None

    def resize_facts(self) -> dict[str, Any]:
        facts = super().resize_facts()
        if self.crop_fraction is not None:
            facts |= {"method": "cover", "crop_fraction": self.crop_fraction}
        return facts


METADATA = ClassificationMetadata
