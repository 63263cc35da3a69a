"""The portable formats: their names, files, runtimes and tolerances."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.files import AnyPath

# Under this name a file carries its metadata.
METADATA_KEY = "efficientvision"
# Precisions that take their ranges from photos.
IN_INTEGERS = ("int8", "mixed")


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Attributes:
        name: as in `--format`.
        suffix: of the file's name, after the model's name.
        module: of `efficientvision.exports`, with `write` and `load`.
        precision: of the weights.
        nms: the kind of suppression inside a detector, unless another is asked for.
        box_tolerance: difference of a box from the Keras model's, in pixels of the photo, up to
            which they are the same; None: not held to one.
        score_tolerance: largest difference of a score or a probability; None: not held to one.
        differ_tolerance: share of the detections that may be another box, or be on one side only:
            where two boxes have nearly the same score, or overlap by just the limit, rounding
            decides which of them suppression keeps. Without a `score_tolerance` also the share of
            photos whose likeliest class may be another.
        pixel_tolerance: share of the pixels of a segmentation that may be of another class: where
            two have nearly the same logit, rounding decides.
        metric_tolerance: points of AP, accuracy or mIoU that may be lost; where it is measured, it
            alone decides.
        json_beside: the metadata is written beside the file too: apps find no way into it.
        apple: only Apple's systems can run it.
    """

    name: str
    suffix: str
    module: str
    precision: str = "float32"
    nms: str = "offset"
    box_tolerance: float | None = 0.1
    score_tolerance: float | None = 1e-3
    differ_tolerance: float = 0.005
    pixel_tolerance: float = 1e-3
    metric_tolerance: float = 0.5
    json_beside: bool = False
    apple: bool = False

    @property
    def runs_here(self) -> bool:
        """Whether this system can run it, if its runtime is installed."""
        return not self.apple or sys.platform == "darwin"


FORMATS = {
    f.name: f
    for f in (
        Format("onnx", ".onnx", "onnx_format"),
        Format("openvino", ".xml", "openvino_format"),
        Format("litert", ".tflite", "litert_format", json_beside=True),
        Format(
            "litert_fp16",
            "_fp16.tflite",
            "litert_format",
            "float16",
            box_tolerance=2.0,
            score_tolerance=0.02,
            differ_tolerance=0.02,
            pixel_tolerance=0.01,
            json_beside=True,
        ),
        # Eight bits for coordinates of up to 1,000 pixels would be too few: the network alone is
        # quantised, and boxes are decoded outside.
        Format(
            "litert_int8",
            "_int8.tflite",
            "litert_format",
            "int8",
            nms="none",
            box_tolerance=None,
            score_tolerance=None,
            differ_tolerance=0.2,
            pixel_tolerance=0.1,
            metric_tolerance=2.0,
            json_beside=True,
        ),
        Format(
            "litert_mixed",
            "_mixed.tflite",
            "litert_format",
            "mixed",
            nms="none",
            box_tolerance=None,
            score_tolerance=None,
            differ_tolerance=0.2,
            pixel_tolerance=0.1,
            metric_tolerance=2.0,
            json_beside=True,
        ),
        # coremltools knows no suppression with static shapes: boxes are decoded outside.
        Format(
            "coreml",
            ".mlpackage",
            "coreml_format",
            nms="none",
            json_beside=True,
            apple=True,
        ),
        Format(
            "coreml_fp16",
            "_fp16.mlpackage",
            "coreml_format",
            "float16",
            nms="none",
            box_tolerance=2.0,
            score_tolerance=0.02,
            differ_tolerance=0.02,
            pixel_tolerance=0.01,
            json_beside=True,
            apple=True,
        ),
    )
}
_MODULES = {form.suffix[form.suffix.rfind(".") :]: form.module for form in FORMATS.values()}


def is_artifact(path: AnyPath) -> bool:
    """Whether a path is a portable export by its name."""
    return _suffix(path) in _MODULES


def module_of(path: AnyPath) -> ModuleType:
    """The module that reads a file; see `Format.module`."""
    return importlib.import_module(f"efficientvision.exports.{_MODULES[_suffix(path)]}")


def need(package: str, extra: str, what: str) -> Any:
    """Imports a package of an extra.

    Args:
        package: its name for `import`.
        extra: the extra of this library that installs it.
        what: what needs it, for the error.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise UserError(
            f"{what} needs {package}, which cannot be imported ({error}): "
            f"pip install 'efficientvision[{extra}]'"
        ) from error


def _suffix(path: AnyPath) -> str:
    name = files.base_name(path)
    return name[name.rfind(".") :].lower() if "." in name else ""
