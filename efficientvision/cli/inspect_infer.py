"""--runmode=infer: pictures with boxes from a checkpoint."""

import numpy as np
from PIL import Image
from tqdm import tqdm

from efficientvision import files
from efficientvision.cli.inspect_settings import InspectSettings
from efficientvision.cli.output_folder import check_output_folder
from efficientvision.data.photos import list_photos, open_photo
from efficientvision.detector import Detections, Detector
from efficientvision.errors import UserError


def run(settings: InspectSettings) -> None:
    """Writes `<output_image_dir>/<i>.jpg` for the i-th picture of --input_image."""
    settings.need("ckpt_path", "infer")
    settings.need("input_image", "infer")
    settings.need("output_image_dir", "infer")
    photos = check_photos(settings)
    write_pictures(settings, Detector.from_loaded(settings.load()), photos)


def check_photos(settings: InspectSettings) -> list[str]:
    """Paths of --input_image, when the first can be read and --output_image_dir be written."""
    photos = list_photos(settings.input_image)
    open_photo(photos[0])
    directory = settings.output_image_dir
    if files.is_file(directory):
        raise UserError(f"--output_image_dir={directory} is a file: name a folder")
    check_output_folder("output_image_dir", directory)
    return photos


def write_pictures(settings: InspectSettings, detector: Detector, photos: list[str]) -> None:
    """Runs a detector over photos and writes them with their boxes, from `0.jpg` on.

    Photos go through the network --batch_size at a time. A picture appears under its name when it
    is whole; the run stops at a photo that cannot be read.
    """
    directory = settings.output_image_dir
    batch_size = detector.metadata.batch_size or settings.batch_size or 1
    with tqdm(total=len(photos), unit="image", disable=len(photos) < 2) as bar:
        for start in range(0, len(photos), batch_size):
            paths = photos[start : start + batch_size]
            arrays = [open_photo(path) for path in paths]
            found = detector(arrays, batch_size=batch_size)
            for index, path in enumerate(paths):
                picture = draw(settings, detector, arrays[index], found[index])
                target = files.join(directory, f"{start + index}.jpg")
                save_jpeg(picture, target)
                tqdm.write(f"{path} -> {target}: {len(found[index])} objects")
                bar.update()


def draw(
    settings: InspectSettings, detector: Detector, photo: np.ndarray, detections: Detections
) -> Image.Image:
    """Draws what was found in a photo [H, W, 3] as the flags say."""
    return detector.draw(
        photo,
        detections,
        min_score_thresh=settings.min_score_thresh,
        max_boxes_to_draw=settings.max_boxes_to_draw,
        line_thickness=settings.line_thickness,
    )


def save_jpeg(picture: Image.Image, target: str) -> None:
    """Writes a picture whole or not at all."""
    with files.writing(target) as file:
        picture.save(file, format="JPEG", quality=95)
