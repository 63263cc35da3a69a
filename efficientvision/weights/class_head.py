"""Transfers a class head to another label set: classes of the same name keep their weights."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping

import numpy as np

BIAS = "class_net/class-predict/bias"
BOX_BIAS, SSD_BOX_BIAS = "box_net/box-predict/bias", "loc_layers.0.bias"
# The layer's other weight, a depthwise kernel, does not depend on the classes.
KERNELS = ("class_net/class-predict/pointwise_kernel", "class_net/class-predict/kernel")
CLASS_COLUMNS = (BIAS, *KERNELS)


@dataclasses.dataclass(frozen=True)
class ClassMatch:
    """Matches the classes of a network to those of a checkpoint.

    Attributes:
        ours: Class id -> name, of the network.
        theirs: Class id -> name, of the checkpoint.
        pairs: Our class id -> their class id.
    """

    ours: Mapping[int, str]
    theirs: Mapping[int, str]
    pairs: Mapping[int, int]

    def __str__(self) -> str:
        new = [name for class_id, name in sorted(self.ours.items()) if class_id not in self.pairs]
        kept = [self.ours[class_id] for class_id in sorted(self.pairs)]
        line = f"class head: {len(kept)} of {len(self.ours)} classes matched by name"
        line += f": {', '.join(kept)}" if kept else ""
        return line + (f"; new: {', '.join(new)}" if new else "")


def match_classes(ours: Mapping[int, str], theirs: Mapping[int, str]) -> ClassMatch:
    """Matches classes by name, ignoring case, spaces, `_` and `-`.

    A name that occurs twice on one side matches nothing.

    Args:
        ours: Class id (1..K) -> name, of the network.
        theirs: Class id -> name, of the checkpoint.
    """
    our_ids, their_ids = _ids_by_name(ours), _ids_by_name(theirs)
    pairs = {our_ids[name]: their_ids[name] for name in our_ids if name in their_ids}
    return ClassMatch(dict(ours), dict(theirs), pairs)


def _ids_by_name(names: Mapping[int, str]) -> dict[str, int]:
    plain = {class_id: _plain(name) for class_id, name in names.items()}
    counts = Counter(plain.values())
    return {name: class_id for class_id, name in plain.items() if counts[name] == 1}


def _plain(name: str) -> str:
    letters = name.casefold().translate(str.maketrans("", "", " _-\t"))
    return letters or name.strip()


@dataclasses.dataclass(frozen=True)
class HeadLayout:
    """The layout of the classes along the last axis of a class head.

    Attributes:
        variables: Published names of the head's weights.
        num_anchors: A, the number of anchors per cell: each class has A channels; 1 in a
            classifier.
        has_background: Whether the background is class 0, before the others, as in an SSD.
    """

    variables: tuple[str, ...]
    num_anchors: int
    has_background: bool = False


def carry_columns(
    own: np.ndarray, theirs: np.ndarray, match: ClassMatch, layout: HeadLayout
) -> np.ndarray:
    """Our weight with the columns of matched classes replaced by the checkpoint's.

    Args:
        own: [..., A * K], with anchor a and class c at channel a * K + c - 1; with a background
            [..., A * (K + 1)], at channel a * (K + 1) + c.
        theirs: The checkpoint's weight, laid out alike for its own number of classes.
        match: The matched classes.
        layout: Layout of both heads.

    Returns:
        Array of the shape of `own`.
    """
    carried = own.reshape(*own.shape[:-1], layout.num_anchors, -1).copy()
    source = theirs.reshape(*theirs.shape[:-1], layout.num_anchors, -1)
    first = 0 if layout.has_background else 1
    pairs = {0: 0, **match.pairs} if layout.has_background else match.pairs
    for our_id, their_id in pairs.items():
        if our_id - first < carried.shape[-1] and their_id - first < source.shape[-1]:
            carried[..., our_id - first] = source[..., their_id - first]
    return carried.reshape(own.shape)


def shared_anchors(
    ours: Mapping[str, tuple], theirs: Mapping[str, tuple], bias: str = BOX_BIAS
) -> int | None:
    """Number of anchors per cell, if the box heads of both networks agree; else None.

    Args:
        ours: Published name -> shape, of the network.
        theirs: Published name -> shape, of the checkpoint.
        bias: Published name of the box head's bias.
    """
    shapes = [shapes.get(bias) for shapes in (ours, theirs)]
    return shapes[0][0] // 4 if shapes[0] and shapes[0] == shapes[1] else None
