"""An image and its label map, read and checked together."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from efficientvision import files
from efficientvision.errors import UserError

_DECODE_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
_EXIF_ORIENTATION = 0x0112

# Kinds of what may be wrong, as a report counts them.
DAMAGED = "pairs with a damaged file"
SIZES_DIFFER = "pairs whose mask has another size than the image"
NO_PALETTE = "masks in colours, without a palette"
UNKNOWN_COLOR = "masks with a colour outside the palette"
UNKNOWN_LABEL = "masks with a label outside the classes"
TRANSPARENT = "masks with transparent pixels"
LOSSY = "masks that are JPEG files"
UNPAIRED = "images without a mask"
UNPAIRED_MASK = "masks without an image"


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
    """

    encoded: bytes
    image_format: str
    mask: np.ndarray


# A pair's mask, and (height, width) of the image as stored -> uint8 [h, w].
ReadMask = Callable[[Any, tuple[int, int]], np.ndarray]


def open_picture(path: str) -> tuple[bytes, Image.Image]:
    """A file's bytes and the picture in it, decoded whole.

    Raises:
        SpoiltPair: it is missing, empty, no picture, or cut short.
    """
    try:
        encoded = files.read_bytes(path)
    except OSError as error:
        raise SpoiltPair(f"{path} cannot be read ({error.strerror}).") from error
    try:
        picture = Image.open(io.BytesIO(encoded))
        picture.load()
    except UnidentifiedImageError as error:
        reason = "is not a picture" if encoded else "is empty (0 bytes)"
        raise SpoiltPair(f"{path} {reason}: replace or remove it.") from error
    except _DECODE_ERRORS as error:
        raise SpoiltPair(f"{path} cannot be decoded ({error}): replace or remove it.") from error
    return encoded, picture


def load_pair(pair: MaskPair, read_mask: ReadMask) -> LoadedPair:
    """Reads both halves.

    JPEG and PNG files stay as they are, byte for byte; others become PNG. A photo whose EXIF data
    turn it is stored upright where its mask has that size, for masks are drawn on what is seen.

    Args:
        pair: what to read.
        read_mask: makes its mask.

    Raises:
        SpoiltPair: a file is damaged, the sizes differ, or the mask holds what is no class.
    """
    encoded, picture = open_picture(pair.image)
    mask = read_mask(pair.mask, (picture.height, picture.width))
    size = (mask.shape[1], mask.shape[0])
    turned = picture.getexif().get(_EXIF_ORIENTATION, 1) != 1
    upright = ImageOps.exif_transpose(picture) if turned else picture
    if size not in (picture.size, upright.size):
        raise SpoiltPair(
            f"{pair.image} has {picture.width} x {picture.height} pixels and its mask"
            f"{f' {pair.mask}' if isinstance(pair.mask, str) else ''} has {size[0]} x {size[1]}: "
            "make both of one size.",
            SIZES_DIFFER,
        )
    image_format = {"JPEG": "jpeg", "PNG": "png"}.get(picture.format)
    if image_format is None or (turned and size == upright.size):
        file = io.BytesIO()
        upright.convert("RGB").save(file, "PNG")
        encoded, image_format = file.getvalue(), "png"
    return LoadedPair(encoded, image_format, mask)


def encode_pair(pair: MaskPair, read_mask: ReadMask) -> bytes:
    """One pair as a serialised record; raises as `load_pair`."""
    from efficientvision.data.mask_records import MaskExample, encode_mask, encode_mask_example

    loaded = load_pair(pair, read_mask)
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
