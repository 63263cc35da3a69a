"""TFRecord files: finds them by pattern, counts and reads records, writes shards."""

from __future__ import annotations

import functools
import logging
import multiprocessing
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_EXCEPTION,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from dataclasses import dataclass, field
from typing import Any

from efficientvision import files
from efficientvision.data.conversion import NUM_SHARDS, BuiltRecord, Written
from efficientvision.data.parallel import end_with_parent
from efficientvision.data.record_framing import record_spans
from efficientvision.errors import UserError
from efficientvision.progress import tqdm

log = logging.getLogger(__name__)

_SHARD_NAME = re.compile(r"(?P<prefix>.+)-\d{5}-of-(?P<total>\d{5})\.tfrecord")
_UNFINISHED_NAME = re.compile(r"\.(?P<prefix>.+)-\d{5}-of-\d{5}\.tfrecord\.tmp")
_SIDECARS = (".json", ".yaml", ".yml", ".txt", ".pbtxt")
_REMOTE_READERS = 32

FilePattern = str | Sequence[str]


class NoImageLeft(UserError):
    """All images of a part were left out, as none can be used.

    Args:
        sentence, lines: See `UserError`.
        part: Prefix of the names of its shards.
    """

    def __init__(self, sentence: str, lines: Sequence[str], part: str):
        super().__init__(sentence, lines)
        self.part = part


def match_files(file_pattern: FilePattern) -> list[str]:
    """Returns the record files that match a pattern, sorted.

    Args:
        file_pattern: A path, a glob, several of them separated by commas, or a list of them.
            Other files (``.json`` and the like) and hidden files are skipped, so that
            ``tfrecord/val*`` is safe.

    Raises:
        UserError: A part of the pattern matches no file.
    """
    is_text = isinstance(file_pattern, str)
    pieces = file_pattern.split(",") if is_text else list(file_pattern)
    parts = [str(piece) for piece in pieces if str(piece).strip()]
    if not parts:
        raise UserError("No record files: the file pattern is empty.")
    paths: set[str] = set()
    while parts:
        # Folder names may contain commas: a piece that matches nothing continues after its comma.
        ends = range(1, len(parts) + 1 if is_text else 2)
        candidates = ((end, _records_of(",".join(parts[:end]).strip())) for end in ends)
        end, found = next((known for known in candidates if known[1]), (0, []))
        if not found:
            part = parts[0].strip()
            raise UserError(
                f"No record file matches {part!r} (looked in {files.absolute(part)}); "
                "check the path, or make records with dataset/create_*_tfrecord.py."
            )
        paths.update(found)
        del parts[:end]
    return sorted(paths)


def _records_of(pattern: str) -> list[str]:
    return [
        path
        for path in files.matches(pattern)
        # Asking a remote store about each match would take long, and it lists no folders.
        if not path.endswith(_SIDECARS) and (files.is_remote(path) or files.is_file(path))
    ]


def shard_prefix(path: str) -> str:
    """Returns the ``<prefix>`` of ``<prefix>-00000-of-00004.tfrecord`` (without the folder)."""
    name = os.path.basename(path)
    match = _SHARD_NAME.fullmatch(name)
    return match["prefix"] if match else os.path.splitext(name)[0]


def shard_path(output_prefix: str, index: int, num_shards: int) -> str:
    """``<prefix>-%05d-of-%05d.tfrecord``."""
    return f"{output_prefix}-{index:05d}-of-{num_shards:05d}.tfrecord"


def iter_records(path: str) -> Iterator[bytes]:
    """Yields the serialised records of one file, read without TensorFlow.

    Raises:
        UserError: The file is truncated, or is not a TFRecord file.
    """
    with files.reading(path) as file:
        for offset, length in record_spans(path):
            file.seek(offset)
            yield file.read(length)


