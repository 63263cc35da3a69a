"""Photos in files: finding them and opening them."""

import glob

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from efficientvision import files
from efficientvision.errors import UserError
from efficientvision.files import AnyPath

PHOTO_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def list_photos(pattern: AnyPath) -> list[str]:
    """Lists the photos that a path, a folder or a glob pattern stands for, sorted by path.

    Of a folder, the files with a picture's suffix are taken (not those of its sub-folders).

    Raises:
        UserError: there is none.
    """
    path = files.as_text(pattern)
    if files.is_folder(path):
        named = [n for n in files.list_names(path) if n.lower().endswith(PHOTO_SUFFIXES)]
        photos = [p for p in (files.join(path, name) for name in named) if files.is_file(p)]
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


def open_photo(path: AnyPath) -> np.ndarray:
    """Reads a picture upright, as its EXIF orientation tells.

    Returns:
        uint8 [H, W, 3], RGB. Transparent pixels keep the colour that the file gives them.

    Raises:
        UserError: no such file, not a picture, or one that was cut short.
    """
    path = files.as_text(path)
    try:
        with files.reading(path) as file, Image.open(file) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path!r}") from error
    except IsADirectoryError as error:
        raise UserError(f"{path!r} is a folder, not a picture") from error
    except UnidentifiedImageError as error:
        if not files.size(path):
            raise UserError(f"the picture {path!r} is empty (0 bytes)") from error
        raise UserError(f"{path!r} is not a picture that Pillow can read") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(
            f"the picture {path!r} cannot be decoded, it may have been cut short ({error})"
        ) from error
