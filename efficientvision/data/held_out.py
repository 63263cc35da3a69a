"""Holds out a share of a data set for evaluation."""

from __future__ import annotations

import heapq
import os
import random
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Sequence
from typing import TypeVar

from efficientvision.data.photo_groups import group_keys
from efficientvision.errors import UserError

__all__ = ["describe_split", "group_keys", "hold_out", "part_prefixes"]

Item = TypeVar("Item")
Strata = Sequence[Collection[Hashable]]


def hold_out(
    items: Sequence[Item],
    val_fraction: float,
    seed: int = 0,
    *,
    groups: Sequence[Hashable] | None = None,
    strata: Strata | None = None,
) -> tuple[list[Item], list[Item]]:
    """Splits items at random; both parts keep their order.

    Args:
        items: All items, at least two.
        val_fraction: Share (0..1) to hold out: at least one item, but not all.
        seed: Seed of the choice.
        groups: Key of each item; items of the same key stay together. The share is then met as
            well as whole groups allow. If all items have the same key, it is ignored. See
            `group_keys` for photos.
        strata: Classes of each item, such as those of the objects in a photo. About the same share
            of each class is held out, and at least one item of a rare class where there are two and
            the share is large enough. (A simple form of iterative stratification: Sechidis et al.,
            On the Stratification of Multi-label Data, 2011.)

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
    if groups is None and strata is None:
        chosen = set(random.Random(f"{seed}").sample(range(len(items)), count))
    else:
        units = _units(len(items), groups)
        chosen = _choose(units, strata or [()] * len(items), count, random.Random(f"{seed}"))
    train = [item for k, item in enumerate(items) if k not in chosen]
    return train, [item for k, item in enumerate(items) if k in chosen]


def _units(count: int, groups: Sequence[Hashable] | None) -> list[list[int]]:
    """Returns the places of the items that stay together."""
    units: dict[Hashable, list[int]] = defaultdict(list)
    for place in range(count):
        units[place if groups is None else groups[place]].append(place)
    return list(units.values()) if len(units) > 1 else [[place] for place in range(count)]


def _choose(units: list[list[int]], strata: Strata, count: int, rng: random.Random) -> set[int]:
    """Chooses units of about `count` items in all, with about that share of each class.

    Each unit is in the queue of its rarest class, and the queues are served from the rarest class
    on, so that the frequent classes, which have most choice, settle the balance.
    """
    rng.shuffle(units)
    tallies = [Counter(c for place in unit for c in (strata[place] or (None,))) for unit in units]
    totals: Counter = Counter()
    num_units: Counter = Counter()
    for tally in tallies:
        totals.update(tally)
        num_units.update(tally.keys())
    # By their text: the order of a set of names differs between two runs of Python.
    classes = sorted(totals, key=repr)
    rng.shuffle(classes)
    classes.sort(key=totals.__getitem__)
    rank = {c: place for place, c in enumerate(classes)}
    queues: dict[Hashable, list[int]] = defaultdict(list)
    for unit, tally in enumerate(tallies):
        queues[min(tally, key=rank.__getitem__)].append(unit)

    share = count / len(strata)
    wanted = {c: int(totals[c] * share + 1e-9) for c in classes}
    rare = [c for c in classes if not wanted[c] and num_units[c] > 1]
    rng.shuffle(rare)
    wanted.update(dict.fromkeys(rare[: count // 2], 1))

    held: Counter = Counter()
    taken: list[int] = []
    size = 0

    def fits(unit: int) -> bool:
        return size + len(units[unit]) / 2 <= count and len(taken) < len(units) - 1

    def take(unit: int) -> None:
        nonlocal size
        taken.append(unit)
        held.update(tallies[unit])
        size += len(units[unit])

    for c in classes:
        waiting = []
        for unit in queues[c]:
            if held[c] + tallies[unit][c] / 2 <= wanted[c] and fits(unit):
                take(unit)
            else:
                waiting.append(unit)
        queues[c] = waiting[::-1]

    def need(c: Hashable) -> tuple[int, float, int]:
        """Smallest for the class that should get the next unit."""
        has_any = 2 if num_units[c] == 1 else int(held[c] > 0)
        return has_any, held[c] - share * totals[c], rank[c]

    heap = [(need(c), rank[c]) for c in classes]
    heapq.heapify(heap)
    while heap and size < count:
        stated, place = heapq.heappop(heap)
        c = classes[place]
        if stated == need(c):
            while queues[c] and not fits(queues[c][-1]):
                queues[c].pop()
            if not queues[c]:
                continue
            take(queues[c].pop())
        heapq.heappush(heap, (need(c), place))
    if not taken:
        take(min(range(len(units)), key=lambda unit: len(units[unit])))
    return {place for unit in taken for place in units[unit]}


def describe_split(
    num_train: int, num_val: int, groups: Sequence[Hashable] | None = None, *, stratified: bool
) -> str:
    """Returns the sentence on a split for the converter's report.

    Args:
        num_train, num_val: Number of photos in each part.
        groups: Key of each photo, as given to `hold_out`.
        stratified: Whether it was given the photos' classes.
    """
    total = num_train + num_val
    text = f"held out {num_val:,} of {total:,} photos for validation ({num_val / total:.1%})"
    if stratified:
        text += ", with about that share of each class"
    sizes = [size for size in Counter(groups or ()).values() if size > 1]
    if len(sizes) == 1 and sizes[0] == total:
        return f"{text}; all photos nearly repeat each other, so both parts have copies"
    if sizes:
        text += (
            f"; {sum(sizes):,} photos in {len(sizes):,} groups (copies, bursts, video frames) "
            "stayed together"
        )
    return text


def part_prefixes(
    items: Sequence[Item],
    output_prefix: str,
    val_fraction: float | None,
    seed: int,
    *,
    groups: Sequence[Hashable] | None = None,
    strata: Strata | None = None,
) -> dict[str, list[Item]]:
    """Maps the path prefix of each part's shards to the items of that part.

    Without `val_fraction` all items belong to `output_prefix`. Otherwise a share is held out: the
    prefix `tfrecord/train` gets `tfrecord/val` beside it; any other prefix, such as
    `tfrecord/cells`, becomes `tfrecord/cells_train` and `tfrecord/cells_val`. `groups` and
    `strata` are those of `hold_out`.

    Raises:
        UserError: As `hold_out`.
    """
    if val_fraction is None:
        return {output_prefix: list(items)}
    folder, name = os.path.split(output_prefix)
    names = ("train", "val") if name == "train" else (f"{name}_train", f"{name}_val")
    parts = hold_out(items, val_fraction, seed, groups=groups, strata=strata)
    return {os.path.join(folder, part): held for part, held in zip(names, parts, strict=True)}
