"""Names of ImageNet's 1000 classes."""

from __future__ import annotations

import functools
from importlib import resources

from efficientvision.data.labels import LabelMap

NUM_CLASSES = 1000


@functools.cache
def imagenet_names() -> LabelMap:
    """Class number (1..1000, the order of published networks' outputs) -> name.

    Source: WordNet 3.0, whose licence is in the file of the names.
    """
    file = resources.files("efficientvision.data").joinpath("imagenet_names.txt")
    lines = file.read_text("utf8").splitlines()
    return dict(enumerate((line for line in lines if not line.startswith("#")), start=1))
