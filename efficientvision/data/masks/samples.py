"""Reads the numbers of a mask file as they were written, not scaled for display."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from efficientvision.data.image_bytes import BITS_PER_SAMPLE, bit_depth, png_depth, pnm_maximum
from efficientvision.data.masks.pairs import (
    FRACTIONS,
    LOSSY,
    SEVERAL_PAGES,
    TOO_DEEP,
    TRANSPARENT,
    SpoiltPair,
    open_picture,
)
from efficientvision.data.picture_files import open_header

_LOSSY_FORMATS = {"JPEG": "a JPEG", "MPO": "a JPEG", "AVIF": "an AVIF", "JPEG2000": "a JPEG 2000"}
_NEW_SUBFILE_TYPE = 254  # Its lowest bit marks a page that is a smaller copy of another.
_FORMATS_OF_PAGES = ("GIF", "PNG", "TIFF", "WEBP")
_OF_NUMBERS = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B", "I;16N", "F")


@dataclass(frozen=True)
class Samples:
    """Content of a mask file.

    Attributes:
        path: Path of the file.
        encoded: Its bytes.
        picture: The picture, without an alpha channel.
        tags: Tags, if it is a TIFF file.
    """

    path: str
    encoded: bytes
    picture: Image.Image
    tags: dict[int, Any]

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """Returns the numbers of its pixels, uint8 or int64 [h, w]; None if it is in colours.

        Numbers are palette indices, greys, or colours with three equal channels.

        Raises:
            SpoiltPair: The numbers are not labels.
        """
        if self.picture.mode in _OF_NUMBERS:
            return _numbers(self.encoded, self.picture, self.tags, self.path)
        rgb = self.rgb
        return rgb[..., 0] if (rgb == rgb[..., :1]).all() else None

    @functools.cached_property
    def rgb(self) -> np.ndarray:
        """Returns the displayed colours, uint8 [h, w, 3].

        Raises:
            SpoiltPair: Greys have more than 8 bits, or numbers are not labels.
        """
        if self.picture.mode not in ("I", "I;16", "I;16L", "I;16B", "I;16N", "F"):
            return np.asarray(self.picture.convert("RGB"))
        if self.labels.min() < 0 or self.labels.max() > 255:
            raise SpoiltPair(
                f"{self.path} has greys from {self.labels.min()} to {self.labels.max()}, but a "
                "palette covers 0 to 255: save it with 8 bits.",
                TOO_DEEP,
            )
        return np.repeat(self.labels.astype(np.uint8)[..., np.newaxis], 3, axis=-1)


def read_samples(path: str, max_pixels: int | None) -> Samples:
    """Reads a mask file, upright.

    Raises:
        SpoiltPair: The file is damaged, lossy or transparent, or has too many bits.
    """
    encoded, picture = open_picture(path, max_pixels)
    if (pages := _pages(encoded, picture.format)) > 1:
        raise SpoiltPair(
            f"{path} has {pages} pages or frames, but a mask has one: save the right one, "
            "or merge them into one picture.",
            SEVERAL_PAGES,
        )
    kind = _LOSSY_FORMATS.get(picture.format)
    if kind or _is_lossy_webp(encoded):
        kind = kind or "a lossy WebP"
        raise SpoiltPair(
            f"{path} is {kind}, whose compression mixes classes: masks must be PNG. Save them as "
            "PNG where they were drawn; if only the JPEG files exist, save them as PNG and map "
            "the classes' colours with `palette`, which takes the nearest.",
            LOSSY,
        )
    tags = picture.info.get("tiff_tags", {})
    depth = bit_depth(encoded, tags)
    if depth > 8 and picture.mode not in _OF_NUMBERS:
        raise SpoiltPair(
            f"{path} has several channels with {depth} bits, but only 8 bits can be read: save it "
            "with 8 bits a channel.",
            TOO_DEEP,
        )
    return Samples(path, encoded, _opaque(picture, path), tags)


def _pages(encoded: bytes, picture_format: str | None) -> int:
    """Number of pictures in a file, not counting the small previews in TIFF files."""
    if picture_format not in _FORMATS_OF_PAGES:
        return 1
    with open_header(encoded) as picture:
        count = getattr(picture, "n_frames", 1)
        if count == 1 or picture_format != "TIFF":
            return count
        copies = 0
        for page in range(count):
            picture.seek(page)
            copies += picture.tag_v2.get(_NEW_SUBFILE_TYPE, 0) & 1
        return count - copies


def _is_lossy_webp(encoded: bytes) -> bool:
    if encoded[:4] != b"RIFF" or encoded[8:12] != b"WEBP":
        return False
    position = 12
    while position + 8 <= len(encoded) and encoded[position : position + 4] != b"VP8L":
        if encoded[position : position + 4] == b"VP8 ":
            return True
        length = int.from_bytes(encoded[position + 4 : position + 8], "little")
        position += 8 + length + length % 2
    return False


def _numbers(encoded: bytes, picture: Image.Image, tags: dict, path: str) -> np.ndarray:
    values = np.asarray(picture)
    if picture.mode == "F":
        return _whole_numbers(values, path)
    top = _largest(encoded, picture, tags)
    if top is None:
        return values if values.dtype == np.uint8 else values.astype(np.int64)
    # Pillow stretches such greys to the full range of 8 or 16 bits.
    return np.rint(values * (top / (255 if picture.mode == "L" else 65535))).astype(np.int64)


def _largest(encoded: bytes, picture: Image.Image, tags: dict) -> int | None:
    """Largest grey that the file can store, if Pillow has stretched its greys; else None."""
    if picture.format == "PPM":
        maximum = pnm_maximum(encoded) or 255
        return None if maximum in (255, 65535) else maximum
    if picture.mode != "L":
        return None
    depth = png_depth(encoded) or next(iter(tags.get(BITS_PER_SAMPLE, ())), 8)
    return 2**depth - 1 if depth in (2, 4) else None


def _whole_numbers(values: np.ndarray, path: str) -> np.ndarray:
    wrong = ~np.isfinite(values) | (values != np.rint(values))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise SpoiltPair(
            f"{path} has floating-point samples such as {values[row, column]:g} (row {row}, column "
            f"{column}), but a mask contains whole numbers, the classes: round it, or save "
            "probabilities as the most probable class, with 8 bits.",
            FRACTIONS,
        )
    return np.clip(values, -(2**31), 2**31).astype(np.int64)


def _opaque(picture: Image.Image, path: str) -> Image.Image:
    """Removes the alpha channel, which must be fully opaque."""
    if picture.mode not in ("LA", "La", "PA", "RGBA", "RGBa"):
        return picture
    alpha = np.asarray(picture.getchannel("A"))
    if (alpha < 255).any():
        raise SpoiltPair(
            f"{path} has an alpha channel, and {(alpha < 255).mean():.1%} of its pixels are "
            "transparent, which is not a class: save it without alpha.",
            TRANSPARENT,
        )
    return picture.convert("L" if picture.mode in ("LA", "La") else "RGB")
