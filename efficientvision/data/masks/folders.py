"""Images and masks in two folders, in one folder, or in a list -> pairs."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from efficientvision import files
from efficientvision.data.held_out import hold_out
from efficientvision.data.masks.layouts import PictureLists, find_places, pair_up
from efficientvision.data.masks.pairs import (
    OTHER_PALETTE,
    UNPAIRED,
    UNPAIRED_MASK,
    MaskPair,
    SpoiltPair,
)
from efficientvision.data.masks.palettes import conflicts
from efficientvision.data.names import composed
from efficientvision.data.photos import is_photo_name
from efficientvision.data.picture_folders import (
    LeftOut,
    existing_file,
    looks_like_a_path,
)
from efficientvision.errors import UserError

log = logging.getLogger(__name__)

REPEATED = "repeated list lines"


@dataclass
class Found:
    """Result of reading a layout.

    Attributes:
        parts: Part -> its pairs, in the order of their names.
        spoilt: Items that cannot form a pair, and why.
        left_out: Files that are not used.
        lists: Part -> (path of its list, number of images that it names), where there are lists.
    """

    parts: dict[str, list[MaskPair]] = field(default_factory=dict)
    spoilt: list[SpoiltPair] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)
    lists: dict[str, tuple[str, int]] = field(default_factory=dict)


def find_pairs(
    images_dir: str, masks_dir: str, mask_suffix: str = "", *, compare_palettes: bool = True
) -> Found:
    """Matches images and masks of two folders, or of their parts `train`, `val`, `test`, by name.

    Args:
        images_dir: Folder of the images, including sub-folders.
        masks_dir: Folder of the masks, in sub-folders of the same names. It may be the same folder
            if masks are recognised by `mask_suffix`, or if each part has folders `images` and
            `masks`.
        mask_suffix: Suffix that a mask's name, without its extension, adds to its image's: "_L". If
            empty, "_mask" and the like are tried when no mask has the name of its image.
        compare_palettes: Whether palettes that differ between masks are an error; they are not for
            masks that are read as colours.

    Raises:
        UserError: A folder is missing or contains no pictures.
    """
    found = Found()
    places = find_places(images_dir, masks_dir, found.left_out)
    lists = PictureLists(found.left_out)
    lonely_images: dict[str, str] = {}
    lonely_masks: dict[str, str] = {}
    for place in places:
        paired = pair_up(place, mask_suffix, lists)
        if place.part == "test" and not paired.pairs and len(places) > 1:
            for path in paired.images.values():
                found.left_out.add("images of the part test, which has no masks,", path)
            continue
        found.parts[place.part] = [MaskPair(*each, name) for name, each in paired.pairs.items()]
        for name, path in paired.images.items():
            lonely_images[path] = os.path.join(place.masks, f"{name}{paired.suffix}.png")
        lonely_masks |= dict.fromkeys(paired.masks.values(), place.images)
    used = {path for pairs in found.parts.values() for p in pairs for path in (p.image, p.mask)}
    for path, expected in lonely_images.items():
        if path not in used:
            sentence = f"{path} has no mask: there is no {expected}."
            found.spoilt.append(SpoiltPair(sentence, UNPAIRED))
    for path, folder in lonely_masks.items():
        if path not in used:
            sentence = f"{path} has no image: there is none of that name in {folder}."
            found.spoilt.append(SpoiltPair(sentence, UNPAIRED_MASK))
    if compare_palettes:
        drop_other_palettes(found)
    return found


def drop_other_palettes(found: Found) -> None:
    """Moves pairs whose mask's palette differs from that of most masks to the unusable ones."""
    paths = [pair.mask for pairs in found.parts.values() for pair in pairs]
    differing = conflicts(paths)
    for part, pairs in found.parts.items():
        found.parts[part] = [pair for pair in pairs if pair.mask not in differing]
    found.spoilt += [
        SpoiltPair(
            f"{path} has another palette than the other masks ({reason}): if the colours are the "
            "classes, set `palette`, a file with lines of R G B name; if the indices are, set "
            "`ignore_palettes`.",
            OTHER_PALETTE,
        )
        for path, reason in differing.items()
    ]


