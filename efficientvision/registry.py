"""All model names, and the parameters in which the members of each family differ.

The detector table is Table 1 of the EfficientDet paper (arXiv:1911.09070) with the later members
(d7x, lite0..lite4, lite3x) of the published code; the classifiers' sizes are those of the
EfficientNet paper (arXiv:1905.11946). Nothing here imports a deep learning library.
"""

from __future__ import annotations

import copy
import difflib
from typing import Any, NamedTuple

from efficientvision.errors import UserError

_LITE_COMMON = {
    "mean_rgb": 127.0,
    "stddev_rgb": 128.0,
    "act_type": "relu6",
    "fpn_weight_method": "sum",
}


def _detector(
    backbone: str, image_size: int, filters: int, cells: int, head_repeats: int, **more: Any
) -> dict[str, Any]:
    return {
        "backbone_name": backbone,
        "image_size": image_size,
        "fpn_num_filters": filters,
        "fpn_cell_repeats": cells,
        "box_class_repeats": head_repeats,
        **more,
    }


# name: backbone, image size, fusion channels, fusion cells, head depth, further differences.
_DETECTORS: dict[str, dict[str, Any]] = {
    "efficientdet-d0": _detector("efficientnet-b0", 512, 64, 3, 3),
    "efficientdet-d1": _detector("efficientnet-b1", 640, 88, 4, 3),
    "efficientdet-d2": _detector("efficientnet-b2", 768, 112, 5, 3),
    "efficientdet-d3": _detector("efficientnet-b3", 896, 160, 6, 4),
    "efficientdet-d4": _detector("efficientnet-b4", 1024, 224, 7, 4),
    "efficientdet-d5": _detector("efficientnet-b5", 1280, 288, 7, 4),
    "efficientdet-d6": _detector("efficientnet-b6", 1280, 384, 8, 5, fpn_weight_method="sum"),
    "efficientdet-d7": _detector(
        "efficientnet-b6", 1536, 384, 8, 5, anchor_scale=5.0, fpn_weight_method="sum"
    ),
    "efficientdet-d7x": _detector(
        "efficientnet-b7", 1536, 384, 8, 5, max_level=8, fpn_weight_method="sum"
    ),
    "efficientdet-lite0": _detector(
        "efficientnet-lite0", 320, 64, 3, 3, anchor_scale=3.0, **_LITE_COMMON
    ),
    "efficientdet-lite1": _detector(
        "efficientnet-lite1", 384, 88, 4, 3, anchor_scale=3.0, **_LITE_COMMON
    ),
    "efficientdet-lite2": _detector(
        "efficientnet-lite2", 448, 112, 5, 3, anchor_scale=3.0, **_LITE_COMMON
    ),
    "efficientdet-lite3": _detector("efficientnet-lite3", 512, 160, 6, 4, **_LITE_COMMON),
    "efficientdet-lite3x": _detector(
        "efficientnet-lite3", 640, 200, 6, 4, anchor_scale=3.0, **_LITE_COMMON
    ),
    "efficientdet-lite4": _detector("efficientnet-lite4", 640, 224, 7, 4, **_LITE_COMMON),
}

# VFPN's cells run in parallel, so it needs more of them than BiFPN. Published: d0, d1, d2
# (8, 10, 14). The VFPN author's serial quad-path fork has 5, 7, 9, 10, 10, 10 cells for d1..d6,
# and the published VFPN counts of d1 and d2 are twice that; the larger members follow the same
# rule here, with d7 and d7x like d6, whose fusion they share. A lite member has the count of the
# detector with the same number of BiFPN cells.
_VFPN_CELLS = {
    "efficientdet-d0": 8,
    "efficientdet-d1": 10,
    "efficientdet-d2": 14,
    "efficientdet-d3": 18,
    "efficientdet-d4": 20,
    "efficientdet-d5": 20,
    "efficientdet-d6": 20,
    "efficientdet-d7": 20,
    "efficientdet-d7x": 20,
    "efficientdet-lite0": 8,
    "efficientdet-lite1": 10,
    "efficientdet-lite2": 14,
    "efficientdet-lite3": 18,
    "efficientdet-lite3x": 18,
    "efficientdet-lite4": 20,
}

