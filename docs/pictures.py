"""Pictures that carry the digest of their data, so that a test can tell when one is old."""

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
    """Writes a PNG file that carries the digest of its data.

    Args:
        path: the file.
        png: content of a PNG file.
        made_from: the data that it shows, of what JSON knows.
    """
    facts = PngInfo()
    facts.add_text(_FIELD, digest(made_from))
    content = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        image = _without_borders(image.convert("RGB"))
        # 256 colours are plenty for lines and letters, and make a third of the size.
        image.quantize(256).save(content, "PNG", pnginfo=facts, optimize=True)
    files.write_bytes(path, content.getvalue())


def _without_borders(image: Image.Image) -> Image.Image:
    """What is not white, and a little more."""
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
    """The digest that a picture carries; empty if it has none."""
    with Image.open(path) as image:
        return image.info.get(_FIELD, "")


def digest(made_from: Any) -> str:
    """A short text that differs where the data differ."""
    text = json.dumps(made_from, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
