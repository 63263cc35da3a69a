"""Names of variables in the published checkpoints.

A published name is `<part>/<layers...>/<leaf>`, for example
`efficientnet-b0/blocks_0/depthwise_conv2d/depthwise_kernel`. Our `variable.path` is the same name,
except in Keras' `DepthwiseConv2D`, whose only weight is called `kernel`. Names of the EdgeNets
have another form, see `edgenet_names`; a detector on an EdgeNet has both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from efficientvision.weights import edgenet_names
from efficientvision.weights.edgenet_names import BACKBONE, CLASSIFIER_HEAD

EMA_SUFFIX = "/ExponentialMovingAverage"
FPN = "fpn"

# A segmentation network is named after its backbone; its decoder has names of the EdgeNets.
_ROOT_PATTERN = (
    rf"efficientnet-[\w-]+(?!/{edgenet_names.DECODER_LAYER})"
    r"|resample_p\d+|fpn_cells|class_net|box_net|segmentation_head"
)
_ROOTED_NAME = re.compile(rf"(?:^|/)((?:{_ROOT_PATTERN})/.+)$")
_BACKBONE_ROOT = re.compile(r"^(efficientnet-[\w-]+)/")
_LEAF = re.compile(
    r"(?:kernel|depthwise_kernel|pointwise_kernel|bias|gamma|beta|moving_mean|moving_variance"
    r"|WSM(?:_\d+)?)$"
)
# Layers whose shape depends on the number of classes.
_CLASS_HEAD = re.compile(
    r"^class_net/class-predict/|^efficientnet-[\w-]+/head/dense/"
    # The last of levels 3 to 7.
    r"|^segmentation_head/conv2d_transpose_4/"
)
_DEPTHWISE_LAYER = re.compile(r"^depthwise_conv2d(?:_\d+)?$")


def is_weight_name(name: str) -> bool:
    """Whether a name ends like a weight or a moving statistic, not like an optimizer slot."""
    leaf = name.rsplit("/", 1)[-1]
    return _LEAF.match(leaf) is not None or edgenet_names.is_weight_name(name)


def canonical_name(name: str, scope: str | None = None, backbone: str | None = None) -> str:
    """Removes the prefix before the part: a model's name or the scope it was saved under.

    Args:
        name: Name in the file, without `:0`.
        scope: Outer scope that the checkpoint was saved under (`ckpt_var_scope`). If the rest of
            the name does not begin with a part, it belongs to the backbone.
        backbone: Backbone that `scope` then stands for, e.g. `"efficientnet-b0"`.

    Returns:
        The published name, or `name` if no part is found in it.
    """
    if scope:
        prefix = scope.rstrip("/") + "/"
        if name.startswith(prefix):
            inner = name[len(prefix) :]
            if _ROOTED_NAME.search(inner) is None and backbone:
                inner = f"{backbone}/{inner}"
            name = inner
    match = _ROOTED_NAME.search(name)
    if match is None:
        return name
    # The classification code base wraps its network in a model named "model"; our files of a
    # network named after its backbone have the name twice.
    return re.sub(r"^(efficientnet-[\w-]+)/(?:model|\1)/", r"\1/", match.group(1))


def name_from_keras_path(path: str) -> str:
    """Published name of a Keras variable path (`.../depthwise_conv2d/kernel`)."""
    if _ROOTED_NAME.search(path) is None:
        return edgenet_names.name_from_path(path)
    layers, _, leaf = path.rpartition("/")
    if leaf == "kernel" and _DEPTHWISE_LAYER.match(layers.rsplit("/", 1)[-1]):
        return f"{layers}/depthwise_kernel"
    return path


def published_variables(model: Any) -> dict[str, Any]:
    """The weights of a model by published name.

    Args:
        model: A Keras model whose variable paths follow the published names.

    Returns:
        Published name -> Keras variable, in the model's order; with moving statistics, without
        random-number states.
    """
    return {
        canonical_name(name_from_keras_path(variable.path)): variable for variable in model.weights
    }


def part_of(name: str) -> str:
    """The part of the network a published name belongs to.

    Returns:
        `backbone`, `classifier_head`, `fpn`, `class_net`, `box_net`, `segmentation_head`, a part
        of the EdgeNets, or the first component of an unknown name.
    """
    if edgenet_names.is_name(name):
        return edgenet_names.part_of(name)
    first = name.split("/", 1)[0]
    if _BACKBONE_ROOT.match(name):
        return CLASSIFIER_HEAD if name.split("/")[1] == "head" else BACKBONE
    if first == "fpn_cells" or first.startswith("resample_p"):
        return FPN
    return first


def stage_of(name: str) -> str:
    """The smallest unit that an intact checkpoint may lack: usually the part."""
    return edgenet_names.stage_of(name) if edgenet_names.is_name(name) else part_of(name)


def is_class_head(name: str) -> bool:
    """Whether the variable's shape depends on the number of classes."""
    return _CLASS_HEAD.match(name) is not None or edgenet_names.is_class_head(name)


def backbone_in(names: Iterable[str]) -> str | None:
    """The backbone's name, from the first component of the names; None if there is none."""
    for name in names:
        match = _BACKBONE_ROOT.match(name)
        if match:
            return match.group(1)
    return None
