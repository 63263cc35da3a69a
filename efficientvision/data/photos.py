"""Photos: finding their files, and decoding them the one way that the whole library shares.

A photo is 8-bit RGB, the right way up. Converters store it so that TensorFlow decodes the same
pixels from the record: training, evaluation, prediction and exports all see one picture.
"""

from __future__ import annotations

import glob
import io
import os
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from efficientvision import files
from efficientvision.data.eight_bits import UnreadablePhoto, eight_bit_rgb
from efficientvision.data.image_bytes import (
    bit_depth,
    decodes_alike,
    is_heif,
    is_whole_png,
    sniff_format,
)
from efficientvision.data.jpeg_damage import jpeg_damage
from efficientvision.data.picture_files import PILLOW_ERRORS, load, open_header, turned_upright
from efficientvision.errors import UserError
from efficientvision.files import AnyPath

PHOTO_SUFFIXES = (
    ".avif",
    ".bmp",
    ".gif",
    ".jfif",
    ".jpe",
    ".jpeg",
    ".jpg",
    ".mpo",
    ".pgm",
    ".png",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
)
# 1.5 GB as RGB: more than any camera has, less than a hostile file of a few kilobytes may ask for.
MAX_PIXELS = 500_000_000

# What happened to a photo on its way into a record, as reports count it.
TURNED = "photos turned upright as their EXIF tag says (stored as PNG)"
REDUCED = "photos with more than 8 bits a channel, stored with 8"
RECOVERED = "damaged photos recovered (what is missing of them is grey)"
CONVERTED = "photos of other formats stored as PNG"


@dataclass(frozen=True)
class Photo:
    """A decoded photo.

    Attributes:
        image: RGB, 8 bits, upright.
        orientation: the EXIF tag, 1..8, by which `image` has been turned already.
        notes: what was done to it, in the words of the reports' counts.
        is_plain: whether TensorFlow decodes these pixels from the file as it is.
    """

    image: Image.Image
    orientation: int
    notes: tuple[str, ...]
    is_plain: bool


@dataclass(frozen=True)
class StoredPhoto:
    """A photo as it goes into a record.

    Attributes:
        encoded: a JPEG or PNG file from which TensorFlow decodes the upright photo.
        image_format: "jpeg" or "png".
        height, width: pixels, upright.
        orientation: the EXIF tag, 1..8, of the file that it came from.
        notes: what was done to it, in the words of the reports' counts.
        remarks: what a report should say of this very photo.
    """

    encoded: bytes
    image_format: str
    height: int
    width: int
    orientation: int
    notes: tuple[str, ...]
    remarks: tuple[str, ...] = ()


def list_photos(pattern: AnyPath) -> list[str]:
    """Lists the photos that a path, a folder or a glob pattern stands for, sorted by path.

    Of a folder, the files that have a picture's suffix, or no suffix and a picture's first bytes
    (not those of its sub-folders, and no hidden files).

    Raises:
        UserError: there is none.
    """
    path = files.as_text(pattern)
    if files.is_folder(path):
        photos = [
            file
            for file in (files.join(path, name) for name in files.list_names(path))
            if is_photo_name(file) and files.is_file(file)
        ]
        if not photos:
            raise UserError(f"the folder {path} holds no pictures ({' '.join(PHOTO_SUFFIXES)})")
        return photos
    if files.is_file(path):
        return [path]
    photos = [p for p in files.matches(path) if files.is_file(p)]
    if not photos:
        kind = "no file matches the pattern" if glob.has_magic(path) else "there is no file"
        raise UserError(f"{kind} {path!r}")
    return photos


def is_photo_name(path: str) -> bool:
    """Whether a file is a photo by its suffix, or by its first bytes where it has no suffix."""
    name = files.base_name(path)
    if name.startswith("."):
        return False
    suffix = os.path.splitext(name)[1].lower()
    if suffix:
        return suffix in PHOTO_SUFFIXES
    if not files.is_file(path):
        return False
    try:
        with files.reading(path) as file:
            return sniff_format(file.read(32)) is not None
    except OSError:
        return True  # It is not passed over without a word: whoever reads it says what is wrong.


def open_photo(path: AnyPath, *, max_pixels: int | None = MAX_PIXELS) -> np.ndarray:
    """Reads a photo.

    Args:
        path: a picture file of any format that Pillow knows.
        max_pixels: refuse larger photos; None: no limit.

    Returns:
        uint8 [H, W, 3], RGB, upright. Transparent pixels keep the colour that the file gives them.

    Raises:
        UserError: no such file, not a picture, one that was cut short, or one that is too large.
    """
    path = files.as_text(path)
    return np.asarray(decode_photo(read_photo_file(path), repr(path), max_pixels=max_pixels).image)


def read_photo_file(path: AnyPath) -> bytes:
    """The bytes of a photo's file.

    Raises:
        UnreadablePhoto: there is no such file, it is a folder, or it cannot be read.
    """
    path = files.as_text(path)
    try:
        return files.read_bytes(path)
    except FileNotFoundError as error:
        raise UnreadablePhoto(f"there is no file {path!r}") from error
    except IsADirectoryError as error:
        raise UnreadablePhoto(f"{path!r} is a folder, not a picture") from error
    except OSError as error:  # No permission, a bad disk, a lost network drive.
        reason = error.strerror or error
        raise UnreadablePhoto(f"the file {path!r} cannot be read ({reason})") from error


