"""Pairs of images and masks -> records, after all of them have been checked."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from efficientvision.data.conversion import ConversionReport
from efficientvision.data.labels import LabelMap, write_labels
from efficientvision.data.masks.folders import Found
from efficientvision.data.masks.grey_levels import BlackAndWhite, refuse_grey_levels
from efficientvision.data.masks.mask_files import IGNORED
from efficientvision.data.masks.pairs import (
    MaskPair,
    ReadMask,
    SpoiltPair,
    encode_pair,
    load_pair,
)
from efficientvision.data.parallel import map_in_processes
from efficientvision.data.photos import MAX_PIXELS
from efficientvision.data.record_files import NoImageLeft, write_shards
from efficientvision.errors import UserError

_TOO_PLAIN = "images left out, as their mask has a single value"
_LISTED = 10
_LISTED_ERRORS = 50


@dataclass(frozen=True)
class _Look:
    """Content of a pair: pixels of each value, int64 [256]; or why it cannot be used."""

    pixels: np.ndarray | None
    spoilt: SpoiltPair | None = None
    notes: Counter = field(default_factory=Counter)
    remarks: tuple[str, ...] = ()


def _look(pair: MaskPair, read_mask: ReadMask, max_pixels: int | None = MAX_PIXELS) -> _Look:
    try:
        loaded = load_pair(pair, read_mask, max_pixels)
    except SpoiltPair as error:
        return _Look(None, error)
    pixels = np.bincount(loaded.mask.reshape(-1), minlength=256)
    return _Look(pixels, None, loaded.notes, loaded.remarks)


def convert(
    found: Found,
    output_dir: str,
    read_mask: ReadMask,
    labels: LabelMap | None,
    *,
    skip_bad: bool = False,
    white_is_ignored: bool = False,
    min_values: int = 1,
    max_pixels: int | None = MAX_PIXELS,
    skipped: Counter | None = None,
    num_shards: int | None = 32,
    num_workers: int | None = None,
) -> list[ConversionReport]:
    """Writes `<output_dir>/<part>-00000-of-00032.tfrecord` ... and `labels.json`.

    Every pair is read and checked before anything is written.

    Args:
        found: The pairs, by part.
        output_dir: Folder to write the records to.
        read_mask: Reads a pair's mask.
        labels: Class (from 0) -> name; None: "class 0" ... up to the highest in the masks.
        skip_bad: Skip pairs that cannot be used, and count them; otherwise they are an error.
        white_is_ignored: Whether 255 is known to mean "no class", however much of the masks it
            fills.
        min_values: Masks with fewer different values are left out.
        max_pixels: Reject images with more pixels; None: no limit.
        skipped: Counts of what was left out before; for the first part's report.
        num_shards: See `write_shards`.
        num_workers: Number of processes; None: one per core.

    Raises:
        UserError: Pairs cannot be used (they are listed), a part ends up empty, the masks contain
            a single class, or their values are greys instead of classes.
    """
    reports: dict[str, ConversionReport] = {}
    kept: dict[str, list[MaskPair]] = {}
    pixels: dict[str, np.ndarray] = {}
    spoilt = list(found.spoilt)
    kinds = BlackAndWhite()
    for part, pairs in found.parts.items():
        report = reports[part] = ConversionReport(unit="labelled pixels")
        looks = map_in_processes(
            functools.partial(_look, read_mask=read_mask, max_pixels=max_pixels),
            pairs,
            num_workers=num_workers,
            description=f"checking {part}",
        )
        spoilt += [look.spoilt for look in looks if look.spoilt]
        usable = [(p, k) for p, k in zip(pairs, looks, strict=True) if k.pixels is not None]
        good = [(p, k) for p, k in usable if (k.pixels > 0).sum() >= min_values]
        if len(good) < len(usable):
            report.skipped[_TOO_PLAIN] += len(usable) - len(good)
        kept[part] = [pair for pair, _ in good]
        pixels[part] = sum((look.pixels for _, look in good), np.zeros(256, np.int64))
        for pair, look in good:
            kinds.add(str(pair.mask), look.pixels)
            report.skipped.update(look.notes)
            report.details += look.remarks
    first = next(iter(reports.values()))
    first.skipped.update(skipped or {})
    first.skipped.update(found.left_out.counted())
    first.skipped.update(_counted(spoilt, skip_bad))
    first.details += [f"left out: {error}" for error in spoilt[:_LISTED]]
    if len(spoilt) > _LISTED:
        first.details.append(f"left out: and {len(spoilt) - _LISTED} more")
    _check(
        kept,
        sum(pixels.values()),
        first.skipped,
        named=labels is not None,
        white_is_ignored=white_is_ignored,
    )
    if not white_is_ignored:
        kinds.refuse()
    if labels is None:
        labels = _numbered_classes(sum(pixels.values()))
    build = functools.partial(encode_pair, read_mask=read_mask, max_pixels=max_pixels)
    for part, report in reports.items():
        prefix = os.path.join(output_dir, part)
        report.labels = labels
        report.num_images = len(kept[part])
        report.num_boxes = int(pixels[part][:IGNORED].sum())
        report.details = share_lines(pixels[part], labels) + report.details
        report.add(
            write_shards(kept[part], build, prefix, num_shards=num_shards, num_workers=num_workers)
        )
        report.sidecars = [write_labels(prefix, labels)]
    return list(reports.values())


def _counted(spoilt: Sequence[SpoiltPair], skip_bad: bool) -> Counter:
    """Counts the pairs left out, by reason, each with its first sentence.

    Raises:
        UserError: There are any, and `skip_bad` is off.
    """
    if spoilt and not skip_bad:
        if not spoilt[1:]:
            raise UserError(f"{spoilt[0]} `skip_bad` skips such pairs.")
        lines = [str(error) for error in spoilt[:_LISTED_ERRORS]]
        if len(spoilt) > _LISTED_ERRORS:
            lines.append(f"... and {len(spoilt) - _LISTED_ERRORS} more")
        raise UserError(
            f"{len(spoilt)} pairs are spoilt: repair them, or skip them with `skip_bad`.", lines
        )
    first: dict[str, str] = {}
    for error in spoilt:
        first.setdefault(error.kind, str(error))
    counts = Counter(error.kind for error in spoilt)
    return Counter({f"{k} left out: {first[k]}": count for k, count in counts.items()})


def _check(
    kept: Mapping[str, list],
    pixels: np.ndarray,
    skipped: Counter,
    *,
    named: bool = False,
    white_is_ignored: bool = False,
) -> None:
    empty = [part for part, pairs in kept.items() if not pairs]
    if empty:
        reasons = "; ".join(f"{count} {reason}" for reason, count in skipped.items())
        raise NoImageLeft(
            f"No pair in {empty[0]} can be used{f': {reasons}' if reasons else ''}. Repair or "
            f"replace them, or add pairs to the part {empty[0]}.",
            (),
            empty[0],
        )
    refuse_grey_levels(pixels, named=named, white_is_ignored=white_is_ignored)


def _numbered_classes(pixels: np.ndarray) -> LabelMap:
    highest = int(np.flatnonzero(pixels[:IGNORED])[-1])
    return {k: f"class {k}" for k in range(highest + 1)}


def share_lines(pixels: np.ndarray, labels: Mapping[int, str]) -> list[str]:
    """Lists every class's share of the labelled pixels, and the share of ignored ones.

    Args:
        pixels: int [256], number of pixels of each value.
        labels: Class -> name.
    """
    labelled = max(int(pixels[:IGNORED].sum()), 1)
    lines = [
        f"{k:>4} {labels.get(k, '?'):<20} {pixels[k] / labelled:7.2%}"
        + ("" if pixels[k] else "  absent")
        for k in sorted(set(labels) | set(np.flatnonzero(pixels[:IGNORED]).tolist()))
    ]
    return [*lines, f"{'ignored':>25} {pixels[IGNORED] / max(int(pixels.sum()), 1):7.2%} of all"]
