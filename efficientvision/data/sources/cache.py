"""Keeps the records of a layout, so that a folder is converted only once.

Records are in a folder of their own, `<cache>/<format>-<labels>-<key>`, whose key is computed from
the names, sizes and times of the files that decide them, from the options and from the version of
the converter. It gets its name when it is complete. `conversion.json` in it has the facts for the
line that tells what was taken.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

import filelock
import platformdirs

from efficientvision import files
from efficientvision.data.conversion import ConversionReport
from efficientvision.data.names import printable
from efficientvision.data.photos import READER_VERSION
from efficientvision.data.picture_folders import CACHE_FOLDER
from efficientvision.data.record_files import shard_prefix
from efficientvision.data.sources.entry_locks import hold, is_held_elsewhere
from efficientvision.data.sources.layout import ConvertOptions, Layout
from efficientvision.errors import UserError
from efficientvision.output_folder import check_output_folder

log = logging.getLogger(__name__)

FACTS_NAME = "conversion.json"
REPORT_NAME = "report.txt"
# A younger conversion may go on, on another machine that no lock reaches.
_UNFINISHED_SECONDS = 10 * 60
# Records of the same data by other options that are kept besides the newest.
_KEPT = 3


@dataclasses.dataclass(frozen=True)
class Part:
    """Counts of a part: photos, and boxes or labels."""

    images: int
    labels: int


@dataclasses.dataclass(frozen=True)
class CachedRecords:
    """The records of a data set.

    Attributes:
        folder: Folder of the records.
        parts: "train", "val", "test" -> counts, as far as there are records.
        num_classes: Number of classes with a name.
        unit: What `Part.labels` counts.
        num_remarks: Number of lines in `report.txt` about files left out or changed.
        is_new: Whether they were converted just now.
    """

    folder: str
    parts: dict[str, Part]
    num_classes: int
    unit: str
    num_remarks: int
    is_new: bool


def cached_records(
    layout: Layout, data: str, options: ConvertOptions, cache: str | None = None
) -> CachedRecords:
    """Returns the records of a layout, converting it if that has not been done.

    Other processes wait meanwhile. Records of the same data before they changed are removed,
    unless a process reads them.

    Args:
        layout: The layout.
        data: Folder or file in which it was found.
        options: How to convert it.
        cache: Folder to keep the records in; None: `.efficientvision` in the data folder, or the
            user's cache folder if that cannot be written to.

    Raises:
        UserError: The data cannot be converted, or the disk is full.
    """
    if layout.is_split:
        options = dataclasses.replace(options, val_fraction=0.0, seed=0)
    contents = _contents(layout, data)
    name = _entry_name(layout, contents, options)
    names = [name]
    if options.skip_bad:  # Without that option a conversion is whole, or fails.
        strict = dataclasses.replace(options, skip_bad=False)
        names.append(_entry_name(layout, contents, strict))
    places = [files.as_text(cache)] if cache else [_own_place(data), _users_place()]
    for place, known in itertools.product(places, names):
        if (found := _read(os.path.join(place, known))) is not None:
            return found
    place = _writable(places, data)
    source = files.absolute(data)
    if place == _own_place(data):  # The folder may be moved.
        source = "." if files.is_folder(data) else files.base_name(data)
    with _only_process(place, source, data) as leftovers:
        if (found := _read(os.path.join(place, name))) is not None:
            return found
        for path in leftovers:
            files.remove_folder(path)
        facts = {"source": source, "contents": contents, "options": _options_of(options)}
        made = _convert(layout, os.path.join(place, name), options, facts)
        _remove_outdated(place, os.path.basename(made.folder), facts, layout)
        return made


def _contents(layout: Layout, data: str) -> str:
    """A hash of the names, sizes and times of the files, and of the versions that read them."""
    root = data if files.is_folder(data) else files.parent(data)
    start = os.path.join(root, "")  # The general way takes seconds for many files.
    digest = hashlib.sha256(f"{layout.version} {READER_VERSION}\n".encode())
    for path in sorted(set(layout.inputs)):
        try:
            stat = os.stat(path)
            state = f"{stat.st_size} {stat.st_mtime_ns}"
        except OSError:
            state = "missing"
        is_inside = path.startswith(start)
        name = path[len(start) :] if is_inside else files.relative(path, root)
        line = f"{name}\0{state}\n"
        digest.update(line.encode("utf8", "surrogateescape"))
    return digest.hexdigest()


def _entry_name(layout: Layout, contents: str, options: ConvertOptions) -> str:
    text = json.dumps([layout.format, layout.labels, contents, _options_of(options)])
    key = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"{layout.format}-{layout.labels}-{key}"


def _options_of(options: ConvertOptions) -> dict[str, Any]:
    """The options that decide the records."""
    values = dataclasses.asdict(options)
    del values["num_workers"]
    return values


def _own_place(data: str) -> str:
    folder = data if files.is_folder(data) else files.parent(data)
    return os.path.join(folder, CACHE_FOLDER)


def _users_place() -> str:
    return os.path.join(platformdirs.user_cache_dir("efficientvision"), "data")


def _writable(places: Sequence[str], data: str) -> str:
    first, *others = places
    try:
        check_output_folder("data_cache", first)
    except UserError:
        if not others:
            raise
        check_output_folder("data_cache", others[0])
        log.info(
            f"{files.parent(first)} cannot be written to: the records of {data} are kept in "
            f"{others[0]} (`data_cache` chooses another folder)."
        )
        return others[0]
    return first


def _read(folder: str) -> CachedRecords | None:
    """Returns complete records and marks them as used; None if there are none."""
    try:
        facts = json.loads(files.read_text(os.path.join(folder, FACTS_NAME)))
        for name, size in facts["files"].items():
            if files.size(os.path.join(folder, name)) != size:
                return None
        parts = {part: Part(**counts) for part, counts in facts["parts"].items()}
        found = CachedRecords(
            folder, parts, facts["num_classes"], facts["unit"], facts["num_remarks"], False
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    with contextlib.suppress(OSError):  # A folder that is read-only.
        os.utime(os.path.join(folder, FACTS_NAME))
    hold(os.path.join(folder, FACTS_NAME))
    return found


def _hidden_prefix(source: str) -> str:
    """Start of the names of a source's lock and of its unfinished records."""
    return f".{hashlib.sha256(source.encode('utf8', 'surrogateescape')).hexdigest()[:8]}"


