"""Finds photos that nearly repeat each other: copies, bursts, frames of a video.

Such photos must not be divided between training and validation. They are recognised by equal bytes
and by their names. A number in a name is often only the numbering of a set (`BloodImage_00012`,
`000000000139`, `2007_000027`, `n01440764_18`), which says nothing.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from efficientvision import files

# Roboflow: cells_jpg.rf.0a1b2c3d.jpg, three copies of cells.jpg, each with another suffix.
_ROBOFLOW = re.compile(r"\.rf\.[0-9A-Za-z]{8,}$")
_OLD_SUFFIX = re.compile(r"_(?:jpe?g|png|bmp|webp|tiff?)$", re.IGNORECASE)
_AUGMENTED = re.compile(r"[-_ ]aug(?:mented)?[-_]?\d*$", re.IGNORECASE)
# 00002IMG_00002_BURST20240101120000123_COVER; the number is the burst's.
_BURST_ID = re.compile(r"BURST(\d{14,})")
# IMG_20240101_120000_BURST002; the number is the photo's.
_BURST = re.compile(r"^(.+?)[-_ ]?BURST\d{0,4}(?:[-_]COVER)?$")
# 20240101_120000, 2024-01-01 12.00.00, PXL_20240101_120000123
_SECOND = re.compile(
    r"(?<!\d)((?:19|20)\d\d)[-_.]?(0[1-9]|1[0-2])[-_.]?(0[1-9]|[12]\d|3[01])"
    r"(?:[-_. T]|_-_| at )?([01]\d|2[0-3])[-_.:h]?([0-5]\d)[-_.:m]?([0-5]\d)"
)
# IMG_0012_1, DSC_0001-3, IMG_0012 (2), IMG_0012~2
_COUNTED = re.compile(r"^(.*?(\d{3,}))(?:[-_ ~]|[-_ ]?(?=\())\(?(\d{1,5})\)?$")
# A year, a day or a WordNet class before a number: the numbering of a set.
_NO_SHOT = re.compile(
    r"(?:^|\D)(?:19|20)\d\d(?:(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))?$|(?:^|[^a-z])n\d{8}$"
)
_FRAME = re.compile(
    r"^(.*(?:frames?|(?<![a-z])(?:video|vid|clip|movie|mp4|avi|mov|mkv|webm|m4v|seq|sequence))"
    r"(?![a-z]).*?)(\d+)$",
    re.IGNORECASE,
)
_LARGEST_BURST = 30
# A video with more than this share of its folder's photos is cut.
_LARGEST_VIDEO = 10
_END_BYTES = 1 << 12


@dataclass(frozen=True)
class _Name:
    """The group that a photo may belong to by its name, and its number in it."""

    group: str
    number: int = 0
    kind: str = "own"


def group_keys(paths: Sequence[str]) -> list[str]:
    """Returns a key for each photo; photos with the same key nearly repeat each other.

    They have the same bytes, or are in one folder and their names say so:

    - Roboflow's augmented copies: all `name_jpg.rf.<hash>.jpg`, and `name_aug1.jpg`;
    - bursts of phones (`IMG_20240101_120000_BURST002.jpg`), photos of one second
      (`20240101_120000_001.jpg`), and photos that a camera counts twice, up to 30 of them below 100
      (`IMG_0012_1.jpg`, `DSC_0001-3.jpg`);
    - frames of a video, whose name says that it is one (`video1_frame_0001.jpg`,
      `clip_mp4-12_jpg.rf.<hash>.jpg`, `frame_000123.jpg`). One with more than a tenth of the photos
      of its folder is cut to runs of successive frames that long, so that a share can be held out.

    Args:
        paths: Paths of photos. Files of equal size are read.
    """
    keys = name_keys(paths)
    parent = {key: key for key in keys}

    def root(key: str) -> str:
        while parent[key] != key:
            parent[key] = key = parent[parent[key]]
        return key

    for same in _same_bytes(paths):
        first = root(keys[same[0]])
        for place in same[1:]:
            parent[root(keys[place])] = first
    return [root(key) for key in keys]


def name_keys(paths: Sequence[str]) -> list[str]:
    """Returns the keys of `group_keys` by the photos' names alone."""
    keys = list(paths)
    folders: dict[str, list[int]] = defaultdict(list)
    for place, path in enumerate(paths):
        folders[os.path.dirname(path)].append(place)
    for folder, places in folders.items():
        stems = [os.path.splitext(os.path.basename(paths[place]))[0] for place in places]
        for place, group in zip(places, _groups_in_folder(stems), strict=True):
            keys[place] = os.path.join(folder, group)
    return keys


