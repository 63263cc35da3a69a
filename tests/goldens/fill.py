"""The rule by which the reference networks were filled, and their input: pure functions of names.

No weights are stored: both sides fill each variable from its own name and compare outputs.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np

_KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel")


def fill(name: str, shape: Sequence[int]) -> np.ndarray:
    """The value of a variable, float32.

    Args:
        name: Published variable name, without `:0`.
        shape: Its shape.

    Raises:
        ValueError: The name ends like no weight.
    """
    shape = tuple(int(size) for size in shape)
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    rng = np.random.Generator(np.random.PCG64(seed))
    leaf = name.split("/")[-1]
    if leaf in _KERNELS:
        # A depthwise output sees one channel only.
        inputs = shape[:2] if leaf == "depthwise_kernel" else shape[:-1]
        value = rng.standard_normal(shape) * math.sqrt(2.0 / math.prod(inputs))
    elif leaf in ("gamma", "moving_variance"):
        value = rng.uniform(0.5, 1.5, size=shape)
    elif leaf in ("beta", "bias", "moving_mean"):
        value = rng.standard_normal(shape) * 0.1
    elif leaf.startswith("WSM"):
        value = rng.uniform(0.2, 1.8, size=shape)
    else:
        raise ValueError(f"no fill rule for {name!r}")
    return np.asarray(value, dtype=np.float32)


def make_input(size: int) -> np.ndarray:
    """The reference input: `[1, size, size, 3]` float32."""
    rng = np.random.Generator(np.random.PCG64(0))
    return rng.uniform(-1, 1, size=(1, size, size, 3)).astype(np.float32)
