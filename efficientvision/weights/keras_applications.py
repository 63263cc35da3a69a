"""ImageNet weights of keras.applications, from Keras' cache or downloaded by Keras."""

from __future__ import annotations

import logging
import os
import re

from efficientvision.errors import UserError

log = logging.getLogger(__name__)

_BACKBONE = re.compile(r"^efficientnet-(b\d)$")


def imagenet_file(backbone_name: str, cache_folder: str | None = None) -> str | None:
    """Finds Keras' weight file of a backbone that was trained on ImageNet.

    The file is that of `keras.applications.EfficientNetB0(weights="imagenet")` and its like.
    `keras.utils.get_file` checks it, or downloads it, with Keras' own addresses and checksums.

    Args:
        backbone_name: For example `"efficientnet-b0"`.
        cache_folder: Keras' folder; None: the one that Keras uses (`KERAS_HOME` or `~/.keras`).

    Returns:
        Path of the file; None for a backbone of which Keras has no weights. Where only the file
        without the class layer is in the cache and there is no connection, that one.

    Raises:
        UserError: The file is not in the cache and cannot be downloaded.
    """
    from keras.src.applications import efficientnet as published
    from keras.src.backend.config import keras_home
    from keras.utils import get_file

    match = _BACKBONE.match(backbone_name)
    if match is None or match.group(1) not in published.WEIGHTS_HASHES:
        return None
    names = [f"efficientnet{match.group(1)}{ending}.h5" for ending in ("", "_notop")]
    checksums = published.WEIGHTS_HASHES[match.group(1)]
    folder = os.path.join(os.path.expanduser(cache_folder or keras_home()), "models")
    addresses = [published.BASE_WEIGHTS_PATH + name for name in names]

    def get(which: int) -> str:
        return get_file(
            origin=addresses[which],
            file_hash=checksums[which],
            cache_subdir="models",
            cache_dir=cache_folder,
        )

    try:
        found = get(0)
    except Exception as error:  # Keras raises this very class.
        reason = str(error)
    else:
        log.info(f"ImageNet weights of {backbone_name}: those of keras.applications, {found}.")
        return found
    if os.path.isfile(os.path.join(folder, names[1])):
        log.info(f"{names[0]} is not in {folder} ({reason}): {names[1]} has all but its classes.")
        return get(1)
    raise UserError(
        f"Keras has ImageNet weights of {backbone_name}, but {names[0]} is not in {folder} and "
        f"cannot be downloaded ({reason}). Download {addresses[0]} on a machine with a connection, "
        "and copy it there or give its path."
    )