_CLASSIFIER_IMAGE_SIZES = {
    "efficientnet-b0": 224,
    "efficientnet-b1": 240,
    "efficientnet-b2": 260,
    "efficientnet-b3": 300,
    "efficientnet-b4": 380,
    "efficientnet-b5": 456,
    "efficientnet-b6": 528,
    "efficientnet-b7": 600,
    "efficientnet-lite0": 224,
    "efficientnet-lite1": 240,
    "efficientnet-lite2": 260,
    "efficientnet-lite3": 280,
    "efficientnet-lite4": 300,
}

# Widths of the EdgeNets (arXiv:1811.11431, arXiv:1906.03516, arXiv:1807.11164): the `s` of their
# names. All were trained on images of 224 pixels.
_EDGE_WIDTHS = {
    "espnetv2": (0.5, 1.0, 1.25, 1.5, 2.0),
    "dicenet": (0.2, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.4),
    "shufflenetv2": (0.1, 0.5, 1.0, 1.5, 2.0),
}
_CLASSIFIER_IMAGE_SIZES |= {
    f"{family}_s_{width}": 224 for family, widths in _EDGE_WIDTHS.items() for width in widths
}


class TaskEntry(NamedTuple):
    """A task: one folder.

    Attributes:
        package: Its folder as a package. `config.py` has `default_config(model_name)`, and imports
            no deep learning library; `task.py` has `task_for(model_name)`, a `tasks.base.Task`.
        models: Names of its networks.
    """

    package: str
    models: tuple[str, ...]


_BACKBONES = tuple(_CLASSIFIER_IMAGE_SIZES)
# The published segmentation networks use espnetv2 and dicenet, the SSD detectors espnetv2; both
# work with any backbone and are named after it. EfficientDet has its own segmentation head.
TASKS: dict[str, TaskEntry] = {
    "detection": TaskEntry("efficientvision.tasks.detection", (*_DETECTORS, *_BACKBONES)),
    "classification": TaskEntry("efficientvision.tasks.classification", _BACKBONES),
    "segmentation": TaskEntry("efficientvision.tasks.segmentation", (*_BACKBONES, *_DETECTORS)),
}
# For models without a task: exports not written by this library, runs of the first version.
DEFAULT_TASK = "detection"
# The size of the published PASCAL VOC networks; those of Cityscapes use 512x256 and 1024x512.
SEGMENTER_IMAGE_SIZE = 384
# The other published size is 512.
SSD_IMAGE_SIZE = 300


def nearest_names(name: str, valid: list[str] | tuple[str, ...]) -> str:
    """Suggests valid names for a mistyped one, as the end of an error message.

    Args:
        name: The name as the user wrote it.
        valid: The valid names.

    Returns:
        `"Did you mean a, b?"`; if none is similar, all names of a short list, or the nearest
        names of a long list.
    """
    close = difflib.get_close_matches(name.lower(), valid, n=3, cutoff=0.6)
    if close:
        return f"Did you mean {', '.join(close)}?"
    if len(valid) <= 30:
        return f"Valid names: {', '.join(valid)}."
    return f"The nearest names are {', '.join(difflib.get_close_matches(name, valid, 5, 0.0))}."


def list_models(task: str | None = None) -> list[str]:
    """Lists the names of all models that can be built.

    Args:
        task: `"detection"`, `"classification"`, `"segmentation"`, or None for all.

    Returns:
        Model names, smallest first within each family. A name that is valid for several tasks is
        listed once.

    Raises:
        UserError: The task is unknown.
    """
    if task is None:
        return list(dict.fromkeys(name for entry in TASKS.values() for name in entry.models))
    if task not in TASKS:
        raise UserError(f"Unknown task {task!r}. {nearest_names(str(task), tuple(TASKS))}")
    return list(TASKS[task].models)


