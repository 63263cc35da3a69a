"""The rule by which effdet's reference networks were filled: pure functions of tensors' names."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np

NUM_CLASSES = 4
SIZE = 64


def fill_tensor(name: str, shape: Sequence[int]) -> np.ndarray:
    """The value of a tensor of effdet's state dict: float32, counters int64."""
    shape = tuple(shape)
    if name.endswith("num_batches_tracked"):
        return np.array(7, np.int64)
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    rng = np.random.Generator(np.random.PCG64(seed))
    if len(shape) > 1:
        value = rng.standard_normal(shape) * math.sqrt(2.0 / math.prod(shape[1:]))
    elif name.endswith("edge_weights"):
        value = rng.uniform(-0.2, 1.8, size=shape)
    elif name.endswith((".weight", "running_var")):
        value = rng.uniform(0.5, 1.5, size=shape)
    else:
        value = rng.standard_normal(shape) * 0.1
    return np.asarray(value, dtype=np.float32)
