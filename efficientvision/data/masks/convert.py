"""Pairs of images and masks -> records, once all of them have been looked at."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from efficientvision.data.conversion import ConversionReport
from efficientvision.data.labels import LabelMap, write_labels
from efficientvision.data.masks.folders import Found
from efficientvision.data.masks.mask_files import IGNORED
from efficientvision.data.masks.pairs import (
    MaskPair,
    ReadMask,
    SpoiltPair,
    encode_pair,
    load_pair,
)
from efficientvision.data.parallel import map_in_processes
from efficientvision.data.record_files import write_shards
from efficientvision.errors import UserError

_TOO_PLAIN = "images with a mask of one value left out"


@dataclass(frozen=True)
class _Look:
    """What a pair holds: pixels of each value, int64 [256]; or why it cannot be used."""

    pixels: np.ndarray | None
    spoilt: SpoiltPair | None = None


def _look(pair: MaskPair, read_mask: ReadMask) -> _Look:
    try:
        mask = load_pair(pair, read_mask).mask
    except SpoiltPair as error:
        return _Look(None, error)
    return _Look(np.bincount(mask.reshape(-1), minlength=256))


def convert(
    found: Found,
    output_dir: str,
    read_mask: ReadMask,
    labels: LabelMap | None,
    *,
    skip_bad: bool = False,
    min_values: int = 1,
    skipped: Counter | None = None,
    num_shards: int = 32,
    num_workers: int | None = None,
) -> list[ConversionReport]:
    """Writes `<output_dir>/<part>-00000-of-00032.tfrecord` ... and `labels.json`.

    Every pair is read and checked before anything is written.

    Args:
        found: the pairs, by part.
        output_dir: folder of the records.
        read_mask: makes a pair's mask.
        labels: class index (from 0) -> name; None: "class 0" ... up to the highest in the masks.
        skip_bad: leave out pairs that cannot be used, and count them; else they are an error.
        min_values: masks of fewer different values are left out.
        skipped: what was left out before, for the first part's report.
        num_shards: of each part, at most; never more than images.
        num_workers: processes; None: one per core.

    Raises:
        UserError: a pair cannot be used (the first is named), a part is left without any, or the
            masks know one class only.
    """
    reports: dict[str, ConversionReport] = {}
    kept: dict[str, list[MaskPair]] = {}
    pixels: dict[str, np.ndarray] = {}
    spoilt = list(found.spoilt)
    for part, pairs in found.parts.items():
        report = reports[part] = ConversionReport(unit="labelled pixels")
        looks = map_in_processes(
            functools.partial(_look, read_mask=read_mask),
            pairs,
            num_workers=num_workers,
            description=f"checking {part}",
        )
        spoilt += [look.spoilt for look in looks if look.spoilt]
        usable = [(p, k.pixels) for p, k in zip(pairs, looks, strict=True) if k.pixels is not None]
        good = [(p, counts) for p, counts in usable if (counts > 0).sum() >= min_values]
        if len(good) < len(usable):
            report.skipped[_TOO_PLAIN] += len(usable) - len(good)
        kept[part] = [pair for pair, _ in good]
        pixels[part] = sum((counts for _, counts in good), np.zeros(256, np.int64))
    first = next(iter(reports.values()))
    first.skipped.update(skipped or {})
    first.skipped.update(_counted(spoilt, skip_bad))
    _check(kept, sum(pixels.values()), first.skipped)
    if labels is None:
        labels = _numbered_classes(sum(pixels.values()))
    build = functools.partial(encode_pair, read_mask=read_mask)
    for part, report in reports.items():
        prefix = os.path.join(output_dir, part)
        report.labels = labels
        report.num_images = len(kept[part])
        report.num_boxes = int(pixels[part][:IGNORED].sum())
        report.details = share_lines(pixels[part], labels)
        report.files = write_shards(
            kept[part], build, prefix, num_shards=num_shards, num_workers=num_workers
        )
        report.sidecars = [write_labels(prefix, labels)]
    return list(reports.values())


def _counted(spoilt: Sequence[SpoiltPair], skip_bad: bool) -> Counter:
    """How many pairs are left out, by reason, each with its first sentence.

    Raises:
        UserError: there is one, and none may be left out.
    """
    if spoilt and not skip_bad:
        more = f" ({len(spoilt) - 1} more pairs are spoilt.)" if spoilt[1:] else ""
        raise UserError(f"{spoilt[0]}{more} --skip_bad leaves such pairs out.")
    first: dict[str, str] = {}
    for error in spoilt:
        first.setdefault(error.kind, str(error))
    counts = Counter(error.kind for error in spoilt)
    return Counter({f"{k} left out: {first[k]}": count for k, count in counts.items()})


def _check(kept: Mapping[str, list], pixels: np.ndarray, skipped: Counter) -> None:
    empty = [part for part, pairs in kept.items() if not pairs]
    if empty:
        reasons = "; ".join(f"{count} {reason}" for reason, count in skipped.items())
        raise UserError(f"No pair of {empty[0]} can be used{f': {reasons}' if reasons else ''}.")
    present = np.flatnonzero(pixels[:IGNORED])
    if len(present) < 2:
        only = f"class {present[0]}" if len(present) else "no class"
        raise UserError(
            f"The masks know {only} and nothing else beside {IGNORED}, which is ignored: for masks "
            "in black and white give --palette with the lines 0 0 0 background and 255 255 255 "
            "and the name of the class."
        )


def _numbered_classes(pixels: np.ndarray) -> LabelMap:
    highest = int(np.flatnonzero(pixels[:IGNORED])[-1])
    return {k: f"class {k}" for k in range(highest + 1)}


def share_lines(pixels: np.ndarray, labels: Mapping[int, str]) -> list[str]:
    """Every class's share of the labelled pixels, and the share that is ignored, one a line.

    Args:
        pixels: int [256], pixels of each value.
        labels: class -> name.
    """
    labelled = max(int(pixels[:IGNORED].sum()), 1)
    lines = [
        f"{k:>4} {labels.get(k, '?'):<20} {pixels[k] / labelled:7.2%}"
        + ("" if pixels[k] else "  absent")
        for k in sorted(set(labels) | set(np.flatnonzero(pixels[:IGNORED]).tolist()))
    ]
    return [*lines, f"{'ignored':>25} {pixels[IGNORED] / max(int(pixels.sum()), 1):7.2%} of all"]
