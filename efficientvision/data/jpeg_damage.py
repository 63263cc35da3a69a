"""Judges how much of a JPEG file is really there.

Where it can, the decoder shows a damaged file without a warning: missing data come out grey, and a
run of zeros (a download into a preallocated file, a hole in it) as some pattern. The markers, long
runs of zeros and the last pixel identify whole files quickly. The few doubtful files are decoded
again with bytes inserted or changed: whatever the data do not define changes then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from efficientvision.data.jpeg_layout import END_MARK, JpegLayout, Scan, jpeg_layout
from efficientvision.data.picture_files import PILLOW_ERRORS, open_header

_LEAST_SHARE = 0.75
# Progressive files are refined bit by bit: without the last bit they still show the picture.
_DISPENSABLE_BITS = 1
_LONG_RUN = bytes(1024)
# Missing samples are the middle of their range; in inverted files (CMYK), one less.
_MIDDLE = {127, 128}
_FOREIGN = bytes(range(1, 251)) * 8
_CHANGED = b"\x2d\x5a\x36\x6b\x15"


@dataclass(frozen=True)
class JpegDamage:
    """Assessment of a damaged JPEG file.

    Attributes:
        sound: The file up to the damage, and an end marker.
        missing: What the file lacks, in words.
        is_usable: Whether most of the picture is there.
        is_complete: Whether nothing of the picture is missing.
    """

    sound: bytes
    missing: str
    is_usable: bool
    is_complete: bool


def jpeg_damage(encoded: bytes, decoded: Image.Image | None) -> JpegDamage | None:
    """Judges a JPEG file; None if it has no visible damage.

    Args:
        encoded: Bytes of the file.
        decoded: Pillow's picture of it, not turned; None if Pillow raised an error.
    """
    layout = jpeg_layout(encoded)
    end = _damaged_from(encoded, layout, decoded)
    if end is None:
        return None
    data = encoded[:end].rstrip(b"\xff")
    sound = data + END_MARK
    left = jpeg_layout(sound)
    shown = _pixels(sound)
    if shown is None or not left.scans:
        return JpegDamage(sound, "all of it is missing", False, False)
    lacking = left.bits_lacking(left.scans)
    share = 0.0
    if lacking <= _DISPENSABLE_BITS:
        share = _share_before_change(shown, _pixels(data + _FOREIGN + END_MARK), left.unit_height)
    if layout.has_end and share == 1.0 and lacking == 0 and _is_same(shown, _pixels(encoded)):
        return None  # A single colour throughout: any data show it.
    # The last scan is the one that may be truncated.
    is_refined = left.bits_lacking(left.scans[:-1]) <= _DISPENSABLE_BITS
    is_usable = is_refined or share >= _LEAST_SHARE
    missing = f"{1 - share:.0%} of it is" if len(left.scans) == 1 else "later scans of it are"
    return JpegDamage(sound, f"{missing} missing", is_usable, lacking == 0 and share == 1.0)


def _damaged_from(encoded: bytes, layout: JpegLayout, decoded: Image.Image | None) -> int | None:
    """Position where the data stop being the picture's; None if nowhere."""
    for start, end, scan in _runs_of_zeros(encoded, layout):
        if not (scan.may_be_zeros and _is_used_up(encoded, end, layout.has_end)):
            return start
    if not layout.has_end:
        return len(encoded)
    if not layout.scans or layout.bits_lacking(layout.scans):
        return layout.scans[-1].end if layout.scans else len(encoded)
    if decoded is not None and _ends_in_the_middle(decoded):
        end = layout.scans[-1].end
        if _lacks_data(encoded, end, _pixels(encoded)):
            return end
    return None


def _runs_of_zeros(encoded: bytes, layout: JpegLayout) -> list[tuple[int, int, Scan]]:
    """Suspicious runs: (start of the run, end of the data that contain it, scan).

    Compressed flat areas look the same.
    """
    runs = []
    for scan in layout.scans:
        start = encoded.find(_LONG_RUN, scan.start, scan.end)
        while start >= 0:
            end = _end_of_interval(encoded, start, scan.end)
            runs.append((start, end, scan))
            start = encoded.find(_LONG_RUN, end, scan.end)
    tail = len(encoded.rstrip(b"\0"))
    if not layout.has_end and tail < len(encoded) and layout.scans and not runs:
        runs.append((tail, len(encoded), layout.scans[-1]))
    return runs


def _end_of_interval(encoded: bytes, start: int, end: int) -> int:
    """Position of the next restart marker, or the end of the scan."""
    position = encoded.find(b"\xff", start, end)
    while 0 <= position < end - 1:
        if encoded[position + 1] not in (0x00, 0xFF):
            return position
        position = encoded.find(b"\xff", position + 1, end)
    return end


def _is_used_up(encoded: bytes, end: int, has_end: bool) -> bool:
    """Whether the decoder consumes the data before a marker to the last byte, and needs no more."""
    whole = encoded if has_end else encoded + END_MARK
    shown = _pixels(whole)
    if shown is None or _lacks_data(whole, end, shown):
        return False
    begin = end - len(_CHANGED)
    while encoded[begin - 1] == 0xFF:  # Half of a stuffed pair would be a marker.
        begin -= 1
    changed = whole[:begin] + (_CHANGED * 2)[: end - begin] + whole[end:]
    return not _is_same(shown, _pixels(changed))


def _lacks_data(encoded: bytes, end: int, shown: np.ndarray | None) -> bool:
    return not _is_same(shown, _pixels(encoded[:end] + _FOREIGN + encoded[end:]))


def _ends_in_the_middle(image: Image.Image) -> bool:
    pixel = image.getpixel((image.width - 1, image.height - 1))
    return set(pixel if isinstance(pixel, tuple) else (pixel,)) <= _MIDDLE


def _pixels(encoded: bytes) -> np.ndarray | None:
    try:
        return np.asarray(open_header(encoded))
    except PILLOW_ERRORS:
        return None


def _is_same(first: np.ndarray | None, second: np.ndarray | None) -> bool:
    return first is not None and second is not None and np.array_equal(first, second)


def _share_before_change(first: np.ndarray, second: np.ndarray | None, unit_height: int) -> float:
    """Share of a picture, in coding order, that precedes the first difference from another."""
    if second is None or first.shape != second.shape:
        return 0.0
    height, width = first.shape[:2]
    differs = (first != second).reshape(height, width, -1).any(axis=-1)
    rows = differs.any(axis=1)
    if not rows.any():
        return 1.0
    row = int(rows.argmax())
    band = differs[row : row + unit_height]
    return (row + len(band) * int(band.any(axis=0).argmax()) / width) / height