@contextlib.contextmanager
def _only_process(place: str, source: str, data: str) -> Iterator[list[str]]:
    """Waits until no other process converts this source; yields what killed ones have left.

    What was written to in the last minutes is not among it.
    """
    files.make_folder(place)
    prefix = _hidden_prefix(source)
    lock = filelock.FileLock(os.path.join(place, f"{prefix}.lock"))
    try:
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            log.info(f"Another process converts {data}: waiting for it.")
            lock.acquire()
        leftovers = [name for name in files.list_names(place) if name.startswith(f"{prefix}-")]
    except (OSError, NotImplementedError):  # No locks here: what is written twice is equal.
        leftovers = []
    try:
        yield [path for name in leftovers if _is_old(path := os.path.join(place, name))]
    finally:
        lock.release()
        if set(files.list_names(place)) <= {os.path.basename(lock.lock_file)}:  # It failed.
            with contextlib.suppress(OSError):
                files.remove(lock.lock_file)
                os.rmdir(place)


def _is_old(folder: str) -> bool:
    """Whether nothing was written to an unfinished conversion for some time."""
    times = []
    for path in (folder, *(os.path.join(folder, name) for name in files.list_names(folder))):
        with contextlib.suppress(OSError):  # It may just get its name.
            times.append(files.modified(path))
    return bool(times) and time.time() - max(times) > _UNFINISHED_SECONDS


def _put_in_place(made: str, folder: str) -> None:
    """Gives complete records their name, unless others were first that no lock keeps away."""
    if _read(folder) is not None:
        return
    files.remove_folder(folder)  # Incomplete.
    try:
        os.replace(made, folder)
    except OSError:
        if _read(folder) is None:
            raise


def _convert(
    layout: Layout, folder: str, options: ConvertOptions, facts: dict[str, Any]
) -> CachedRecords:
    place = os.path.dirname(folder)
    unique = f"{_hidden_prefix(facts['source'])}-{os.getpid()}-{time.time_ns()}"
    temporary = os.path.join(place, unique)
    try:
        files.make_folder(temporary)
        reports = layout.convert(temporary, options)
        text = printable("\n".join(map(str, reports)).replace(temporary, folder))
        files.write_text(os.path.join(temporary, REPORT_NAME), f"{text}\n")
        names = sorted(files.list_names(temporary))
        sizes = {name: files.size(os.path.join(temporary, name)) for name in names}
        facts = facts | _facts(layout, reports) | {"files": sizes}
        files.write_text(os.path.join(temporary, FACTS_NAME), json.dumps(facts, indent=1))
        _put_in_place(temporary, folder)
    except OSError as error:
        if not files.is_no_space(error):
            raise
        raise UserError(
            f"{place}: {error.strerror} while converting the data: free some space, or keep the "
            "records on another disk with `data_cache`."
        ) from error
    finally:
        files.remove_folder(temporary)
    log.info(text)
    found = _read(folder)
    if found is None:
        raise UserError(f"The records in {folder} were removed while they were made: start again.")
    return dataclasses.replace(found, is_new=True)


def _facts(layout: Layout, reports: Sequence[ConversionReport]) -> dict[str, Any]:
    return {
        "format": layout.format,
        "labels": layout.labels,
        "parts": {
            shard_prefix(report.files[0]): {
                "images": report.num_images,
                "labels": report.num_boxes,
            }
            for report in reports
        },
        "num_classes": len(reports[0].labels),
        "unit": reports[0].unit,
        "num_remarks": sum(len(report.skipped) for report in reports),
    }


def _remove_outdated(place: str, newest: str, facts: dict[str, Any], layout: Layout) -> None:
    """Removes records that were made of the same source when its files were others."""
    same: list[tuple[float, str]] = []
    outdated = []
    for name in files.list_names(place):
        path = os.path.join(place, name, FACTS_NAME)
        if name == newest or not name.startswith(f"{layout.format}-{layout.labels}-"):
            continue
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            theirs = json.loads(files.read_text(path))
            if theirs["source"] != facts["source"]:
                continue
            if theirs["contents"] == facts["contents"]:
                same.append((files.modified(path), name))
            else:
                outdated.append(name)
    outdated += [name for _, name in sorted(same, reverse=True)[_KEPT:]]
    removed = []
    for name in outdated:
        folder = os.path.join(place, name)
        if not is_held_elsewhere(os.path.join(folder, FACTS_NAME)):
            files.remove_folder(folder)
            removed.append(name)
    if removed:
        log.info(f"Removed the outdated records {', '.join(removed)} in {place}.")
