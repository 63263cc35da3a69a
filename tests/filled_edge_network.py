"""State dicts of the EdgeNets whose every value follows from its name, as the goldens have them."""

import functools
import gzip
import hashlib
import json
import pathlib

import numpy as np

GOLDENS = pathlib.Path(__file__).resolve().parent / "goldens" / "edgenets"


def filled(name, shape, kind):
    """The value of one entry, in PyTorch's layout.

    Args:
        name: its key, which is the seed.
        shape: its shape.
        kind: what it is, in the words of the goldens.
    """
    if kind == "bn_count":
        return np.zeros(shape, np.int64)
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    rng = np.random.Generator(np.random.PCG64(seed))
    ranges = {"bn_var": (0.5, 1.5), "bn_gamma": (0.5, 1.5), "prelu": (0.1, 0.4)}
    if kind in ranges:
        return rng.uniform(*ranges[kind], shape).astype(np.float32)
    spread = 0.1
    if kind in ("conv_weight", "linear_weight"):
        spread = np.sqrt(2.0 / np.prod(shape[1:]))
    return (rng.standard_normal(shape) * spread).astype(np.float32)


@functools.cache
def classifiers():
    """Model name -> parameters, multiply-adds in millions, and (key, shape, kind) of each entry."""
    path = GOLDENS / "classification" / "classifiers.json.gz"
    return json.loads(gzip.decompress(path.read_bytes()))


def noise(shape_nchw):
    """The goldens' input image, as `[N, H, W, C]`."""
    rng = np.random.Generator(np.random.PCG64(0))
    return np.moveaxis(rng.uniform(-1, 1, shape_nchw).astype(np.float32), 1, -1)
