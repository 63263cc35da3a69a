"""Names allowed in the pickle of a state dict, and what replaces a call of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from efficientvision.weights.torch_tensors import STORAGE_DTYPES, Refused, stored_tensor

# Names of layers are shorter; long strings could be slow to compare.
_MAX_KEY = 1000
# Python hashes smaller integers to themselves, so they never collide. Ids of objects, which old
# optimizers use as keys of their state, are smaller.
_MAX_NUMBER = 1 << 60
# Colliding floats are easily made. Honest files have few float keys, such as thresholds.
_MAX_DECIMALS = 1000


class NotRead:
    """Replaces a value that no network needs, such as a score or training settings."""


@dataclass(frozen=True)
class UnreadKey:
    """Replaces a key that is not the name of a layer, such as a pair of numbers."""

    kind: str


@dataclass(frozen=True)
class Name:
    """A global that a pickle refers to; it is never imported."""

    dotted: str


def set_item(target: dict, key: Any, value: Any) -> None:
    """Sets an item of a dictionary described in a pickle.

    Items with keys that could take forever to compare are dropped: no layer has such a name.

    Raises:
        Refused: The key is unhashable or looks hostile.
    """
    if isinstance(key, tuple | bytes | NotRead | Name):
        target[UnreadKey(type(key).__name__)] = None
        return
    if not isinstance(key, str | int | float | None):
        raise Refused(f"holds a dictionary with a key that is a {type(key).__name__}")
    if isinstance(key, str) and len(key) > _MAX_KEY:
        raise Refused(f"holds a dictionary with a key of {len(key):,} characters")
    if isinstance(key, int) and abs(key) >= _MAX_NUMBER:
        raise Refused("holds a dictionary with a key that is a number of more than 60 bits")
    if isinstance(key, float) and len(target) >= _MAX_DECIMALS:
        raise Refused(
            f"holds a dictionary of more than {_MAX_DECIMALS:,} keys, some of them floats"
        )
    target[key] = value


def _ordered_dict(pairs: Any = None) -> dict:
    """An `OrderedDict`; Python 2 passed its items as an argument."""
    result: dict = {}
    if pairs is not None:
        if type(pairs) is not list:
            raise Refused("holds an OrderedDict that is not made from a list")
        for key, value in pairs:
            set_item(result, key, value)
        pairs.clear()  # A list with many references is copied only once.
    return result


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Any:
    return stored_tensor(storage, offset, shape, strides)


def _first(value: Any, *_: Any) -> Any:
    return value


def _rebuild_from_type(function: Any, kind: Any, arguments: Any, *_: Any) -> Any:
    """A tensor of a subclass, such as a parameter with extra attributes."""
    rebuild = _TENSORS.get(getattr(function, "dotted", ""))
    if rebuild is None or type(arguments) is not tuple:
        raise Refused("rebuilds something that is no tensor")
    return rebuild(*arguments)


def _not_read(*_: Any) -> NotRead:
    return NotRead()


def _empty_dict(*_: Any) -> dict:
    return {}


# Types of values that trainers store beside the weights: settings, histories, dates. Their objects
# become `NotRead`; neither the class nor the arguments are used.
BESIDE_WEIGHTS = (
    "argparse.Namespace",
    "types.SimpleNamespace",
    "collections.Counter",
    "collections.deque",
    "datetime.date",
    "datetime.datetime",
    "datetime.timedelta",
    "decimal.Decimal",
    "easydict.EasyDict",
    "fractions.Fraction",
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "numpy.ndarray",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.nodes.AnyNode",
    "pathlib.PosixPath",
    "pathlib.PurePosixPath",
    "pathlib.PureWindowsPath",
    "pathlib.WindowsPath",
    "pathlib._local.PosixPath",
    "pathlib._local.WindowsPath",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "torch.torch_version.TorchVersion",
    "typing.Any",
    "uuid.UUID",
    "yacs.config.CfgNode",
    *(
        f"{module}.{kind}"
        for module in ("builtins", "__builtin__")
        for kind in (
            *("bool", "bytearray", "complex", "dict", "float", "frozenset", "int", "list"),
            *("set", "slice", "str", "tuple"),
        )
    ),
    *(
        f"torch.{kind}"
        for kind in (
            *("float16", "float32", "float64", "bfloat16", "bool", "uint8"),
            *("int8", "int16", "int32", "int64"),
        )
    ),
    *(
        f"numpy.{kind}"
        for kind in (
            *("bool_", "float16", "float32", "float64", "uint8", "int8", "int16", "int32"),
            "int64",
        )
    ),
    *(
        f"{module}.multiarray.{function}"
        for module in ("numpy.core", "numpy._core")
        for function in ("_reconstruct", "scalar")
    ),
    "numpy._core.numeric._frombuffer",
    "numpy.core.numeric._frombuffer",
    "numpy.dtype",
    "torch.device",
    "_codecs.encode",
)
# Types of storages, as values.
STORAGES = {f"torch{part}.{kind}" for kind in STORAGE_DTYPES for part in ("", ".cuda")}
# Classes of tensors, as values; they may not be instantiated.
TENSOR_KINDS = {
    *("torch.Tensor", "torch._tensor.Tensor"),
    *("torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer"),
}
_TENSORS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
}
# Name that a pickle may call -> function called instead.
REBUILDS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered_dict,
    "collections.defaultdict": _empty_dict,
    **_TENSORS,
    "torch._tensor._rebuild_from_type_v2": _rebuild_from_type,
    "torch.Size": _first,
    **dict.fromkeys(BESIDE_WEIGHTS, _not_read),
}
