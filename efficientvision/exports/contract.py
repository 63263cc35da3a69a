"""Facts that a program without this library needs to use an exported file, as plain JSON.

`docs/mobile.md` explains each entry; `demo/run_litert.py` is such a program.
"""

from typing import Any

import numpy as np

from efficientvision.configs import TrainingConfig
from efficientvision.tasks.metadata import ModelMetadata

_IMAGE_AXES = ("image", "row", "column", "rgb")


def contract_of(metadata: ModelMetadata, config: TrainingConfig, function: Any) -> dict[str, Any]:
    """Returns the facts that a program needs for preprocessing and postprocessing.

    Args:
        metadata: metadata of the file; for a detector including the kind of NMS inside.
        config: hyper-parameters of the model.
        function: the concrete function in the file.

    Returns:
        `inputs` and `outputs` in the file's order, each with name, shape, dtype and axes;
        `labels` in the order of the class axis; `resize`; `normalization`; for a detector
        `suppression`, and `decoding` unless boxes are decoded inside.
    """
    (images,) = function.structured_input_signature[0]
    outputs = function.structured_outputs
    facts = {
        "inputs": [_tensor("images", images, _IMAGE_AXES)],
        "outputs": [_tensor(name, outputs[name], metadata.axes[name]) for name in sorted(outputs)],
        "labels": _labels(metadata),
        "resize": metadata.resize_facts(),
        "normalization": {
            "inside": True,
            "mean_rgb": np.broadcast_to(config.mean_rgb, 3).tolist(),
            "stddev_rgb": np.broadcast_to(config.stddev_rgb, 3).tolist(),
        },
    }
    return facts | metadata.output_facts()


def _tensor(name: str, tensor: Any, axes: tuple[str, ...]) -> dict[str, Any]:
    shape = tensor.shape.as_list()
    return {"name": name, "shape": shape, "dtype": tensor.dtype.name, "axes": list(axes)}


def _labels(metadata: ModelMetadata) -> list[str]:
    """Names by position on a class axis."""
    numbers = range(metadata.first_class, metadata.first_class + metadata.num_classes)
    return [metadata.class_names.get(number, f"class {number}") for number in numbers]
