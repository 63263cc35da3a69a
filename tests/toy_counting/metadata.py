"""What an exported counter says about itself."""

from dataclasses import dataclass
from typing import ClassVar

from efficientvision.tasks.metadata import ModelMetadata
from efficientvision.tasks.metadata_checks import COMMON_CHECKS, Check


@dataclass(frozen=True)
class CountingMetadata(ModelMetadata):
    """Facts of a counter."""

    format: ClassVar[str] = "toy-counter-1"
    task: ClassVar[str] = "counting"
    kind: ClassVar[str] = "a counter"
    python_class: ClassVar[str] = "Counter"
    checks: ClassVar[dict[str, Check]] = COMMON_CHECKS
    result_name: ClassVar[str] = "count"
    axes: ClassVar[dict[str, tuple[str, ...]]] = {"count": ("image", "number")}


METADATA = CountingMetadata
