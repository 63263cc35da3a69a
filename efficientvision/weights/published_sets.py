"""Google's AdvProp checkpoints, recognised by their name.

Those of Det-AdvProp and AdvProp hold the same variables as the usual ones, and were trained on
pixels from -1 to 1. Only the name of the file or of its folder tells them apart, as
`dataset/download_efficientdet.sh` gives it: `efficientdet-d0-advprop`.

References: Det-AdvProp, https://arxiv.org/abs/2103.13886; AdvProp,
https://arxiv.org/abs/1911.09665.
"""

from __future__ import annotations

import dataclasses
import re

from efficientvision.weights.checkpoint_reader import CheckpointReader
from efficientvision.weights.names import backbone_in
from efficientvision.weights.preprocessing import INCEPTION, Preprocessing

# The checkpoint's prefix, its folder, and the folder of a set.
_TELLING_COMPONENTS = 3
_ADVPROP = re.compile(r"(?:^|[^a-z])(?:det)?advprop(?:[^a-z]|$)", re.IGNORECASE)


def with_preprocessing(reader: CheckpointReader) -> CheckpointReader:
    """Adds the preprocessing that the name of a TensorFlow or Keras checkpoint tells, if any."""
    components = reader.path.replace("\\", "/").rstrip("/").split("/")[-_TELLING_COMPONENTS:]
    found = next((part for part in reversed(components) if _ADVPROP.search(part)), None)
    if found is None or reader.preprocessing is not None or backbone_in(reader.shapes) is None:
        return reader
    source = f"Google's AdvProp checkpoints, recognised by the name {found}"
    return dataclasses.replace(reader, preprocessing=Preprocessing(*INCEPTION, source))
