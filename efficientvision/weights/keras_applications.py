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

    match = _BACKBONE.match(backbone_name)
    if match is None or match.group(1) not in published.WEIGHTS_HASHES:
        return None
    stem = f"efficientnet{match.group(1)}"
    checksum, checksum_without_top = published.WEIGHTS_HASHES[match.group(1)]
    address = f"{published.BASE_WEIGHTS_PATH}{stem}.h5"
    try:
        return _get(address, checksum, cache_folder)
    except Exception as error:  # Keras raises this very class.
        reason = str(error)
    without_top = os.path.join(_folder(cache_folder), f"{stem}_notop.h5")
    if os.path.isfile(without_top):
        log.info(f"{address} cannot be downloaded ({reason}): {without_top} has all but its classes")
        return _get(
            f"{published.BASE_WEIGHTS_PATH}{stem}_notop.h5", checksum_without_top, cache_folder
        )
    raise UserError(
        f"Keras has ImageNet weights of {backbone_name}, but {stem}.h5 is not in "
        f"{_folder(cache_folder)} and cannot be downloaded ({reason}). Download {address} on a "
        "machine with a connection, and copy it there or give its path."
    )


def _get(address: str, checksum: str, cache_folder: str | None) -> str:
    from keras.utils import get_file

    return get_file(
        origin=address, file_hash=checksum, cache_subdir="models", cache_dir=cache_folder
    )


def _folder(cache_folder: str | None) -> str:
    from keras.src.backend.config import keras_home

    return os.path.join(os.path.expanduser(cache_folder or keras_home()), "models")