def efficientdet_names() -> list[str]:
    """Lists the EfficientDets; every other detector is an SSD, named after its backbone.

    (EfficientDet works with any backbone too, set by its hyper-parameter `backbone_name`.)
    """
    return list(_DETECTORS)


def is_ssd(model_name: str, task: str) -> bool:
    """Whether a model's name and task together mean an SSD."""
    return task == "detection" and model_name in _CLASSIFIER_IMAGE_SIZES


def backbone_names() -> list[str]:
    """Lists the names of all backbones."""
    return list(_CLASSIFIER_IMAGE_SIZES)


def family_of(name: str) -> str:
    """Returns the family of a backbone or classifier: `"efficientnet"`, `"espnetv2"`..."""
    return name.replace("-", "_").partition("_")[0]


def is_edge_network(name: str) -> bool:
    """Whether a backbone or classifier is an ESPNetv2, DiCENet or ShuffleNetv2."""
    return family_of(name) in _EDGE_WIDTHS


def task_of(model_name: str, task: str | None = None) -> str:
    """Returns the task of a model, after checking that the model supports it.

    Args:
        model_name: Its name.
        task: Which of its tasks; None: `"detection"` for an EfficientDet, `"classification"` for a
            backbone, the task of any other model.

    Returns:
        The task.

    Raises:
        UserError: The task or the model is unknown, or the model does not support the task; the
            message names the nearest models.
    """
    names = list_models(task)
    tasks = [known for known in TASKS if model_name in TASKS[known].models]
    if model_name in names:
        if task or len(tasks) == 1:
            return task or tasks[0]
        return "detection" if model_name in _DETECTORS else "classification"
    hint = nearest_names(str(model_name), tuple(names))
    if tasks:
        raise UserError(f"{model_name} supports {' and '.join(tasks)}, not {task}. {hint}")
    kind = f"{task} model" if task else "model"
    raise UserError(f"Unknown {kind} name {model_name!r}. {hint}")


def detection_defaults(model_name: str) -> dict[str, Any]:
    """Returns the hyper-parameters whose defaults differ for this EfficientDet.

    Args:
        model_name: One of `efficientdet_names()`.

    Returns:
        A new dictionary of hyper-parameters by name, including `name`.

    Raises:
        UserError: The name is unknown or does not belong to an EfficientDet.
    """
    if model_name not in _DETECTORS:
        if model_name in _CLASSIFIER_IMAGE_SIZES:
            hint = nearest_names(model_name, efficientdet_names())
            raise UserError(f"{model_name!r} is a backbone, not an EfficientDet. {hint}")
        # A name in an SSD's family probably has a mistyped width.
        family = family_of(str(model_name))
        ssds = [name for name in backbone_names() if family_of(name) == family]
        hint = nearest_names(str(model_name), ssds or efficientdet_names())
        raise UserError(f"Unknown detector name {model_name!r}. {hint}")
    return {"name": model_name, **copy.deepcopy(_DETECTORS[model_name])}


def vfpn_cell_repeats(model_name: str) -> int:
    """Returns the number of parallel cells of a detector's VFPN (used with `fpn_name=vfpn`).

    The numbers of d0, d1 and d2 are published; a comment at the table explains the others.

    Raises:
        UserError: The name does not belong to an EfficientDet.
    """
    detection_defaults(model_name)
    return _VFPN_CELLS[model_name]


def classifier_image_size(model_name: str) -> int:
    """Returns the input size of a published classifier: height and width in pixels.

    Raises:
        UserError: The name does not belong to a classifier.
    """
    if model_name not in _CLASSIFIER_IMAGE_SIZES:
        hint = nearest_names(str(model_name), _BACKBONES)
        raise UserError(f"Unknown classifier name {model_name!r}. {hint}")
    return _CLASSIFIER_IMAGE_SIZES[model_name]