def decode_photo(
    encoded: bytes, name: str, *, max_pixels: int | None = MAX_PIXELS, recover: bool = False
) -> Photo:
    """Decodes a photo of any format that Pillow knows; of several frames, the first.

    16 bits a channel become 8 by their upper byte, as TensorFlow reads such PNG files, and 12 by
    their upper 8 bits, unless a TIFF file states a range of its own. Signed samples, and those of
    32 bits or floating point, are scaled by the range that the file states, else by the smallest
    usual range that holds them: 0..1 (floating point), 0..255, 0..32767 (signed, 16 bits) or
    0..65535.

    Args:
        encoded: the file's bytes.
        name: what errors call it.
        max_pixels: refuse larger photos; None: no limit.
        recover: take a damaged JPEG of which at least three quarters are there; the rest is grey.

    Raises:
        UnreadablePhoto: empty, no picture, damaged, too large, or of samples without a known range.
    """
    image, is_whole = _decoded(encoded, name, max_pixels, recover=recover)
    orientation = image.info["orientation"]
    plain = is_whole and orientation == 1 and decodes_alike(encoded, image.mode)
    rgb, reduced = eight_bit_rgb(image, name)
    reduced = reduced or bit_depth(encoded, image.info["tiff_tags"]) > 8
    notes = [
        note
        for applies, note in (
            (not is_whole, RECOVERED),
            (orientation != 1, TURNED),
            (reduced, REDUCED),
        )
        if applies
    ]
    if not plain and not notes:
        notes.append(CONVERTED)
    return Photo(rgb, orientation, tuple(notes), plain and not reduced)


def decode_picture(
    encoded: bytes, name: str, *, max_pixels: int | None = MAX_PIXELS
) -> Image.Image:
    """Decodes a picture that is no photo, such as a mask: upright, in Pillow's mode of the file.

    `info` has `tiff_tags`, the tags of a TIFF file. Args and errors: see `decode_photo`.
    """
    return _decoded(encoded, name, max_pixels, recover=False)[0]


def store_photo(
    encoded: bytes, name: str, *, max_pixels: int | None = MAX_PIXELS, recover: bool = True
) -> StoredPhoto:
    """Decodes a photo, and encodes it anew where TensorFlow would not see the same pixels.

    Args and errors: see `decode_photo`.
    """
    photo = decode_photo(encoded, name, max_pixels=max_pixels, recover=recover)
    image_format = sniff_format(encoded)
    if not photo.is_plain:
        file = io.BytesIO()
        photo.image.save(file, "PNG", compress_level=3)
        encoded, image_format = file.getvalue(), "png"
    width, height = photo.image.size
    remarks = (f"damaged and recovered: {name}",) if RECOVERED in photo.notes else ()
    return StoredPhoto(
        encoded, image_format, height, width, photo.orientation, photo.notes, remarks
    )


def _decoded(
    encoded: bytes, name: str, max_pixels: int | None, *, recover: bool
) -> tuple[Image.Image, bool]:
    """The upright first frame in its own mode, and whether the file is whole."""
    image_format = sniff_format(encoded)
    image = error = None
    try:
        image = _loaded(encoded, max_pixels)
    except UnidentifiedImageError as unknown:
        raise UnreadablePhoto(_no_picture(encoded, name)) from unknown
    except Image.DecompressionBombError as large:
        raise UnreadablePhoto(_too_large(name, max_pixels)) from large
    except PILLOW_ERRORS as caught:
        error = caught
    damage = jpeg_damage(encoded, image) if image_format == "jpeg" else None
    if damage:
        if not (damage.is_complete or recover and damage.is_usable):
            raise UnreadablePhoto(_cut_short(name, damage.missing)) from error
        image = _loaded(damage.sound, max_pixels)
    elif error:
        raise UnreadablePhoto(_cut_short(name, str(error))) from error
    return turned_upright(image), not damage and (image_format != "png" or is_whole_png(encoded))


def _loaded(encoded: bytes, max_pixels: int | None) -> Image.Image:
    """The first frame; as the file has it, but for a TIFF, which loading turns upright."""
    image = open_header(encoded)
    if max_pixels is not None and image.width * image.height > max_pixels:
        raise Image.DecompressionBombError
    image.info["orientation"] = load(image)
    image.info["tiff_tags"] = getattr(image, "tag_v2", {})
    return image


def _cut_short(name: str, reason: str) -> str:
    return f"the picture {name} cannot be decoded, it may have been cut short ({reason})"


def _no_picture(encoded: bytes, name: str) -> str:
    if not encoded:
        return f"the picture {name} is empty (0 bytes)"
    if is_heif(encoded):
        return f"{name} is a HEIC photo, which Pillow cannot read: save it as JPEG"
    return f"{name} is not a picture that Pillow can read"


def _too_large(name: str, max_pixels: int | None) -> str:
    return (
        f"the picture {name} has more than {max_pixels:,} pixels: raise max_pixels if you trust "
        "the file, or make it smaller"
    )
