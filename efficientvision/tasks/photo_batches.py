"""Opens photos of any kind, and runs a function on them in batches of equal size."""

import os
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from efficientvision.data.photos import open_photo
from efficientvision.data.picture_files import PILLOW_ERRORS, load, turned_upright
from efficientvision.errors import UserError
from efficientvision.files import AnyPath
from efficientvision.visualize.draw import to_pil

Photo = AnyPath | np.ndarray | Image.Image


def as_array(photo: Photo) -> np.ndarray:
    """Opens or converts a photo to uint8 RGB [H, W, 3].

    Files and PIL images are turned upright by their EXIF orientation. Arrays are RGB, RGBA (alpha
    is ignored) or grey: uint8; uint16, whose upper byte is used; other integers in 0..255; floats
    in 0..255, or in 0..1 if no value is above 1.

    Raises:
        UserError: the file is missing or not a picture, or the array has another shape, dtype or
            range.
    """
    if isinstance(photo, (str, os.PathLike)):
        return open_photo(photo)
    if isinstance(photo, Image.Image):
        return _of_pil(photo)
    array = np.asarray(photo)
    is_grey = array.ndim == 2
    if array.dtype.kind not in "uif" or not (
        is_grey or (array.ndim == 3 and array.shape[-1] in (1, 3, 4))
    ):
        got = f"{array.dtype} {array.shape}" if array.ndim else type(photo).__name__
        raise UserError(
            "a photo must be a path, a PIL image or an array of numbers [H, W, 3], [H, W, 4], "
            f"[H, W, 1] or [H, W]; got {got}"
        )
    if 0 in array.shape:
        raise UserError(f"the photo has no pixels: its shape is {array.shape}")
    if array.dtype == np.uint8 and array.shape[-1] == 3 and not is_grey:
        return array
    if array.dtype.kind == "f":
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 255:
            raise UserError(
                "a photo of floats must have values in 0..1 or 0..255, got "
                f"{array.min():g}..{array.max():g}"
            )
        array = array * 255 if array.max() <= 1 else array
    elif array.dtype != np.uint16 and (array.min() < 0 or array.max() > 255):
        raise UserError(
            f"a photo of {array.dtype} must have values in 0..255, got {array.min()}..{array.max()}"
        )
    return np.asarray(to_pil(array))


def _of_pil(image: Image.Image) -> np.ndarray:
    """Converts a PIL image, upright; one from `Image.open` decodes its file only now."""
    try:
        load(image)
        return np.asarray(to_pil(turned_upright(image)))
    except UserError:
        raise
    except (*PILLOW_ERRORS, AttributeError) as error:
        file = getattr(image, "filename", "")
        name = f"the PIL image of {os.fspath(file)!r}" if file else "the PIL image"
        raise UserError(
            f"{name} cannot be decoded ({error}): its file is damaged, or the image was closed "
            "before its pixels were read"
        ) from error


def run_by_size(
    run: Callable[[np.ndarray], np.ndarray],
    photos: Sequence[Photo],
    batch_size: int,
    *,
    fixed: bool,
) -> list[np.ndarray]:
    """Runs a function on photos of any size, in batches of photos of equal size.

    Args:
        run: uint8 [N, H, W, 3] -> results [N, ...].
        photos: see `as_array`.
        batch_size: maximum number of photos per batch.
        fixed: `run` takes exactly `batch_size` photos; the last photo is repeated to fill the
            batch.

    Returns:
        The results, in the order of the photos.
    """
    results: list[np.ndarray | None] = [None] * len(photos)
    waiting: dict[tuple[int, ...], dict[int, np.ndarray]] = {}

    def finish(batch: dict[int, np.ndarray]) -> None:
        arrays = list(batch.values())
        missing = batch_size - len(arrays) if fixed else 0
        done = run(np.stack(arrays + arrays[-1:] * missing))
        for place, index in enumerate(batch):
            results[index] = done[place]

    for index, photo in enumerate(photos):
        array = as_array(photo)
        batch = waiting.setdefault(array.shape, {})
        batch[index] = array
        if len(batch) == batch_size:
            finish(waiting.pop(array.shape))
    for batch in waiting.values():
        finish(batch)
    return results
