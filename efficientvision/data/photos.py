"""Photos from the disk: finding them and opening them."""

import glob
import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from efficientvision.errors import UserError

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"}


def list_photos(pattern: str | os.PathLike[str]) -> list[Path]:
    """Lists the photos that a path, a folder or a glob pattern stands for, sorted by path.

    Of a folder, the files with a picture's suffix are taken (not those of its sub-folders).

    Raises:
        UserError: there is none.
    """
    path = Path(pattern)
    if path.is_dir():
        photos = sorted(p for p in path.iterdir() if p.suffix.lower() in _SUFFIXES and p.is_file())
        if not photos:
            raise UserError(f"the folder {path} holds no pictures ({' '.join(sorted(_SUFFIXES))})")
        return photos
    if path.is_file():
        return [path]
    photos = [Path(p) for p in sorted(glob.glob(str(pattern))) if os.path.isfile(p)]
    if not photos:
        kind = "no file matches the pattern" if glob.has_magic(str(pattern)) else "there is no file"
        raise UserError(f"{kind} {str(pattern)!r}")
    return photos


def open_photo(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads a picture upright, as its EXIF orientation tells.

    Returns:
        uint8 [H, W, 3], RGB. Transparent pixels keep the colour that the file gives them.

    Raises:
        UserError: no such file, not a picture, or one that was cut short.
    """
    path = Path(path)
    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except FileNotFoundError as error:
        raise UserError(f"there is no file {str(path)!r}") from error
    except IsADirectoryError as error:
        raise UserError(f"{str(path)!r} is a folder, not a picture") from error
    except UnidentifiedImageError as error:
        raise UserError(f"{str(path)!r} is not a picture that Pillow can read") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(
            f"the picture {str(path)!r} cannot be decoded, it may have been cut short ({error})"
        ) from error
