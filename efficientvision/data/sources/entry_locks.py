"""Marks records of the cache as being read, so that no process removes them from another."""

from __future__ import annotations

import os
import time

from efficientvision import files

try:
    import fcntl
except ImportError:  # Not Unix: records that were used lately count as being read.
    fcntl = None

_LATELY_SECONDS = 7 * 24 * 3600

# Path -> open file with a shared lock, held until the process ends.
_held: dict[str, int] = {}


def hold(path: str) -> None:
    """Holds a file of the records until this process ends, as far as the file system has locks."""
    if fcntl is None:
        return
    if path in _held:  # Possibly records that were removed and made again.
        os.close(_held.pop(path))
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return
    _held[path] = descriptor


def is_held_elsewhere(path: str) -> bool:
    """Whether another process holds the file, or may hold it; this one lets go of it."""
    if fcntl is None:
        return time.time() - files.modified(path) < _LATELY_SECONDS
    if path in _held:
        os.close(_held.pop(path))
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(descriptor)
