"""--runmode=infer: photos with their boxes, classes or class maps drawn, from a checkpoint."""

import numpy as np
from PIL import Image

from efficientvision import files
from efficientvision.cli.photo_look import PhotoLook, in_memory, look_of
from efficientvision.data.photos import list_photos, open_photo
from efficientvision.data.preflight.findings import listed
from efficientvision.errors import UserError
from efficientvision.progress import tqdm
from efficientvision.runs.inspect_settings import InspectSettings
from efficientvision.runs.output_folder import check_output_folder


def run(settings: InspectSettings) -> None:
    """Writes `<output_image_dir>/<i>.jpg` for each photo; with --raw_maps `<i>_classes.png` too."""
    settings.need("ckpt_path", "infer")
    settings.need("input_image", "infer")
    settings.need("output_image_dir", "infer")
    photos = check_photos(settings)
    model = in_memory(settings.load(), settings)
    write_pictures(settings.output_image_dir, look_of(model, settings), photos)


def check_photos(settings: InspectSettings) -> list[str]:
    """Paths of --input_image; checks first that --output_image_dir can be written."""
    photos = list_photos(settings.input_image)
    if len(photos) == 1:
        open_photo(photos[0])
    directory = settings.output_image_dir
    if files.is_file(directory):
        raise UserError(f"--output_image_dir={directory} is a file, but must be a folder")
    check_output_folder("output_image_dir", directory)
    return photos


def write_pictures(directory: str, look: PhotoLook, photos: list[str]) -> None:
    """Runs a model on photos and writes them with its results drawn, as `0.jpg`, `1.jpg`, ...

    Photos go through the network in batches. Each file is written atomically.

    Raises:
        UserError: Some photos cannot be read; raised after all others are written.
    """
    unread = []
    with tqdm(total=len(photos), unit="image", disable=len(photos) < 2) as bar:
        for start in range(0, len(photos), look.batch_size):
            arrays = {}
            for index, path in enumerate(photos[start : start + look.batch_size], start):
                array = _opened(path)
                if array is None:
                    unread.append(path)
                    bar.update()
                else:
                    arrays[index] = array
            results = look.find(list(arrays.values())) if arrays else []
            for index, found in zip(arrays, results, strict=True):
                target = files.join(directory, f"{index}.jpg")
                save_picture(look.draw(arrays[index], found), target, "JPEG")
                raw_map = look.raw_map(found)
                if raw_map is not None:
                    save_picture(raw_map, files.join(directory, f"{index}_classes.png"), "PNG")
                tqdm.write(f"{photos[index]} -> {target}: {look.tell(found)}")
                bar.update()
    if unread:
        raise UserError(
            f"{len(unread)} of {len(photos)} photos could not be read: {listed(unread, 5)}. "
            f"The results for the others are in {directory}."
        )


def _opened(path: str) -> np.ndarray | None:
    """A photo, uint8 [H, W, 3]; None, with a printed line, if it cannot be read."""
    try:
        return open_photo(path)
    except UserError as error:
        tqdm.write(f"Skipped: {error}")
        return None


def save_picture(picture: Image.Image, target: str, kind: str) -> None:
    """Writes a picture atomically, as JPEG or PNG."""
    with files.writing(target) as file:
        picture.save(file, format=kind, quality=95)