def _groups_in_folder(stems: Sequence[str]) -> list[str]:
    plain = [_without_copies(stem) for stem in stems]
    names = [_read_name(stem) for stem in plain]
    counted: dict[str, set[int]] = defaultdict(set)
    for name in names:
        if name.kind == "counted":
            counted[name.group].add(name.number)
    # If all photos are counted after one name, that is the name of the set.
    is_set = len(counted) == 1 and all(name.kind == "counted" for name in names)
    bursts = {
        group
        for group, numbers in counted.items()
        if not is_set and len(numbers) <= _LARGEST_BURST and max(numbers) < 100
    }
    for place, name in enumerate(names):
        if name.kind == "counted" and name.group not in bursts:
            names[place] = _read_frame(plain[place])
    return _cut_videos(names)


def _without_copies(stem: str) -> str:
    """Removes what tools append to the names of copies."""
    original = _ROBOFLOW.sub("", stem)
    if original != stem:
        while (shorter := _OLD_SUFFIX.sub("", original)) != original:
            original = shorter
    return _AUGMENTED.sub("", original) or stem


def _read_name(stem: str) -> _Name:
    if match := _BURST_ID.search(stem):
        return _Name(f"BURST{match[1]}")
    if match := _BURST.match(stem):
        stem = match[1]
    if match := _SECOND.search(stem):
        return _Name(stem[: match.start()] + "".join(match.groups()), _last_number(stem), "second")
    match = _COUNTED.match(stem)
    if match and not _NO_SHOT.search(match[1]):
        return _Name(match[1], int(match[3]), "counted")
    return _read_frame(stem)


def _read_frame(stem: str) -> _Name:
    match = _FRAME.match(stem)
    return _Name(match[1], int(match[2]), "video") if match else _Name(stem)


def _last_number(stem: str) -> int:
    return int(re.findall(r"\d+", stem)[-1])


def _cut_videos(names: Sequence[_Name]) -> list[str]:
    """Returns the groups' names; those of long videos are cut to runs of frames."""
    largest = max(1, len(names) // _LARGEST_VIDEO)
    frames: dict[tuple[str, str], set[int]] = defaultdict(set)
    sizes: Counter[str] = Counter()
    for name in names:
        if name.kind in ("video", "second"):
            frames[name.group, name.kind].add(name.number)
            sizes[name.group] += 1
    run_of: dict[tuple[str, int], int] = {}
    for (group, kind), numbers in frames.items():
        # Names with more photos of one second than a burst has tell when a video began.
        if sizes[group] <= (largest if kind == "video" else max(largest, _LARGEST_BURST)):
            continue
        per_run = max(1, largest * len(numbers) // sizes[group])  # Frames may have copies.
        for place, number in enumerate(sorted(numbers)):
            run_of[group, number] = place // per_run
    return [
        f"{name.group} run {run_of[name.group, name.number]}"
        if (name.group, name.number) in run_of
        else name.group
        for name in names
    ]


def _same_bytes(paths: Sequence[str]) -> Iterator[list[int]]:
    """Yields the places of files with the same bytes.

    Only files of equal size are opened, and only those with equal ends are read as a whole.
    """
    same: Iterable[list[int]] = [list(range(len(paths)))]
    for key in (files.size, functools.partial(_digest, count=_END_BYTES), _digest):
        same = [places for group in same for places in _with_equal(key, group, paths)]
    yield from same


def _with_equal(
    key: Callable[[str], Hashable], places: Sequence[int], paths: Sequence[str]
) -> Iterator[list[int]]:
    """Yields the places of several files that have the same key."""
    found: dict[Hashable, list[int]] = defaultdict(list)
    for place in places:
        with contextlib.suppress(OSError):  # The converter names it.
            found[key(paths[place])].append(place)
    yield from (equal for equal in found.values() if len(equal) > 1)


def _digest(path: str, count: int | None = None) -> bytes:
    """Hash of a file, or of its last bytes."""
    with files.reading(path) as file:
        if count is not None:
            file.seek(max(0, files.size(path) - count))
        return hashlib.blake2b(file.read(), digest_size=16).digest()
