"""An image and its label map, read and checked together."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from efficientvision.data.annotation_frame import LYING, SCALED, find_frame
from efficientvision.data.names import ESCAPED, is_utf8
from efficientvision.data.photos import (
    MAX_PIXELS,
    UnreadablePhoto,
    decode_picture,
    read_photo_file,
    store_photo,
)
from efficientvision.errors import UserError

# Kinds of what may be wrong, as a report counts them.
DAMAGED = "pairs with a damaged file"
SIZES_DIFFER = "pairs whose mask has another size than the image"
NO_PALETTE = "masks in colours, without a palette"
UNKNOWN_COLOR = "masks with a colour outside the palette"
UNKNOWN_LABEL = "masks with a label outside the classes"
TRANSPARENT = "masks with transparent pixels"
TOO_DEEP = "masks with more bits than their labels need"
FRACTIONS = "masks with fractions instead of labels"
OTHER_PALETTE = "masks whose palette is not that of the others"
LOSSY = "masks that are JPEG files"
SEVERAL_PAGES = "masks of several pages"
LABELS_NOT_COLORS = "masks of labels instead of the palette's colours"
UNPAIRED = "images without a mask"
UNPAIRED_MASK = "masks without an image"

# What was done to a pair, as a report counts it.
MASK_TURNED = "masks turned upright with their photos, on which they were drawn lying"


class SpoiltPair(UserError):
    """Something is wrong with one pair; the sentence names its file.

    Attributes:
        kind: what is wrong, in words that suit every pair of which this is so.
    """

    def __init__(self, sentence: str = "", kind: str = DAMAGED):
        super().__init__(sentence)
        self.kind = kind


@dataclass(frozen=True)
class MaskPair:
    """An image file and what its mask is made from.

    Attributes:
        image: path of the image.
        mask: path of the mask, or what else the reader of masks takes.
        source_id: the image's name in the records.
    """

    image: str
    mask: Any
    source_id: str


@dataclass(frozen=True)
class LoadedPair:
    """A pair as it goes into a record.

    Attributes:
        encoded: a JPEG or PNG file.
        image_format: "jpeg" or "png".
        mask: uint8 [h, w], classes from 0, 255 ignored; of the image's size.
        notes: what was done to them, in the words of the reports' counts -> how often.
        remarks: what a report should say of this very pair.
    """

    encoded: bytes
    image_format: str
    mask: np.ndarray
    notes: Counter = field(default_factory=Counter)
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class DrawnMask:
    """A mask as it was drawn.

    Attributes:
        values: uint8 [h, w], classes from 0, 255 ignored.
        notes: what was done to its pixels, in the words of the reports' counts -> how many.
    """

    values: np.ndarray
    notes: Mapping[str, int] = field(default_factory=dict)


# A pair's mask, and (height, width) of the upright image -> uint8 [h, w]. One that has notes about
# masks has a method `read` with these arguments beside, which gives a `DrawnMask`.
ReadMask = Callable[[Any, tuple[int, int]], np.ndarray]


def open_picture(path: str, max_pixels: int | None = MAX_PIXELS) -> tuple[bytes, Image.Image]:
    """A file's bytes and the picture in it, decoded whole and upright.

    Raises:
        SpoiltPair: it is missing, empty, no picture, cut short or too large.
    """
    encoded = _read(path)
    try:
        return encoded, decode_picture(encoded, path, max_pixels=max_pixels)
    except UnreadablePhoto as error:
        raise _spoilt(error) from error


def _read(path: str) -> bytes:
    try:
        return read_photo_file(path)
    except UnreadablePhoto as error:
        raise SpoiltPair(f"{error}.") from error


def _spoilt(error: UnreadablePhoto) -> SpoiltPair:
    advice = "" if ": " in str(error) else ": replace or remove it"
    return SpoiltPair(f"{error}{advice}.", DAMAGED)


def load_pair(
    pair: MaskPair, read_mask: ReadMask, max_pixels: int | None = MAX_PIXELS
) -> LoadedPair:
    """Reads both halves, upright.

    A mask that has the size of the lying photo of a file that an EXIF tag turns is turned as well.

    Args:
        pair: what to read.
        read_mask: makes its mask.
        max_pixels: refuse larger photos; None: no limit.

    Raises:
        SpoiltPair: a file is damaged, the sizes differ, or the mask holds what is no class.
    """
    try:
        photo = store_photo(_read(pair.image), pair.image, max_pixels=max_pixels)
    except UnreadablePhoto as error:
        raise _spoilt(error) from error
    image_hw = photo.height, photo.width
    read = getattr(read_mask, "read", None)
    drawn = read(pair.mask, image_hw) if read else DrawnMask(read_mask(pair.mask, image_hw))
    try:
        frame = find_frame(drawn.values.shape, image_hw, photo.orientation, pair.image)
    except UserError:
        frame = None
    if frame is None or SCALED in frame.notes:
        height, width = drawn.values.shape
        raise SpoiltPair(
            f"{pair.image} has {photo.width} x {photo.height} pixels and its mask"
            f"{f' {pair.mask}' if isinstance(pair.mask, str) else ''} has {width} x {height}: "
            "make both of one size.",
            SIZES_DIFFER,
        )
    notes = Counter(photo.notes)
    notes.update(drawn.notes)
    notes[MASK_TURNED] += LYING in frame.notes
    notes[ESCAPED] += not is_utf8(pair.image)
    mask = frame.mask(drawn.values) if frame.turn != 1 else drawn.values
    return LoadedPair(photo.encoded, photo.image_format, mask, +notes, photo.remarks)


def encode_pair(pair: MaskPair, read_mask: ReadMask, max_pixels: int | None = MAX_PIXELS) -> bytes:
    """One pair as a serialised record; arguments and errors as of `load_pair`."""
    from efficientvision.data.mask_records import MaskExample, encode_mask, encode_mask_example

    loaded = load_pair(pair, read_mask, max_pixels)
    height, width = loaded.mask.shape
    return encode_mask_example(
        MaskExample(
            encoded=loaded.encoded,
            image_format=loaded.image_format,
            filename=os.path.basename(pair.image),
            source_id=pair.source_id,
            height=height,
            width=width,
            mask_encoded=encode_mask(loaded.mask),
        )
    )
