"""A bounded queue between two threads that ends in order, with the error of either side."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")

# How often a waiting consumer looks whether it should stop, seconds.
_LOOK_SECONDS = 0.1


class Cancelled(Exception):
    """Nobody takes items from the channel any more."""


class Channel(Generic[Item]):
    """Hands items from one thread to another, at most `capacity` of them at a time.

    Args:
        capacity: items that wait at most; `put` waits meanwhile.
        on_drop: instead of waiting, the oldest item is dropped. Called with it and with the item
            that follows it.
    """

    def __init__(self, capacity: int, on_drop: Callable[[Item, Item], None] | None = None):
        self._capacity = capacity
        self._on_drop = on_drop
        self._items: collections.deque[Item] = collections.deque()
        self._changed = threading.Condition()
        self._finished = False
        self._cancelled = False
        self._error: BaseException | None = None

    def put(self, item: Item) -> None:
        """Adds an item; waits for room.

        Raises:
            Cancelled: the consumer has gone.
        """
        with self._changed:
            if self._on_drop is None:
                self._changed.wait_for(lambda: len(self._items) < self._capacity or self._cancelled)
            if self._cancelled:
                raise Cancelled
            self._items.append(item)
            if len(self._items) > self._capacity:
                oldest = self._items.popleft()
                self._on_drop(oldest, self._items[0])
            self._changed.notify_all()

    def finish(self, error: BaseException | None = None) -> None:
        """No further items come; the consumer gets those that wait, then the error."""
        with self._changed:
            self._finished, self._error = True, error
            self._changed.notify_all()

    def cancel(self) -> None:
        """No further items are taken: the producer's next `put` raises `Cancelled`."""
        with self._changed:
            self._cancelled = True
            self._items.clear()
            self._changed.notify_all()

    def batches(
        self, size: int = 1, should_stop: Callable[[], bool] = lambda: False
    ) -> Iterator[list[Item]]:
        """Yields lists of `size` items, the last one shorter.

        Args:
            size: items in a list.
            should_stop: asked many times a second; once it is true, nothing more is yielded.

        Raises:
            BaseException: what the producer has finished with.
        """
        while True:
            batch = self._take(size, should_stop)
            if batch:
                yield batch
            if len(batch) < size:
                if self._error is not None and not should_stop():
                    raise self._error
                return

    def _take(self, size: int, should_stop: Callable[[], bool]) -> list[Item]:
        with self._changed:
            batch: list[Item] = []
            while len(batch) < size:
                if should_stop() or self._cancelled:
                    return []
                if self._items:
                    batch.append(self._items.popleft())
                    self._changed.notify_all()
                elif self._finished:
                    break
                else:
                    self._changed.wait(_LOOK_SECONDS)
            return batch
