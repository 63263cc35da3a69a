"""Keeps the worst few of a stream."""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Worst(Generic[Item]):
    """The items with the highest badness seen so far; equal ones in the order of their arrival.

    Args:
        limit: Number of items to keep.
    """

    def __init__(self, limit: int):
        self._limit = limit
        self._count = 0
        self._heap: list[tuple[float, int, Item]] = []

    def admits(self, badness: float) -> bool:
        """Whether an item of that badness would be kept."""
        return len(self._heap) < self._limit or badness > self._heap[0][0]

    def add(self, badness: float, item: Item) -> None:
        """Adds an item, and drops the least bad one if there are too many."""
        self._count += 1
        entry = (badness, -self._count, item)
        keep = heapq.heappush if len(self._heap) < self._limit else heapq.heappushpop
        keep(self._heap, entry)

    def items(self) -> list[Item]:
        """The items, worst first."""
        return [item for _, _, item in sorted(self._heap, key=lambda entry: entry[:2])[::-1]]