def count_records(paths: Sequence[str]) -> list[int]:
    """Counts the records of each file. Reads 12 bytes per record, so it is fast on large data too.

    On a remote store each of these reads has a latency: remote files are counted many at a time,
    and only once per process.
    """
    if not any(files.is_remote(path) for path in paths):
        return [_count_records(path) for path in paths]
    with ThreadPoolExecutor(_REMOTE_READERS) as pool:
        return list(pool.map(_count_remote_records, paths))


def num_records(file_pattern: FilePattern, limit: int | None = None) -> int:
    """Counts the records of all matching files, up to `limit` (None: all of them)."""
    available = sum(count_records(match_files(file_pattern)))
    return min(available, limit or available)


def _count_records(path: str) -> int:
    return sum(1 for _ in record_spans(path))


_count_remote_records = functools.lru_cache(maxsize=None)(_count_records)


def write_shards(
    items: Sequence[Any],
    build_example: Callable[[Any], bytes | BuiltRecord],
    output_prefix: str,
    *,
    num_shards: int | None,
    num_workers: int | None = None,
    skip_bad: bool = False,
) -> Written:
    """Writes one record per item, item i into shard ``i % num_shards``, in parallel processes.

    Shards get their final names only when all of them are complete: an error or an interrupt leaves
    nothing behind, and the next call with the same prefix removes what a killed process left.
    Shards of the same prefix but another ``num_shards`` are then outdated and are removed, since a
    pattern would match both.

    Args:
        items: Arguments of ``build_example``; with more than one worker, both must be picklable.
        build_example: Item -> record, serialised or as a `BuiltRecord`.
        output_prefix: Path prefix of the shards.
        num_shards: Largest number of shards; never more than there are items. None: `NUM_SHARDS`.
        num_workers: Number of processes; None: one per core.
        skip_bad: Skip items for which ``build_example`` raises a `UserError`.

    Raises:
        NoImageLeft: No item can be used, and `skip_bad` is set.
        UserError: There are no items, the number of shards or workers is below 1, or items cannot
            be used; all of these are listed.
        OSError: The disk is full, or the folder is not writable.
    """
    if not os.path.basename(output_prefix):
        raise UserError(
            f"{output_prefix} is a folder, but a prefix of file names is needed, such as "
            f"{os.path.join(output_prefix, 'train')}."
        )
    if not items:
        raise UserError(f"Nothing to write to {output_prefix}: the data set has no images.")
    for name, value in (("num_shards", num_shards), ("num_workers", num_workers)):
        if value is not None and value < 1:
            raise UserError(f"{name} must be at least 1, got {value}.")
    if num_shards is None:
        num_shards = min(NUM_SHARDS, len(items))
    if num_shards > len(items):
        log.info(f"{len(items)} images: writing {len(items)} shards instead of {num_shards}.")
        num_shards = len(items)
    folder, basename = os.path.split(files.absolute(output_prefix))
    is_new = not files.exists(folder)
    files.make_folder(folder)
    _remove_unfinished(folder, basename)
    finals = [shard_path(os.path.join(folder, basename), k, num_shards) for k in range(num_shards)]
    # Hidden, so that patterns such as `tfrecord/val*` never match an unfinished shard.
    temporary = [os.path.join(folder, f".{os.path.basename(path)}.tmp") for path in finals]
    tasks = [(path, items[k::num_shards]) for k, path in enumerate(temporary)]
    num_workers = min(num_workers or os.cpu_count() or 1, num_shards)
    try:
        with tqdm(total=len(items), desc="writing", unit="img") as bar:
            if num_workers == 1:
                shards = [_write_shard(p, part, build_example, bar.update) for p, part in tasks]
            else:
                shards = _write_in_processes(tasks, build_example, num_workers, bar)
        written = _collected(shards, len(items))
        if written.bad and (not skip_bad or len(written.bad) == len(items)):
            raise _unusable(written.bad, len(items), skip_bad, basename)
        for source, target in zip(temporary, finals, strict=True):
            files.move(source, target)
    finally:
        for path in temporary:
            files.remove(path)
        if is_new and not files.list_names(folder):
            files.remove_folder(folder)
    _remove_outdated(folder, basename, num_shards)
    written.paths = [shard_path(output_prefix, k, num_shards) for k in range(num_shards)]
    return written


