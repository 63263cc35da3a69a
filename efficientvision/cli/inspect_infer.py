"""--runmode=infer: photos with their boxes, classes or class maps drawn, from a checkpoint."""

import numpy as np
from PIL import Image

from efficientvision import files
from efficientvision.configs.inspect_options import InspectSettings
from efficientvision.data.photos import list_photos, open_photo
from efficientvision.errors import UserError
from efficientvision.output_folder import check_output_folder
from efficientvision.preflight.findings import listed
from efficientvision.progress import tqdm
from efficientvision.runs import inspection
from efficientvision.tasks.choice import task_of_config
from efficientvision.tasks.predictor import Predictor


def run(settings: InspectSettings) -> None:
    """Writes `<output_image_dir>/<i>.jpg` for each photo; with --raw_maps `<i>_classes.png` too."""
    settings.need("ckpt_path", "infer")
    settings.need("input_image", "infer")
    settings.need("output_image_dir", "infer")
    photos = check_photos(settings)
    write_pictures(settings, load_predictor(settings), photos)


def load_predictor(settings: InspectSettings) -> Predictor:
    """The network of --ckpt_path, to be run on photos."""
    loaded = inspection.load(settings)
    return task_of_config(loaded.config).predictor(loaded, settings)


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


def write_pictures(settings: InspectSettings, predictor: Predictor, photos: list[str]) -> None:
    """Runs a model on photos and writes them with its results drawn, as `0.jpg`, `1.jpg`, ...

    Photos go through the network in batches. Each file is written atomically.

    Raises:
        UserError: Some photos cannot be read; raised after all others are written.
    """
    unread = []
    directory = settings.output_image_dir
    batch_size = batch_size_of(predictor, settings)
    draw_options = {name: getattr(settings, name) for name in predictor.draw_options}
    with tqdm(total=len(photos), unit="image", disable=len(photos) < 2) as bar:
        for start in range(0, len(photos), batch_size):
            arrays = {}
            for index, path in enumerate(photos[start : start + batch_size], start):
                array = _opened(path)
                if array is None:
                    unread.append(path)
                    bar.update()
                else:
                    arrays[index] = array
            results = predictor(list(arrays.values()), batch_size=batch_size) if arrays else []
            for index, found in zip(arrays, results, strict=True):
                target = files.join(directory, f"{index}.jpg")
                picture = predictor.draw(arrays[index], found, **draw_options)
                save_picture(picture, target, "JPEG")
                if settings.raw_maps and (index_map := predictor.index_map(found)) is not None:
                    save_picture(index_map, files.join(directory, f"{index}_classes.png"), "PNG")
                tqdm.write(f"{photos[index]} -> {target}: {predictor.describe(found)}")
                bar.update()
    if unread:
        raise UserError(
            f"{len(unread)} of {len(photos)} photos could not be read: {listed(unread, 5)}. "
            f"The results for the others are in {directory}."
        )


def batch_size_of(predictor: Predictor, settings: InspectSettings) -> int:
    """Photos at a time: what the model was made for, else --batch_size."""
    return predictor.metadata.batch_size or settings.batch_size or 1


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
