"""Reads and checks an image together with its label map."""

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

# Kinds of errors, in the wording of the report's counts.
DAMAGED = "pairs with a damaged file"
SIZES_DIFFER = "pairs whose mask has another size than the image"
NO_PALETTE = "masks in colours, without a palette"
UNKNOWN_COLOR = "masks with a colour outside the palette"
UNKNOWN_LABEL = "masks with a label outside the classes"
TRANSPARENT = "masks with transparent pixels"
TOO_DEEP = "masks with more bits than their labels need"
FRACTIONS = "masks with fractions instead of labels"
OTHER_PALETTE = "masks with another palette than the others"
LOSSY = "masks that are JPEG files"
SEVERAL_PAGES = "masks with several pages"
LABELS_NOT_COLORS = "masks of labels instead of the palette's colours"
UNPAIRED = "images without a mask"
UNPAIRED_MASK = "masks without an image"

# Changes to a pair, in the wording of the report's counts.
MASK_TURNED = "masks drawn before the EXIF tag turned their photos (masks turned too)"


class SpoiltPair(UserError):
    """One pair cannot be used; the sentence names its file.

    Attributes:
        kind: Kind of error, worded to fit every pair that has it.
    """

    def __init__(self, sentence: str = "", kind: str = DAMAGED):
        super().__init__(sentence)
        self.kind = kind


@dataclass(frozen=True)
class MaskPair:
    """An image file and the source of its mask.

    Attributes:
        image: Path of the image.
        mask: Path of the mask, or whatever else the mask reader takes.
        source_id: Name of the image in the records.
    """

    image: str
    mask: Any
    source_id: str


@dataclass(frozen=True)
class LoadedPair:
    """A pair as it goes into a record.

    Attributes:
        encoded: JPEG or PNG file.
        image_format: "jpeg" or "png".
        mask: uint8 [h, w], classes from 0, 255 ignored; of the image's size.
        notes: Changes made to them, in the wording of the report's counts -> how often.
        remarks: Messages about this particular pair.
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
        notes: Changes made to its pixels, in the wording of the report's counts -> how many.
    """

    values: np.ndarray
    notes: Mapping[str, int] = field(default_factory=dict)


# (mask of a pair, (height, width) of the upright image) -> uint8 [h, w]. A reader that has notes
# about masks also has a method `read` with the same arguments, which returns a `DrawnMask`.
ReadMask = Callable[[Any, tuple[int, int]], np.ndarray]


def open_picture(path: str, max_pixels: int | None = MAX_PIXELS) -> tuple[bytes, Image.Image]:
    """Returns a file's bytes and the picture in it, fully decoded and upright.

    Raises:
        SpoiltPair: The file is missing, empty, not a picture, truncated or too large.
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
    """Reads image and mask, both upright.

    If an EXIF tag turns the photo and the mask has the size of the unturned photo, the mask is
    turned as well.

    Args:
        pair: The pair to read.
        read_mask: Reads its mask.
        max_pixels: Reject photos with more pixels; None: no limit.

    Raises:
        SpoiltPair: A file is damaged, the sizes differ, or the mask contains values of no class.
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
            f"{pair.image} has {photo.width} x {photo.height} pixels, but its mask"
            f"{f' {pair.mask}' if isinstance(pair.mask, str) else ''} has {width} x {height}: "
            "give both the same size.",
            SIZES_DIFFER,
        )
    notes = Counter(photo.notes)
    notes.update(drawn.notes)
    notes[MASK_TURNED] += LYING in frame.notes
    notes[ESCAPED] += not is_utf8(pair.image)
    mask = frame.mask(drawn.values) if frame.turn != 1 else drawn.values
    return LoadedPair(photo.encoded, photo.image_format, mask, +notes, photo.remarks)


def encode_pair(pair: MaskPair, read_mask: ReadMask, max_pixels: int | None = MAX_PIXELS) -> bytes:
    """Serialises a pair as a record; arguments and errors as for `load_pair`."""
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
