"""TFRecord files: find them by pattern, count and read their records, write them in shards."""

from __future__ import annotations

import functools
import multiprocessing
import os
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_EXCEPTION,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from typing import Any

from tqdm import tqdm

from efficientvision import files
from efficientvision.errors import UserError

_SHARD_NAME = re.compile(r"(?P<prefix>.+)-\d{5}-of-(?P<total>\d{5})\.tfrecord")
_SIDECARS = (".json", ".yaml", ".yml", ".txt")
_REMOTE_READERS = 32

FilePattern = str | Sequence[str]


def match_files(file_pattern: FilePattern) -> list[str]:
    """The record files of a pattern, sorted.

    Args:
        file_pattern: a path, a glob, several of them separated by commas, or a list of them.
            Sidecars (``.json`` and the like) and hidden files are left out, so that
            ``tfrecord/val*`` is safe.

    Raises:
        UserError: a part of the pattern matches no file.
    """
    parts = file_pattern.split(",") if isinstance(file_pattern, str) else list(file_pattern)
    parts = [str(part).strip() for part in parts if str(part).strip()]
    if not parts:
        raise UserError("No record files: the file pattern is empty.")
    paths: set[str] = set()
    for part in parts:
        found = [
            path
            for path in files.matches(part)
            # Asking a store about each of its matches would take long; it lists no folders.
            if not path.endswith(_SIDECARS) and (files.is_remote(path) or files.is_file(path))
        ]
        if not found:
            raise UserError(
                f"No record file matches {part!r} (looked in {files.absolute(part)}); "
                "check the path, or make records with dataset/create_*_tfrecord.py."
            )
        paths.update(found)
    return sorted(paths)


def shard_prefix(path: str) -> str:
    """The ``<prefix>`` of ``<prefix>-00000-of-00004.tfrecord`` (without the folder)."""
    name = os.path.basename(path)
    match = _SHARD_NAME.fullmatch(name)
    return match["prefix"] if match else os.path.splitext(name)[0]


def shard_path(output_prefix: str, index: int, num_shards: int) -> str:
    """``<prefix>-%05d-of-%05d.tfrecord``."""
    return f"{output_prefix}-{index:05d}-of-{num_shards:05d}.tfrecord"


def _record_spans(path: str) -> Iterator[tuple[int, int]]:
    """(offset, length) of the payload of each record (TFRecord framing, checksums not verified)."""
    size = files.size(path)
    with files.reading(path) as file:
        position = 0
        while position < size:
            header = file.read(12)
            length = struct.unpack("<Q", header[:8])[0] if len(header) == 12 else size
            end = position + 12 + length + 4
            if end > size:
                raise UserError(
                    f"{path} is cut short or no TFRecord file: it has {size} bytes, and the record "
                    f"at byte {position} would end at {end}; make the file again."
                )
            yield position + 12, length
            position = end
            file.seek(position)


def iter_records(path: str) -> Iterator[bytes]:
    """The serialised records of one file, read without TensorFlow.

    Raises:
        UserError: the file is cut short or is no TFRecord file.
    """
    with files.reading(path) as file:
        for offset, length in _record_spans(path):
            file.seek(offset)
            yield file.read(length)


def count_records(paths: Sequence[str]) -> list[int]:
    """Records per file. Reads 12 bytes a record, so it is fast on big sets too.

    A store answers each of these reads after a while: remote files are counted many at a time, and
    once in a process.
    """
    if not any(files.is_remote(path) for path in paths):
        return [_count_records(path) for path in paths]
    with ThreadPoolExecutor(_REMOTE_READERS) as pool:
        return list(pool.map(_count_remote_records, paths))


def _count_records(path: str) -> int:
    return sum(1 for _ in _record_spans(path))


_count_remote_records = functools.lru_cache(maxsize=None)(_count_records)


