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

# Name of the metadata inside a file.
METADATA_KEY = "efficientvision"
# Precisions that need calibration photos.
IN_INTEGERS = ("int8", "mixed")


@dataclass(frozen=True)
class Format:
    """An export format.

    Attributes:
        name: name as in the option `format`.
        suffix: suffix of the file name, after the model's name.
        module: module of `efficientvision.exports` with `write` and `load`.
        precision: precision of the weights.
        nms: default kind of NMS inside a detector.
        box_tolerance: maximum difference of a box from the Keras model's, in pixels of the photo;
            None: not checked.
        score_tolerance: maximum difference of a score or probability; None: not checked.
        differ_tolerance: share of the detections that may differ or lack a match: if two boxes
            have nearly equal scores, or overlap by just the limit, rounding decides which one NMS
            keeps. Without a `score_tolerance` also the share of photos whose top class may differ.
        pixel_tolerance: share of a segmentation's pixels whose class may differ: if two logits are
            nearly equal, rounding decides.
        metric_tolerance: maximum loss of AP, accuracy or mIoU in points; if the metric is measured,
            only this counts.
        json_beside: whether the metadata is also written to a JSON file, because apps cannot read
            it from the file.
        apple: whether it runs on Apple's systems only.
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
        """Whether this system can run the format, if its runtime is installed."""
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
        # Eight bits are too few for coordinates of up to 1,000 pixels: only the network is
        # quantised, and boxes are decoded outside.
        *(
            Format(
                f"litert_{precision}",
                f"_{precision}.tflite",
                "litert_format",
                precision,
                nms="none",
                box_tolerance=None,
                score_tolerance=None,
                differ_tolerance=0.2,
                pixel_tolerance=0.1,
                metric_tolerance=2.0,
                json_beside=True,
            )
            for precision in IN_INTEGERS
        ),
        # coremltools has no NMS with static shapes: boxes are decoded outside.
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
# Module -> extra, and the packages that write and run its files.
_NEEDED = {
    "onnx_format": ("onnx", ("tf2onnx", "onnxruntime")),
    "openvino_format": ("openvino", ("tf2onnx", "openvino")),
    "litert_format": ("litert", ("ai_edge_litert.interpreter",)),
    "coreml_format": ("coreml", ("coremltools",)),
}
_MODULES = {form.suffix[form.suffix.rfind(".") :]: form.module for form in FORMATS.values()}


def is_artifact(path: AnyPath) -> bool:
    """Whether a path has the suffix of a portable export."""
    return _suffix(path) in _MODULES


def module_of(path: AnyPath) -> ModuleType:
    """Returns the module that reads a file; see `Format.module`."""
    return importlib.import_module(f"efficientvision.exports.{_MODULES[_suffix(path)]}")


def check_installed(name: str) -> None:
    """Checks before a long work that a format can be written and run.

    Args:
        name: one of `FORMATS`.

    Raises:
        UserError: a package is not installed.
    """
    extra, packages = _NEEDED[FORMATS[name].module]
    for package in packages:
        need(package, extra, f"exporting {name}")


def need(package: str, extra: str, what: str) -> Any:
    """Imports an optional dependency.

    Args:
        package: name for `import`.
        extra: the extra of this library that installs it.
        what: the feature that needs it, for the error.

    Raises:
        UserError: the package is not installed.
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
