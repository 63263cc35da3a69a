"""Photos of any kind and size, for a function that takes batches of one size."""

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

    Files and PIL images are turned upright as their EXIF orientation tells. Arrays are RGB, RGBA
    (alpha is left out) or grey: uint8; uint16, of which the upper byte counts; other integers in
    0..255; floats in 0..255, or in 0..1 where no value is above 1.

    Raises:
        UserError: no such file, not a picture, or an array of another kind.
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
        raise UserError(
            "a photo is an array of numbers [H, W, 3], [H, W, 4], [H, W, 1] or [H, W], got "
            f"{array.dtype} {array.shape}"
        )
    if 0 in array.shape:
        raise UserError(f"a photo without pixels: its shape is {array.shape}")
    if array.dtype == np.uint8 and array.shape[-1] == 3 and not is_grey:
        return array
    if array.dtype.kind == "f":
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 255:
            raise UserError(
                "a photo of floats has values in 0..1 or 0..255, got "
                f"{array.min():g}..{array.max():g}"
            )
        array = array * 255 if array.max() <= 1 else array
    elif array.dtype != np.uint16 and (array.min() < 0 or array.max() > 255):
        raise UserError(
            f"a photo of {array.dtype} has values in 0..255, got {array.min()}..{array.max()}"
        )
    return np.asarray(to_pil(array))


def _of_pil(image: Image.Image) -> np.ndarray:
    """A PIL image, upright; one from `Image.open` decodes its file only now."""
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
    """Runs photos of any sizes, in batches of one size each.

    Args:
        run: uint8 [N, H, W, 3] -> results [N, ...].
        photos: see `as_array`.
        batch_size: photos of one size that go together.
        fixed: `run` takes exactly `batch_size` photos; the last one then fills the batch.

    Returns:
        The result of each photo.
    """
    found: list[np.ndarray | None] = [None] * len(photos)
    waiting: dict[tuple[int, ...], dict[int, np.ndarray]] = {}

    def finish(batch: dict[int, np.ndarray]) -> None:
        arrays = list(batch.values())
        missing = batch_size - len(arrays) if fixed else 0
        results = run(np.stack(arrays + arrays[-1:] * missing))
        for place, index in enumerate(batch):
            found[index] = results[place]

    for index, photo in enumerate(photos):
        array = as_array(photo)
        batch = waiting.setdefault(array.shape, {})
        batch[index] = array
        if len(batch) == batch_size:
            finish(waiting.pop(array.shape))
    for batch in waiting.values():
        finish(batch)
    return found
