"""Core ML packages, for iOS 15 and macOS 12 or later.

They can be written on any system but run on macOS only, because Core ML is part of it.
"""

import tempfile
from typing import Any

import numpy as np
from PIL import Image

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.exports.artifacts import FORMATS, METADATA_KEY, need
from efficientvision.exports.frozen_graph import freeze
from efficientvision.files import AnyPath
from efficientvision.tasks.portable import PortableNetwork

_EXTRA = "coreml"


def write(
    function: Any, path: AnyPath, metadata: str, *, precision: str = "float32", **_: Any
) -> None:
    """Writes a concrete function of `images` as a Core ML package with an RGB picture as input.

    Args:
        function: the concrete function, see `portable` and `portable_classifier`; its batch size
            must be 1.
        path: the folder `.mlpackage`; an existing one is replaced.
        metadata: JSON to store in the package's metadata.
        precision: precision of weights and computation: "float32", or "float16", as used by the
            Neural Engine.

    Raises:
        UserError: coremltools is not installed, or the batch size is not 1.
    """
    tools = need("coremltools", _EXTRA, "writing Core ML packages")
    (images,) = function.structured_input_signature[0]
    if images.shape[0] != 1:
        raise UserError(
            f"Core ML supports one picture at a time: `batch_size={images.shape[0]}` must be 1"
        )
    names = sorted(function.structured_outputs)
    half = precision == "float16"
    model = tools.convert(
        freeze(function, names),
        source="tensorflow",
        convert_to="mlprogram",
        inputs=[tools.ImageType(name="images", shape=tuple(images.shape), color_layout="RGB")],
        outputs=[tools.TensorType(name=name) for name in names],
        minimum_deployment_target=tools.target.iOS15,
        compute_precision=tools.precision.FLOAT16 if half else tools.precision.FLOAT32,
        skip_model_load=True,
    )
    model.user_defined_metadata[METADATA_KEY] = metadata
    if files.is_folder(path):
        files.remove_folder(path)
    with tempfile.TemporaryDirectory() as folder:
        package = files.join(folder, "model.mlpackage")
        model.save(package)
        files.copy_folder(package, path)


def load(path: AnyPath, threads: int = 0) -> tuple[PortableNetwork, str | None]:
    """Loads a package for inference, on macOS.

    Args:
        path: the folder.
        threads: ignored; Core ML decides.

    Returns:
        The runner, which rounds its images to integers, and the JSON metadata; None for packages
        that were not written by this library.

    Raises:
        UserError: the system is not macOS, or the package is damaged.
    """
    if not FORMATS["coreml"].runs_here:
        raise UserError(f"{path} runs on macOS and iOS only, because Core ML is part of them")
    tools = need("coremltools", _EXTRA, f"running {path}")
    try:
        model = tools.models.MLModel(files.as_text(path))
    except (ValueError, RuntimeError, OSError) as error:
        raise UserError(
            f"{path} is not a valid Core ML package, or it was cut short ({error})"
        ) from error

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        return model.predict({"images": Image.fromarray(np.uint8(np.round(images[0])))})

    return run, model.user_defined_metadata.get(METADATA_KEY)
