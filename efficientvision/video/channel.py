"""A bounded queue between two threads, with orderly shutdown and error propagation."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")

# Interval in seconds at which a waiting consumer checks whether to stop.
_LOOK_SECONDS = 0.1


class Cancelled(Exception):
    """The consumer has stopped taking items."""


class Channel(Generic[Item]):
    """Passes items from one thread to another through a bounded queue.

    Args:
        capacity: maximum number of queued items; `put` blocks at the limit.
        on_drop: if given, `put` drops the oldest item instead of blocking, and calls this with
            the dropped item and the item that follows it.
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
        """Adds an item; blocks until there is room.

        Raises:
            Cancelled: the consumer has stopped.
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
        """Ends the producer's side; the consumer gets the queued items, then the error."""
        with self._changed:
            self._finished, self._error = True, error
            self._changed.notify_all()

    def cancel(self) -> None:
        """Ends the consumer's side: the producer's next `put` raises `Cancelled`."""
        with self._changed:
            self._cancelled = True
            self._items.clear()
            self._changed.notify_all()

    def batches(
        self, size: int = 1, should_stop: Callable[[], bool] = lambda: False
    ) -> Iterator[list[Item]]:
        """Yields lists of `size` items; the last one may be shorter.

        Args:
            size: number of items per list.
            should_stop: polled several times per second; once true, nothing more is yielded.

        Raises:
            BaseException: the error that the producer finished with.
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
