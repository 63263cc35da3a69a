"""Holds out a share of a data set for evaluation."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import TypeVar

from efficientvision.errors import UserError

Item = TypeVar("Item")


def hold_out(
    items: Sequence[Item], val_fraction: float, seed: int = 0
) -> tuple[list[Item], list[Item]]:
    """Splits items at random; both parts keep their order.

    Args:
        items: All items, at least two.
        val_fraction: Share (0..1) to hold out: at least one item, but not all.
        seed: Seed of the choice.

    Returns:
        (items to train on, items held out).

    Raises:
        UserError: The share is out of range, or there are fewer than two items.
    """
    if not 0 < val_fraction < 1:
        raise UserError(f"val_fraction must be between 0 and 1, got {val_fraction:g}.")
    if len(items) < 2:
        raise UserError(f"val_fraction needs at least two images, got {len(items)}.")
    count = min(max(round(len(items) * val_fraction), 1), len(items) - 1)
    chosen = set(random.Random(f"{seed}").sample(range(len(items)), count))
    train = [item for k, item in enumerate(items) if k not in chosen]
    return train, [item for k, item in enumerate(items) if k in chosen]


def part_prefixes(
    items: Sequence[Item], output_prefix: str, val_fraction: float | None, seed: int
) -> dict[str, list[Item]]:
    """Maps the path prefix of each part's shards to the items of that part.

    Without `val_fraction` all items belong to `output_prefix`. Otherwise a share is held out: the
    prefix `tfrecord/train` gets `tfrecord/val` beside it; any other prefix, such as
    `tfrecord/cells`, becomes `tfrecord/cells_train` and `tfrecord/cells_val`.

    Raises:
        UserError: As `hold_out`.
    """
    if val_fraction is None:
        return {output_prefix: list(items)}
    folder, name = os.path.split(output_prefix)
    names = ("train", "val") if name == "train" else (f"{name}_train", f"{name}_val")
    parts = hold_out(items, val_fraction, seed)
    return {os.path.join(folder, part): held for part, held in zip(names, parts, strict=True)}
