"""Finds photo files, and decodes them the one way that the whole library shares.

A photo is 8-bit RGB, upright. Converters store it so that TensorFlow decodes the same pixels from
the record: training, evaluation, prediction and exports all see the same picture.
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
# 1.5 GB as RGB: more than any camera has, less than a tiny hostile file may ask for.
MAX_PIXELS = 500_000_000

# Increase it if photos are stored with other pixels than before: cached records are then outdated.
READER_VERSION = 1

# Changes to a photo on its way into a record, in the wording of the report's counts.
TURNED = "photos turned upright by their EXIF tag (stored as PNG)"
REDUCED = "photos with more than 8 bits a channel, stored with 8"
RECOVERED = "damaged photos recovered (missing parts are grey)"
CONVERTED = "photos of other formats stored as PNG"


@dataclass(frozen=True)
class Photo:
    """A decoded photo.

    Attributes:
        image: RGB, 8 bits, upright.
        orientation: EXIF tag, 1..8, that has been applied to `image`.
        notes: Changes made to it, in the wording of the report's counts.
        is_plain: Whether TensorFlow decodes the same pixels from the unchanged file.
    """

    image: Image.Image
    orientation: int
    notes: tuple[str, ...]
    is_plain: bool


@dataclass(frozen=True)
class StoredPhoto:
    """A photo as it goes into a record.

    Attributes:
        encoded: JPEG or PNG file from which TensorFlow decodes the upright photo.
        image_format: "jpeg" or "png".
        height, width: Size in pixels, upright.
        orientation: EXIF tag, 1..8, of the original file.
        notes: Changes made to it, in the wording of the report's counts.
        remarks: Messages about this particular photo.
    """

    encoded: bytes
    image_format: str
    height: int
    width: int
    orientation: int
    notes: tuple[str, ...]
    remarks: tuple[str, ...] = ()


def list_photos(pattern: AnyPath) -> list[str]:
    """Lists the photos of a path, a folder or a glob pattern, sorted by path.

    In a folder, these are files with a picture's extension, or with no extension and a picture's
    first bytes (not in sub-folders, and no hidden files).

    Raises:
        UserError: There are none.
    """
    path = files.as_text(pattern)
    if files.is_folder(path):
        photos = [
            file
            for file in (files.join(path, name) for name in files.list_names(path))
            if is_photo_name(file) and files.is_file(file)
        ]
        if not photos:
            raise UserError(f"the folder {path} has no pictures ({' '.join(PHOTO_SUFFIXES)})")
        return photos
    if files.is_file(path):
        return [path]
    photos = [p for p in files.matches(path) if files.is_file(p)]
    if not photos:
        is_pattern = glob.has_magic(path)
        missing = "no file matches the pattern" if is_pattern else "there is no file or folder"
        raise UserError(f"{missing} {path!r}")
    return photos


def is_photo_name(path: str) -> bool:
    """Whether a file is a photo, by its extension, or by its first bytes if it has none."""
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
        return True  # Not skipped silently: whoever reads it reports what is wrong.


def open_photo(path: AnyPath, *, max_pixels: int | None = MAX_PIXELS) -> np.ndarray:
    """Reads a photo.

    Args:
        path: Picture file of any format that Pillow reads.
        max_pixels: Reject photos with more pixels; None: no limit.

    Returns:
        uint8 [H, W, 3], RGB, upright. Transparent pixels keep the colour stored in the file.

    Raises:
        UserError: The file is missing, not a picture, truncated, or too large.
    """
    path = files.as_text(path)
    return np.asarray(decode_photo(read_photo_file(path), repr(path), max_pixels=max_pixels).image)


def read_photo_file(path: AnyPath) -> bytes:
    """Returns the bytes of a photo file.

    Raises:
        UnreadablePhoto: There is no such file, it is a folder, or it cannot be read.
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
    """Decodes a photo of any format that Pillow reads; the first frame if there are several.

    16 bits a channel are reduced to 8 by taking the upper byte, as TensorFlow reads such PNG files,
    and 12 bits by taking the upper 8, unless a TIFF file states a range of its own. Signed, 32-bit
    and floating-point samples are scaled by the range that the file states, or else by the smallest
    usual range that contains them: 0..1 (floating point), 0..255, 0..32767 (signed, 16 bits) or
    0..65535.

    Args:
        encoded: Bytes of the file.
        name: Name of the picture in errors.
        max_pixels: Reject photos with more pixels; None: no limit.
        recover: Accept a damaged JPEG of which at least three quarters are intact; the rest is
            grey.

    Raises:
        UnreadablePhoto: It is empty, not a picture, damaged, too large, or its samples have no
            known range.
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
    """Decodes a picture that is not a photo, such as a mask: upright, in Pillow's mode of the file.

    `info` has `tiff_tags`, the tags of a TIFF file. Arguments and errors: see `decode_photo`.
    """
    return _decoded(encoded, name, max_pixels, recover=False)[0]


def store_photo(encoded: bytes, name: str, *, max_pixels: int | None = MAX_PIXELS) -> StoredPhoto:
    """Recovers and decodes a photo, and re-encodes it if TensorFlow would see other pixels.

    Arguments and errors: see `decode_photo`.
    """
    photo = decode_photo(encoded, name, max_pixels=max_pixels, recover=True)
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
    """Returns the upright first frame in its own mode, and whether the file is complete."""
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
    """Loads the first frame as the file has it, except that loading turns a TIFF upright."""
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
