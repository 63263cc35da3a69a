"""The names that the pickle of a state dict may hold, and what is done where it would call them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from efficientvision.weights.torch_tensors import STORAGE_DTYPES, Refused, stored_tensor

# Layers have shorter names; longer texts could take long to compare.
_MAX_KEY = 1000


class NotRead:
    """A harmless value that no network needs, such as a score."""


def set_item(target: dict, key: Any, value: Any) -> None:
    """Sets an item of a dictionary that a pickle describes.

    Raises:
        Refused: Keys of that type could take forever to compare.
    """
    if not isinstance(key, str | int | float | None):
        raise Refused(f"holds a dictionary with a key that is a {type(key).__name__}")
    if isinstance(key, str) and len(key) > _MAX_KEY:
        raise Refused(f"holds a dictionary with a key of {len(key):,} letters")
    target[key] = value


def _ordered_dict(pairs: Any = None) -> dict:
    """An `OrderedDict`; Python 2 gave its items as an argument."""
    result: dict = {}
    if pairs is not None:
        if type(pairs) is not list:
            raise Refused("holds an OrderedDict that is made of something else than a list")
        for key, value in pairs:
            set_item(result, key, value)
        pairs.clear()  # A list that is referred to often is copied once.
    return result


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Any:
    return stored_tensor(storage, offset, shape, strides)


def _first(value: Any, *_: Any) -> Any:
    return value


def _not_read(*_: Any) -> NotRead:
    return NotRead()


# A storage's type, as a value.
STORAGES = {f"torch{part}.{kind}" for kind in STORAGE_DTYPES for part in ("", ".cuda")}
# What may be "called" -> what is done instead. The last ones build scores and devices in training
# checkpoints, never a tensor.
REBUILDS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered_dict,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch.Size": _first,
    "torch.device": _not_read,
    "numpy.core.multiarray.scalar": _not_read,
    "numpy._core.multiarray.scalar": _not_read,
    "numpy.dtype": _not_read,
    "_codecs.encode": _not_read,
}
