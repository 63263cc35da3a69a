"""Photos: finding their files, and decoding them the one way that the whole library shares.

A photo is 8-bit RGB, the right way up. Converters store it so that TensorFlow decodes the same
pixels from the record: training, evaluation, prediction and exports all see one picture.
"""

from __future__ import annotations

import glob
import io
import os
import threading
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from efficientvision import files
from efficientvision.data.image_bytes import decodes_alike, is_whole_jpeg, png_depth, sniff_format
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

_ORIENTATION_TAG = 0x0112
# TIFF: the samples that stand for black and for white, unsigned or of the sample's own type.
_RANGE_TAGS = ((280, 281), (340, 341))
_LEAST_SHARE_OF_ROWS = 0.75
_MIDDLE_GREY = 128
_DECODE_ERRORS = (OSError, SyntaxError, ValueError, ArithmeticError, EOFError, IndexError)
_pillows_limit = threading.Lock()


class UnreadablePhoto(UserError):
    """A photo that cannot be decoded."""


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
    with files.reading(path) as file:
        return sniff_format(file.read(32)) is not None


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
        UnreadablePhoto: there is no such file, or it is a folder.
    """
    path = files.as_text(path)
    try:
        return files.read_bytes(path)
    except FileNotFoundError as error:
        raise UnreadablePhoto(f"there is no file {path!r}") from error
    except IsADirectoryError as error:
        raise UnreadablePhoto(f"{path!r} is a folder, not a picture") from error


def decode_photo(
    encoded: bytes, name: str, *, max_pixels: int | None = MAX_PIXELS, recover: bool = False
) -> Photo:
    """Decodes a photo of any format that Pillow knows; of several frames, the first.

    16 bits a channel become 8 by their upper byte, as TensorFlow reads such PNG files. Samples of
    32 bits or floating point are scaled by the range that the file states, else by the smallest
    usual range that holds them: 0..1, 0..255 or 0..65535.

    Args:
        encoded: the file's bytes.
        name: what errors call it.
        max_pixels: refuse larger photos; None: no limit.
        recover: take a truncated JPEG of which at least three quarters are there; the rest is grey.

    Raises:
        UnreadablePhoto: empty, no picture, damaged, too large, or of samples without a known range.
    """
    image, recovered = _decoded(encoded, name, max_pixels, recover=recover)
    if recover and not recovered and image.format == "JPEG" and not is_whole_jpeg(encoded):
        recovered = True  # Pillow shows what is there without a word; TensorFlow refuses it.
    orientation = image.info.get("orientation", 1)
    plain = not recovered and orientation == 1 and decodes_alike(encoded, image.mode)
    rgb, reduced = eight_bit_rgb(image, name)
    reduced = reduced or png_depth(encoded) == 16
    notes = [
        note
        for applies, note in (
            (recovered, RECOVERED),
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
    """The upright first frame in its own mode, and whether a truncated file was recovered."""
    try:
        return _loaded(encoded, max_pixels), False
    except UnidentifiedImageError as error:
        raise UnreadablePhoto(_no_picture(encoded, name)) from error
    except Image.DecompressionBombError as error:
        raise UnreadablePhoto(_too_large(name, max_pixels)) from error
    except _DECODE_ERRORS as error:
        image = _recovered(encoded, max_pixels) if recover else None
        if image is None:
            raise UnreadablePhoto(
                f"the picture {name} cannot be decoded, it may have been cut short ({error})"
            ) from error
        return image, True


def _loaded(encoded: bytes, max_pixels: int | None) -> Image.Image:
    """The first frame, turned upright; `info["orientation"]` is the tag that it had."""
    image = open_header(encoded)
    if max_pixels is not None and image.width * image.height > max_pixels:
        raise Image.DecompressionBombError
    image_format = image.format
    before = image.getexif().get(_ORIENTATION_TAG)  # Loading a TIFF turns it and drops the tag.
    image.load()
    tag = before if before is not None else image.getexif().get(_ORIENTATION_TAG)
    # It copies what it need not turn.
    upright = ImageOps.exif_transpose(image) if tag in range(2, 9) else image
    upright.format = image_format
    upright.info["orientation"] = tag if tag in range(1, 9) else 1
    upright.info["tiff_tags"] = getattr(image, "tag_v2", {})
    return upright


def _recovered(encoded: bytes, max_pixels: int | None) -> Image.Image | None:
    """A truncated JPEG as far as it goes, if most of its rows are there."""
    if sniff_format(encoded) != "jpeg":
        return None
    try:
        # An end mark lets the decoder finish with what it has; a progressive file has all of the
        # picture in each of its scans, and gets coarser.
        image = _loaded(encoded + b"\xff\xd9", max_pixels)
    except (*_DECODE_ERRORS, Image.DecompressionBombError):
        return None
    # Rows (as stored) that the file lacks come out in the middle grey.
    lacking = (np.asarray(image.convert("RGB")) == _MIDDLE_GREY).all(axis=-1)
    missing = lacking.all(axis=0 if image.info["orientation"] >= 5 else 1).mean()
    return image if 1 - missing >= _LEAST_SHARE_OF_ROWS else None


def eight_bit_rgb(image: Image.Image, name: str) -> tuple[Image.Image, bool]:
    """RGB of 8 bits, and whether the picture had more; scaled as `decode_photo` says.

    Args:
        image: of any mode; one that is RGB is returned as it is.
        name: what errors call it.

    Raises:
        UnreadablePhoto: samples without a known range, or colours that cannot be converted.
    """
    if image.mode == "RGB":
        return image, False
    if not image.mode.startswith(("I", "F")):
        try:
            return image.convert("RGB"), False
        except ValueError as error:
            raise UnreadablePhoto(
                f"the picture {name} has colours of the kind {image.mode}, which cannot be "
                "converted: save it as RGB"
            ) from error
    samples = np.asarray(image)
    if samples.dtype.itemsize == 2:
        grey = samples >> 8
    else:
        grey = _scaled(samples.astype(np.float64), _stated_range(image), image.mode == "F", name)
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB"), True


def _scaled(
    samples: np.ndarray, stated: tuple[float, float] | None, is_float: bool, name: str
) -> np.ndarray:
    usual = ((0.0, 1.0), (0.0, 255.0)) if is_float else ((0.0, 255.0),)
    ranges = (stated,) if stated else (*usual, (0.0, 65535.0))
    low, high = float(samples.min()), float(samples.max())
    for black, white in ranges:
        if black <= low and high <= white:
            return np.rint((samples - black) * (255 / (white - black)))
    kind = "floating-point" if is_float else "32-bit"
    wanted = f"the range {stated} that it states" if stated else "0..1, 0..255 and 0..65535"
    raise UnreadablePhoto(
        f"the picture {name} has {kind} samples from {low:g} to {high:g}, outside of {wanted}: "
        "save it with 8 or 16 bits a channel"
    )


def _stated_range(image: Image.Image) -> tuple[float, float] | None:
    tags = image.info.get("tiff_tags") or getattr(image, "tag_v2", {})
    for low, high in _RANGE_TAGS:
        if low in tags and high in tags:
            black, white = (float(np.ravel(tags[tag])[0]) for tag in (low, high))
            if black < white:
                return black, white
    return None


def _no_picture(encoded: bytes, name: str) -> str:
    if not encoded:
        return f"the picture {name} is empty (0 bytes)"
    if encoded[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypmsf1"):
        return f"{name} is a HEIC photo, which Pillow cannot read: save it as JPEG"
    return f"{name} is not a picture that Pillow can read"


def _too_large(name: str, max_pixels: int | None) -> str:
    return (
        f"the picture {name} has more than {max_pixels:,} pixels: raise max_pixels if you trust "
        "the file, or make it smaller"
    )


def open_header(encoded: bytes) -> Image.Image:
    """Opens a picture of any size: whoever loads its pixels looks at the size first.

    Pillow's own limit is one of the whole process, and it warns from half of it on. It is looked at
    here and not while pixels are decoded, which threads do at the same time.
    """
    with _pillows_limit:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            return Image.open(io.BytesIO(encoded))
        finally:
            Image.MAX_IMAGE_PIXELS = before


def header_size(encoded: bytes) -> tuple[int, int] | None:
    """(height, width) by a picture's header, as its pixels are stored; None: it cannot be read."""
    try:
        with open_header(encoded) as image:
            return image.height, image.width
    except _DECODE_ERRORS:
        return None


def orientation_of(encoded: bytes) -> int:
    """The EXIF tag in a picture's header, 1..8; 1 where there is none, or no picture."""
    try:
        with open_header(encoded) as image:
            tag = image.getexif().get(_ORIENTATION_TAG)
    except (OSError, SyntaxError, ValueError):  # What Pillow raises for broken headers.
        return 1
    return tag if tag in range(1, 9) else 1
