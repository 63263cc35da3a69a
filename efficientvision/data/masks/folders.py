"""Images and masks in two folders, in one, or in a list -> pairs."""

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
from efficientvision.data.picture_folders import (
    LeftOut,
    existing_file,
    looks_like_a_path,
)
from efficientvision.errors import UserError

log = logging.getLogger(__name__)

REPEATED = "lines of lists that repeat another"


@dataclass
class Found:
    """What a layout holds.

    Attributes:
        parts: name of a part -> its pairs, in the order of their names.
        spoilt: what cannot be a pair, and why.
        left_out: what is not used of the folders.
    """

    parts: dict[str, list[MaskPair]] = field(default_factory=dict)
    spoilt: list[SpoiltPair] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)


def find_pairs(
    images_dir: str, masks_dir: str, mask_suffix: str = "", *, compare_palettes: bool = True
) -> Found:
    """The pairs of two folders, or of their parts `train`, `val` and `test`, matched by name.

    Args:
        images_dir: the images; those of its sub-folders too.
        masks_dir: the masks, in sub-folders of the same names; or the same folder, where a mask is
            known by `mask_suffix`, or stands in a folder `masks` beside one `images` in each part.
        mask_suffix: what a mask's name has more than its image's, before the ending: "_L". Left
            out, "_mask" and its like are tried where no mask has its image's name.
        compare_palettes: whether palettes that differ between masks are an error; they are none
            for masks that are read as colours.

    Raises:
        UserError: a folder is missing or holds no pictures.
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
    """Counts the pairs as spoilt whose mask's palette differs from that of most others."""
    paths = [pair.mask for pairs in found.parts.values() for pair in pairs]
    differing = conflicts(paths)
    for part, pairs in found.parts.items():
        found.parts[part] = [pair for pair in pairs if pair.mask not in differing]
    found.spoilt += [
        SpoiltPair(
            f"{path} has another palette than other masks ({reason}): where the colours are the "
            "classes, give them with `palette`, lines of R G B name; where the indices are, say "
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
    """The pairs of a list, lines of `image, mask` or `image mask`.

    A first line without anything that looks like a picture's path, such as `image,mask`, is a
    heading. Names may hold blanks and commas: a line is parted where both files are there.

    Args:
        list_file: the list; paths may begin with a slash and are relative all the same.
        images_dir, masks_dir: what they are relative to; None: the list's folder.
        compare_palettes: see `find_pairs`.

    Returns:
        All under `"train"`.

    Raises:
        UserError: no such file, a line of another form, or an image with two masks.
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
            log.info(f"{where}, {line.strip()}, is taken for the heading.")
            continue
        if not all(paths) and not _is_plain(line):
            raise UserError(
                f"{where}: expected an image and its mask, got {line.strip()!r}, and it cannot be "
                "parted into two files that are there."
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
                f"{first[image][1]} and {mask}: leave one, or join both into one mask."
            )
    found.parts["train"] = _named(found.parts["train"])
    if compare_palettes:
        drop_other_palettes(found)
    return found


def _named(pairs: Sequence[MaskPair]) -> list[MaskPair]:
    """Pairs by the names of their images; by their paths in the list where names are not unique."""
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
    """All ways to part a line into two names, the likeliest first."""
    for separators in (",", ";", "\t", " "):
        for at, character in enumerate(line):
            if character in separators:
                halves = line[:at], line[at + 1 :]
                names = [half.strip().strip('"').lstrip("/") for half in halves]
                if all(names):
                    yield names[0], names[1]


def _is_plain(line: str) -> bool:
    """Whether a line has two fields, and no doubt which."""
    return len(line.split(",") if "," in line else line.split()) == 2


def split(pairs: Sequence[MaskPair], val_fraction: float, seed: int = 0) -> dict:
    """Holds out a share of the pairs, at random.

    Args:
        pairs: all of them, at least two.
        val_fraction: share (0..1) that becomes `"val"`: at least one, and not all.
        seed: of the choice.
    """
    train, val = hold_out(pairs, val_fraction, seed)
    return {"train": train, "val": val}
