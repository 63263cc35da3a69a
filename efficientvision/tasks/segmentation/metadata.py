"""The metadata of an exported segmenter."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from efficientvision.tasks.metadata import ModelMetadata
from efficientvision.tasks.metadata_checks import (
    COMMON_CHECKS,
    MAX_CLASSES,
    RGB_CHECKS,
    Check,
    list_of,
    mapping,
    one_of,
    whole,
)

# Possible outputs of a segmenter: the class of each pixel, or the logits of all classes.
RESULTS = ("class_map", "logits")
_CHECKS = {
    **COMMON_CHECKS,
    "palette": list_of(
        list_of(whole(0, 255), 3, 3, "a color"), 0, MAX_CLASSES, "a list of colors, R, G and B"
    ),
    "preprocessing": mapping(RGB_CHECKS),
    "result": one_of(*RESULTS),
}


@dataclass(frozen=True)
class SegmentationMetadata(ModelMetadata):
    """Facts of a segmenter.

    Attributes:
        palette: RGB of each class.
        preprocessing: what is done to photos: `resize`, and the `mean_rgb` and `stddev_rgb` of the
            normalisation inside.
        result: what the file gives, one of `RESULTS`.
    """

    format: ClassVar[str] = "efficientvision-segmenter-1"
    task: ClassVar[str] = "segmentation"
    kind: ClassVar[str] = "a segmenter"
    python_class: ClassVar[str] = "Segmenter"
    axes: ClassVar[dict[str, tuple[str, ...]]] = {
        "class_map": ("image", "row", "column"),
        "logits": ("image", "row", "column", "class"),
    }
    first_class: ClassVar[int] = 0
    checks: ClassVar[dict[str, Check]] = _CHECKS

    palette: list[list[int]] = field(default_factory=list)
    preprocessing: dict[str, Any] = field(default_factory=dict)
    result: str = RESULTS[0]

    @property
    def result_name(self) -> str:  # type: ignore[override]
        return self.result


METADATA = SegmentationMetadata
