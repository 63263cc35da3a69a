"""Runs a segmentation network at the size of each photo."""

from __future__ import annotations

import copy
import functools

import numpy as np

from efficientvision.api import build_from_config
from efficientvision.tasks.loaded_model import LoadedModel
from efficientvision.tasks.portable import RunPhotos, compiled
from efficientvision.tasks.segmentation.serving import segmentation_serving

# The decoder starts at stride 16; EdgeNets' demonstration uses multiples of twice that.
_MULTIPLE = 32
# Size of the cache of networks, one per input size: a folder's photos have few sizes.
_KEPT = 4


class PhotoSizedNetwork:
    """Segments photos with a network of each photo's size, rounded down to multiples of 32.

    EdgeNets' `segmentation_demo.py` does the same. Every new size takes seconds, because its
    network is built and traced.

    Args:
        loaded: a segmenter of any input size; its weights are used.
    """

    def __init__(self, loaded: LoadedModel):
        self._loaded = loaded
        self._network = functools.lru_cache(_KEPT)(self._build)

    def __call__(self, image_arrays: np.ndarray) -> np.ndarray:
        """Maps photos uint8 [N, H, W, 3] to class maps uint8 [N, H, W]."""
        return self._network(input_hw(image_arrays.shape[1:3]))(image_arrays)

    def _build(self, image_hw: tuple[int, int]) -> RunPhotos:
        config = copy.deepcopy(self._loaded.config)
        config.override({"image_size": image_hw})
        model = build_from_config(config)
        model.set_weights(self._loaded.model.get_weights())
        return compiled(segmentation_serving(model, config).results_from_arrays)


def input_hw(photo_hw: tuple[int, int]) -> tuple[int, int]:
    """Returns the network's input size for a photo: multiples of 32, at least 32."""
    height, width = (max(side // _MULTIPLE, 1) * _MULTIPLE for side in photo_hw)
    return height, width
