"""Compares palettes of mask files: an index must mean the same colour in all of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

from efficientvision import files
from efficientvision.data.image_bytes import PNG_SIGNATURE
from efficientvision.data.masks.pairs import SpoiltPair, open_picture
from efficientvision.data.photos import MAX_PIXELS
from efficientvision.data.picture_files import open_header

_INDEXED = 3  # PNG colour type.
_HEADER_BYTES = 4096
# GIF, TIFF in both byte orders and both sizes, BMP.
_OTHER_SIGNATURES = (b"GIF8", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"BM")

Color = tuple[int, int, int]


def conflicts(paths: Iterable[str]) -> dict[str, str]:
    """Finds mask files in which an index has another colour than in most of them.

    Files are decoded only if their palettes differ where both are defined.

    Args:
        paths: Any PNG, GIF, TIFF and BMP files; files without a palette and other formats are
            skipped.

    Returns:
        Path -> the difference.
    """
    palettes = {path: palette for path in paths if (palette := _palette(path))}
    longest = max(palettes.values(), key=len, default=b"")
    if all(longest.startswith(palette) for palette in set(palettes.values())):
        return {}
    used = {path: _used_colors(path, palette) for path, palette in palettes.items()}
    votes: defaultdict[int, Counter[Color]] = defaultdict(Counter)
    for colors in used.values():
        for index, color in colors.items():
            votes[index][color] += 1
    usual = {index: counts.most_common(1)[0][0] for index, counts in votes.items()}
    found = {}
    for path, colors in used.items():
        odd = next((index for index, color in colors.items() if color != usual[index]), None)
        if odd is not None:
            found[path] = (
                f"index {odd} is the colour {_text(colors[odd])}, and {_text(usual[odd])} in others"
            )
    return found


def _palette(path: str) -> bytes | None:
    """Returns the palette of an indexed file, three bytes per colour; None for other files."""
    with files.reading(path) as file:
        head = file.read(_HEADER_BYTES)
        if head.startswith(_OTHER_SIGNATURES):
            return _pillows_palette(head + file.read())
        if not head.startswith(PNG_SIGNATURE) or head[25:26] != bytes((_INDEXED,)):
            return None
        position = len(PNG_SIGNATURE)
        while True:
            file.seek(position)
            chunk = file.read(8)
            length, kind = int.from_bytes(chunk[:4], "big"), chunk[4:]
            if kind == b"PLTE":
                return file.read(length)
            if len(chunk) < 8 or kind == b"IDAT":
                return None
            position += length + 12


def _pillows_palette(encoded: bytes) -> bytes | None:
    try:
        with open_header(encoded) as picture:
            colors = picture.getpalette("RGB") if picture.mode == "P" else None
    except (OSError, SyntaxError, ValueError, ArithmeticError):  # Reported when the mask is read.
        return None
    return bytes(colors) if colors else None


def _used_colors(path: str, palette: bytes) -> Mapping[int, Color]:
    """Returns index -> colour for the indices that occur; empty if the file cannot be decoded."""
    try:
        _, picture = open_picture(path, MAX_PIXELS)
    except SpoiltPair:
        return {}
    colors = [tuple(palette[at : at + 3]) for at in range(0, len(palette), 3)]
    indices = np.unique(np.asarray(picture)).tolist()
    return {index: colors[index] for index in indices if index < len(colors)}


def _text(color: Color) -> str:
    return " ".join(map(str, color))
