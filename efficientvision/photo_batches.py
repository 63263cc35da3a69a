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

    Files and PIL images are turned upright as their EXIF orientation tells.

    Raises:
        UserError: no such file, not a picture, or an array of another kind.
    """
    if isinstance(photo, (str, os.PathLike)):
        return open_photo(photo)
    if isinstance(photo, Image.Image):
        return _of_pil(photo)
    array = np.asarray(photo)
    if array.ndim != 3 or array.shape[-1] != 3 or array.dtype != np.uint8 or 0 in array.shape:
        raise UserError(f"a photo must be a uint8 array [H, W, 3], got {array.dtype} {array.shape}")
    return array


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
