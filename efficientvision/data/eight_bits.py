"""Converts pictures of any mode to RGB with 8 bits a channel, the same way everywhere."""

from __future__ import annotations

import numpy as np
from PIL import Image

from efficientvision.data.image_bytes import BITS_PER_SAMPLE
from efficientvision.errors import UserError

# TIFF tags.
_PHOTOMETRIC, _SAMPLE_FORMAT = 262, 339
_WHITE_IS_ZERO, _SIGNED = 0, 2
# Sample values of black and white, for unsigned samples or for the sample's own type.
_RANGE_TAGS = ((280, 281), (340, 341))
# Formats whose greys Pillow returns as 32 bits, always scaled to the 16-bit range.
_SIXTEEN_BIT_FORMATS = ("PPM", "PNG")


class UnreadablePhoto(UserError):
    """A photo that cannot be decoded."""


def eight_bit_rgb(image: Image.Image, name: str) -> tuple[Image.Image, bool]:
    """Returns RGB with 8 bits, and whether grey samples had more; scales as `decode_photo` says.

    Args:
        image: Picture of any mode; RGB is returned as it is.
        name: Name of the picture in errors.

    Raises:
        UnreadablePhoto: Samples have no known range, or colours cannot be converted.
    """
    if image.mode == "RGB":
        return image, False
    if not image.mode.startswith(("I", "F")):
        try:
            return image.convert("RGB"), False
        except ValueError as error:
            raise UnreadablePhoto(
                f"the picture {name} has the colour mode {image.mode}, which cannot be "
                "converted: save it as RGB"
            ) from error
    tags = image.info.get("tiff_tags") or getattr(image, "tag_v2", {})
    grey = _eight_bit_grey(image, tags, name)
    # Pillow itself inverts such pictures if they have 8 bits, but not if they have more.
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey = 255 - grey
    return Image.fromarray(grey.astype(np.uint8)).convert("RGB"), True


def _eight_bit_grey(image: Image.Image, tags: dict, name: str) -> np.ndarray:
    samples = np.asarray(image)
    stated = _stated_range(tags)
    if samples.dtype.itemsize == 2 or image.mode == "I" and image.format in _SIXTEEN_BIT_FORMATS:
        depth = _depth(tags, 16)
        whole = 0.0, 2.0**depth - 1
        # The tags may be mere statistics: if samples lie outside the range, it is not theirs.
        if stated in (None, whole) or not _holds(stated, samples):
            return samples >> (depth - 8)
        return _scaled(samples, stated)
    if stated:
        ranges = [stated]
    elif image.mode == "F":
        ranges = [(0.0, 1.0), (0.0, 255.0), (0.0, 65535.0)]
    elif _depth(tags, 32) == 16 and _first(tags, _SAMPLE_FORMAT, 1) == _SIGNED:
        ranges = [(0.0, 255.0), (0.0, 32767.0)]
    else:
        ranges = [(0.0, 255.0), (0.0, 65535.0)]
    fitting = next((each for each in ranges if _holds(each, samples)), None)
    if fitting is None:
        kind = "floating-point" if image.mode == "F" else "integer"
        known = [f"{black:g}..{white:g}" for black, white in ranges]
        wanted = f"the range {known[0]} that it states" if stated else f"{' and '.join(known)}"
        raise UnreadablePhoto(
            f"the picture {name} has {kind} samples from {samples.min():g} to {samples.max():g}, "
            f"outside {wanted}: save it with 8 or 16 bits a channel"
        )
    return _scaled(samples, fitting)


def _holds(black_white: tuple[float, float], samples: np.ndarray) -> bool:
    return black_white[0] <= samples.min() and samples.max() <= black_white[1]


def _scaled(samples: np.ndarray, black_white: tuple[float, float]) -> np.ndarray:
    black, white = black_white
    return np.rint((samples.astype(np.float64) - black) * (255 / (white - black)))


def _depth(tags: dict, usual: int) -> int:
    return _first(tags, BITS_PER_SAMPLE, usual)


def _first(tags: dict, tag: int, usual: int) -> int:
    return int(np.ravel(tags.get(tag, usual))[0])


def _stated_range(tags: dict) -> tuple[float, float] | None:
    for low, high in _RANGE_TAGS:
        if low in tags and high in tags:
            black, white = (float(np.ravel(tags[tag])[0]) for tag in (low, high))
            if black < white:
                return black, white
    return None
