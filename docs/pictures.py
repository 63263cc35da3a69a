"""Pictures with a digest of their data, so that a test can detect outdated ones."""

import hashlib
import io
import json
import pathlib
from typing import Any

from PIL import Image, ImageChops
from PIL.PngImagePlugin import PngInfo

from efficientvision import files

_FIELD = "made-from"
_BORDER = 12  # Pixels of white around a picture.


def write_picture(path: pathlib.Path, png: bytes, made_from: Any) -> None:
    """Writes a PNG file with a digest of its data.

    Args:
        path: the file.
        png: content of a PNG file.
        made_from: the data that it shows, in types that JSON supports.
    """
    facts = PngInfo()
    facts.add_text(_FIELD, digest(made_from))
    content = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image = _without_borders(image.convert("RGB"))
        # 256 colours are enough for lines and letters, and reduce the size to a third.
        image.quantize(256).save(content, "PNG", pnginfo=facts, optimize=True)
    files.write_bytes(path, content.getvalue())


def _without_borders(image: Image.Image) -> Image.Image:
    """Crops white borders, except a small margin."""
    left, top, right, bottom = ImageChops.invert(image).getbbox()
    return image.crop(
        (
            max(left - _BORDER, 0),
            max(top - _BORDER, 0),
            min(right + _BORDER, image.width),
            min(bottom + _BORDER, image.height),
        )
    )


def digest_of(path: pathlib.Path) -> str:
    """The digest stored in a picture; empty if there is none."""
    with Image.open(path) as image:
        return image.info.get(_FIELD, "")


def digest(made_from: Any) -> str:
    """A short hash of the data."""
    text = json.dumps(made_from, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