def write_shards(
    items: Sequence[Any],
    build_example: Callable[[Any], bytes],
    output_prefix: str,
    *,
    num_shards: int,
    num_workers: int | None = None,
) -> list[str]:
    """Writes one record per item, item i into shard ``i % num_shards``, in parallel processes.

    Shards get their names only when all of them are complete: an error or an interrupt leaves
    nothing behind. Shards of the same prefix and another ``num_shards`` are outdated then, and are
    removed, since a pattern would match both.

    Args:
        items: what ``build_example`` takes; with more than one worker, both must be picklable.
        build_example: item -> serialised record.
        output_prefix: path prefix of the shards.
        num_shards: at most this many; never more than there are items.
        num_workers: processes; None: one per core.

    Returns:
        The paths written.

    Raises:
        UserError: no items, or a bad number of shards; and what ``build_example`` raises.
    """
    if not items:
        raise UserError(f"Nothing to write to {output_prefix}: the data set has no images.")
    if num_shards < 1:
        raise UserError(f"num_shards must be at least 1, got {num_shards}.")
    if num_shards > len(items):
        print(f"{len(items)} images: writing {len(items)} shards instead of {num_shards}.")
        num_shards = len(items)
    folder, basename = os.path.split(files.absolute(output_prefix))
    files.make_folder(folder)
    finals = [shard_path(os.path.join(folder, basename), k, num_shards) for k in range(num_shards)]
    # Hidden, so that a pattern such as `tfrecord/val*` never sees an unfinished shard.
    temporary = [os.path.join(folder, f".{os.path.basename(path)}.tmp") for path in finals]
    tasks = [(path, items[k::num_shards]) for k, path in enumerate(temporary)]
    num_workers = min(num_workers or os.cpu_count() or 1, num_shards)
    try:
        with tqdm(total=len(items), desc="writing", unit="img") as bar:
            if num_workers == 1:
                for path, part in tasks:
                    _write_shard(path, part, build_example, bar.update)
            else:
                _write_in_processes(tasks, build_example, num_workers, bar)
        for source, target in zip(temporary, finals, strict=True):
            files.move(source, target)
    finally:
        for path in temporary:
            files.remove(path)
    _remove_outdated(folder, basename, num_shards)
    return [shard_path(output_prefix, k, num_shards) for k in range(num_shards)]


def _write_shard(
    path: str, items: Sequence[Any], build: Callable[[Any], bytes], done: Callable[[int], Any]
) -> None:
    import tensorflow as tf

    with tf.io.TFRecordWriter(path) as writer:
        for item in items:
            writer.write(build(item))
            done(1)


_counter: Any = None


def _start_worker(counter: Any) -> None:
    global _counter
    _counter = counter


def _count(amount: int) -> None:
    with _counter.get_lock():
        _counter.value += amount


def _write_shard_in_worker(path: str, items: Sequence[Any], build: Callable[[Any], bytes]) -> None:
    _write_shard(path, items, build, _count)


def _write_in_processes(
    tasks: Sequence[tuple[str, Sequence[Any]]],
    build: Callable[[Any], bytes],
    num_workers: int,
    bar: tqdm,
) -> None:
    import tensorflow  # noqa: F401  imported once here, not once in each forked worker

    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in methods else "spawn")
    counter = context.Value("q", 0)
    with ProcessPoolExecutor(num_workers, context, _start_worker, (counter,)) as pool:
        futures = [pool.submit(_write_shard_in_worker, path, part, build) for path, part in tasks]
        pending = set(futures)
        try:
            while pending:
                finished, pending = wait(pending, timeout=0.2, return_when=FIRST_EXCEPTION)
                bar.update(counter.value - bar.n)
                for future in finished:
                    future.result()
        finally:
            for future in pending:
                future.cancel()


def _remove_outdated(folder: str, basename: str, num_shards: int) -> None:
    outdated = []
    for name in files.list_names(folder):
        match = _SHARD_NAME.fullmatch(name)
        if match and match["prefix"] == basename and int(match["total"]) != num_shards:
            outdated.append(name)
    for name in outdated:
        files.remove(files.join(folder, name))
    if outdated:
        print(f"Removed {len(outdated)} outdated shards of {basename}, e.g. {outdated[0]}.")