def _unusable(bad: Sequence[str], count: int, skip_bad: bool, part: str) -> UserError:
    first = bad[0].rstrip(".")
    if skip_bad:
        listed = f"all {count} are listed below, the first" if count > 1 else "its problem"
        return NoImageLeft(
            f"No image is left, as none can be used ({listed}: {first}). Repair or replace them, "
            f"or add images to the part {part}.",
            list(bad),
            part,
        )
    if len(bad) == 1:
        return UserError(f"{first}. Repair or remove it, or skip such images with skip_bad.")
    return UserError(
        f"{len(bad)} of {count} images cannot be used (listed below), the first: {first}. Repair "
        "or remove them, or skip them with skip_bad.",
        lines=list(bad),
    )


@dataclass
class _Shard:
    """Results for the items of one shard, in order: their facts, notes and errors."""

    facts: list[Any] = field(default_factory=list)
    notes: Counter = field(default_factory=Counter)
    bad: dict[int, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def _collected(shards: Sequence[_Shard], count: int) -> Written:
    written = Written([], facts=[None] * count)
    bad: dict[int, str] = {}
    for k, shard in enumerate(shards):
        written.facts[k :: len(shards)] = shard.facts
        written.notes.update(shard.notes)
        written.remarks += shard.remarks
        bad |= {k + place * len(shards): sentence for place, sentence in shard.bad.items()}
    written.bad = [bad[position] for position in sorted(bad)]
    return written


def _write_shard(
    path: str,
    items: Sequence[Any],
    build: Callable[[Any], bytes | BuiltRecord],
    done: Callable[[int], Any],
) -> _Shard:
    import tensorflow as tf

    shard = _Shard()
    with files.tensorflow_errors(files.parent(path)), tf.io.TFRecordWriter(path) as writer:
        for position, item in enumerate(items):
            try:
                built = build(item)
            except UserError as error:
                shard.bad[position] = error.sentence
                built = None
            if isinstance(built, bytes):
                built = BuiltRecord(built)
            if built is not None:
                writer.write(built.serialized)
                shard.notes.update(built.notes)
                shard.remarks += built.remarks
            shard.facts.append(built and built.facts)
            done(1)
    return shard


_counter: Any = None


def _start_worker(counter: Any, parent: int) -> None:
    global _counter
    _counter = counter
    end_with_parent(parent)


def _count(amount: int) -> None:
    with _counter.get_lock():
        _counter.value += amount


def _write_shard_in_worker(
    path: str, items: Sequence[Any], build: Callable[[Any], bytes | BuiltRecord]
) -> _Shard:
    return _write_shard(path, items, build, _count)


def _write_in_processes(
    tasks: Sequence[tuple[str, Sequence[Any]]],
    build: Callable[[Any], bytes | BuiltRecord],
    num_workers: int,
    bar: tqdm,
) -> list[_Shard]:
    import tensorflow  # noqa: F401  imported once here, not once in each forked worker

    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in methods else "spawn")
    counter = context.Value("q", 0)
    started = (counter, os.getpid())
    with ProcessPoolExecutor(num_workers, context, _start_worker, started) as pool:
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
    return [future.result() for future in futures]


def _remove_unfinished(folder: str, basename: str) -> None:
    for name in files.list_names(folder):
        match = _UNFINISHED_NAME.fullmatch(name)
        if match and match["prefix"] == basename:
            files.remove(files.join(folder, name))


def _remove_outdated(folder: str, basename: str, num_shards: int) -> None:
    outdated = []
    for name in files.list_names(folder):
        match = _SHARD_NAME.fullmatch(name)
        if match and match["prefix"] == basename and int(match["total"]) != num_shards:
            outdated.append(name)
    for name in outdated:
        files.remove(files.join(folder, name))
    if outdated:
        log.info(f"Removed {len(outdated)} outdated shards of {basename}, e.g. {outdated[0]}.")