def read_list(
    list_file: str,
    images_dir: str | None = None,
    masks_dir: str | None = None,
    *,
    compare_palettes: bool = True,
) -> Found:
    """Reads the pairs of a list with lines of `image, mask` or `image mask`.

    A first line without anything that looks like the path of a picture, such as `image,mask`, is a
    heading. Names may contain spaces and commas: a line is split where both files exist.

    Args:
        list_file: Path of the list; paths in it are relative even if they begin with a slash.
        images_dir, masks_dir: Folders that they are relative to; None: the list's folder.
        compare_palettes: See `find_pairs`.

    Returns:
        The pairs, all in `"train"`.

    Raises:
        UserError: There is no such file, a line has another form, or an image has two masks.
    """
    try:
        lines = files.read_text(list_file).splitlines()
    except OSError as error:
        raise UserError(f"Cannot read the list {list_file}: {error.strerror}.") from error
    folders = [folder or files.parent(list_file) for folder in (images_dir, masks_dir)]
    found = Found({"train": []})
    first: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{list_file}, line {number}"
        candidates = list(_halves(line.strip()))
        if not candidates:
            raise UserError(f"{where}: expected an image and its mask, got {line.strip()!r}.")
        known = ((c, _existing(folders, c)) for c in candidates)
        fields, paths = next(
            (each for each in known if all(each[1])),
            (candidates[0], _existing(folders, candidates[0])),
        )
        if not any(paths) and number == 1 and not looks_like_a_path(line.strip()):
            log.info(f"{where}, {line.strip()}: taken as the heading.")
            continue
        if not all(paths) and not _is_plain(line):
            raise UserError(
                f"{where}: expected an image and its mask, got {line.strip()!r}, which cannot be "
                "split into two files that exist."
            )
        if not all(paths):
            missing = 0 if paths[0] is None else 1
            sentence = f"{where}: there is no {os.path.join(folders[missing], fields[missing])}."
            kind = UNPAIRED if missing else UNPAIRED_MASK
            found.spoilt.append(SpoiltPair(sentence, kind))
            continue
        image, mask = map(os.path.normpath, paths)
        if image not in first:
            first[image] = number, mask
            found.parts["train"].append(MaskPair(*paths, fields[0]))
        elif first[image][1] == mask:
            found.left_out.add(REPEATED, where)
        else:
            raise UserError(
                f"{list_file}: lines {first[image][0]} and {number} give {fields[0]} the masks "
                f"{first[image][1]} and {mask}: keep one, or merge both into one mask."
            )
    found.parts["train"] = _named(found.parts["train"])
    if compare_palettes:
        drop_other_palettes(found)
    return found


def names_pairs(list_file: str) -> bool:
    """Whether a file has the form of `read_list`, by its first lines: names of two pictures."""
    try:
        lines = files.read_text(list_file).splitlines()[:2]
    except (UserError, OSError):
        return False
    places = [files.parent(list_file)] * 2
    halves = [half for line in lines for half in _halves(line.strip())]
    if any(all(map(is_photo_name, half)) for half in halves):  # Whether they exist or not.
        return True
    return any(all(_existing(places, half)) for half in halves)


def _named(pairs: Sequence[MaskPair]) -> list[MaskPair]:
    """Names pairs after their images, or after their paths in the list if names are not unique."""
    paths = [composed(os.path.normpath(pair.source_id.replace("\\", "/"))) for pair in pairs]
    stems = [os.path.splitext(path)[0] for path in paths]
    names = [os.path.basename(stem) for stem in stems]
    counts, stem_counts = Counter(names), Counter(stems)
    return [
        replace(pair, source_id=name if counts[name] == 1 else stem)
        if stem_counts[stem] == 1
        else replace(pair, source_id=path)
        for pair, name, stem, path in zip(pairs, names, stems, paths, strict=True)
    ]


def _existing(folders: Sequence[str], names: Sequence[str]) -> list[str | None]:
    return [existing_file(*each) for each in zip(folders, names, strict=True)]


def _halves(line: str) -> Iterator[tuple[str, str]]:
    """Yields all ways to split a line into two names, the likeliest first."""
    for separators in (",", ";", "\t", " "):
        for at, character in enumerate(line):
            if character in separators:
                halves = line[:at], line[at + 1 :]
                names = [half.strip().strip('"').lstrip("/") for half in halves]
                if all(names):
                    yield names[0], names[1]


def _is_plain(line: str) -> bool:
    """Whether a line has exactly two fields, so that the split is clear."""
    return len(line.split(",") if "," in line else line.split()) == 2


def split(pairs: Sequence[MaskPair], val_fraction: float, seed: int = 0) -> dict:
    """Holds out a random share of the pairs.

    Args:
        pairs: All pairs, at least two.
        val_fraction: Share (0..1) that becomes `"val"`: at least one pair, but not all.
        seed: Seed of the choice.
    """
    train, val = hold_out(pairs, val_fraction, seed)
    return {"train": train, "val": val}
