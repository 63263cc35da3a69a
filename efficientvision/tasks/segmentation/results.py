"""Option `testdev_dir` for segmentation: one PNG per image in the test servers' formats.

PASCAL VOC: `results/VOC2012/Segmentation/comp6_<split>_cls/<image>.png`, classes with the
palette. Cityscapes: `<image>.png`, its label ids. Other data sets: `<image>.png`, classes with a
palette.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from efficientvision import files
from efficientvision.configs.run_options import RunOptions
from efficientvision.data.checks import data_errors, iterate
from efficientvision.data.labels import BUILTIN_OF_MASKS, find_labels
from efficientvision.data.mask_records import IGNORED
from efficientvision.data.masks.cityscapes import CLASS_IDS
from efficientvision.data.photos import PHOTO_SUFFIXES, list_photos, open_photo
from efficientvision.data.picture_folders import existing_file
from efficientvision.data.record_files import match_files, num_records
from efficientvision.data.record_parsing import parsed_features, source_id
from efficientvision.data.streams import read_in_order, without_autograph
from efficientvision.data.transforms.random_crop import resize_like_pillow
from efficientvision.errors import UserError
from efficientvision.exports.load_export import is_export
from efficientvision.output_folder import check_output_folder
from efficientvision.progress import tqdm
from efficientvision.tasks.segmentation.metrics import PixelCounts, resize_nearest
from efficientvision.tasks.segmentation.palettes import palette_of, same_classes
from efficientvision.tasks.segmentation.training_task import SegmentationTrainingTask
from efficientvision.tasks.serving import decode_image

log = logging.getLogger(__name__)

_LIST = ".txt"
# Pairs (name, photo).
Photos = Iterator[tuple[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class _Format:
    """Output format of a test server.

    Attributes:
        folder: Output folder below `testdev_dir`; "" for `testdev_dir` itself.
        values: uint8 [256], class -> pixel value.
        palette: Colours of the pixel values; None for a plain grey image.
        description: Description of the format.
    """

    folder: str
    values: np.ndarray
    palette: list[int] | None
    description: str


def of_photos(options: RunOptions) -> bool:
    """Whether `val_file_pattern` names photos (or their folder, or a list of them) instead of
    records, for `testdev_dir`.
    """
    pattern = options.val_file_pattern or ""
    named = pattern.lower().endswith((*PHOTO_SUFFIXES, _LIST))
    return bool(options.testdev_dir) and bool(pattern) and (named or files.is_folder(pattern))


def write_for_server(options: RunOptions, prepare: Callable[[], Any]) -> bool:
    """Writes a checkpoint's predictions if the options ask for them; returns whether they do.

    Args:
        options: Options of the evaluation.
        prepare: Returns (evaluator, training task, model).

    Raises:
        UserError: The model is an export, or a record is damaged.
    """
    if not options.testdev_dir:
        return False
    if is_export(options.model_dir):
        raise UserError(
            f"`model_dir={options.model_dir}` is an exported model, but `testdev_dir` needs a "
            "checkpoint: set `model_dir` to its path."
        )
    _, task, model = prepare()
    with data_errors(options.val_file_pattern):
        write_results(options, task, model)
    return True


def write_results(options: RunOptions, task: SegmentationTrainingTask, model: keras.Model) -> None:
    """Predicts the images of `val_file_pattern`, writes the class maps and logs their path.

    Args:
        options: Options of the run.
        task: Provides configuration, class names and TTA views.
        model: The network.

    Raises:
        UserError: The folder cannot be written to, or an image cannot be read.
    """
    names = _names(options, task)
    wanted = _format(options, names)
    check_output_folder("testdev_dir", options.testdev_dir)
    folder = (
        files.join(options.testdev_dir, wanted.folder) if wanted.folder else options.testdev_dir
    )
    files.make_folder(folder)
    classes = PixelCounts(len(names), task.config.class_map)
    photos, total = _photos(options)
    predict = tf.function(
        lambda batch: task.predict(model, batch), reduce_retracing=True, autograph=False
    )
    seen: set[str] = set()
    for name, photo in tqdm(photos, desc="predicting", unit="image", total=total):
        if name in seen:
            raise UserError(
                f"Two images are named {name}, but the maps are named after the images: set "
                "`val_file_pattern` so that names are unique."
            )
        seen.add(name)
        inputs = zip(task.prediction_inputs, task.view_sizes, strict=True)
        batch = {key: resize_like_pillow(photo, size)[tf.newaxis] for key, size in inputs}
        predicted = resize_nearest(predict(batch)["classes"][0].numpy(), photo.shape[:2])
        # The server allows no pixel without a class.
        known = np.where((n := classes.named(predicted)) == IGNORED, 0, n)
        files.write_bytes(files.join(folder, f"{name}.png"), _png(wanted, known))
    log.info(f"{len(seen)} predictions written to {folder} (format: {wanted.description}).")


def _names(options: RunOptions, task: SegmentationTrainingTask) -> dict[int, str]:
    """Returns the classes to write: those of the records if there is a `class_map`."""
    pairs = task.config.class_map
    if pairs is None:
        return task.class_names
    own = None if of_photos(options) else find_labels(options.val_file_pattern, of_masks=True)
    return own or {number: f"class {number}" for number in range(max(pairs.values()) + 1)}


def _format(options: RunOptions, names: Mapping[int, str]) -> _Format:
    values = np.arange(256, dtype=np.uint8)
    palette = list(itertools.chain.from_iterable(palette_of(names, len(names))))
    voc, city = BUILTIN_OF_MASKS["voc"], BUILTIN_OF_MASKS["cityscapes"]
    if len(names) == len(voc) and same_classes(names, voc):
        *folders, name = options.val_file_pattern.lower().split("/")
        split = "test" if name.startswith("test") or "test" in folders else "val"
        folder = f"results/VOC2012/Segmentation/comp6_{split}_cls"
        return _Format(folder, values, palette, f"PASCAL VOC's comp6, {split}")
    if len(names) in (len(city), len(city) + 1) and same_classes(names, city):
        values[:] = 0
        values[: len(city)] = CLASS_IDS
        return _Format("", values, None, "Cityscapes' label ids")
    return _Format("", values, palette, "classes with a palette")


def _png(wanted: _Format, class_map: np.ndarray) -> bytes:
    image = Image.fromarray(wanted.values[class_map])
    if wanted.palette is not None:
        image.putpalette(wanted.palette)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _photos(options: RunOptions) -> tuple[Photos, int]:
    """Returns the images and their number."""
    pattern, limit = options.val_file_pattern, options.eval_samples
    if of_photos(options):
        is_list = pattern.lower().endswith(_LIST)
        paths = listed_photos(pattern) if is_list else list_photos(pattern)
        paths = paths[: limit if "eval_samples" in options.written else None]
        return ((os.path.splitext(files.base_name(p))[0], open_photo(p)) for p in paths), len(paths)
    total = num_records(pattern, limit)
    data = read_in_order(match_files(pattern)).take(total).map(_read, tf.data.AUTOTUNE).prefetch(4)
    examples = (
        (name.decode("utf8", "replace"), p)
        for p, name in iterate(data.as_numpy_iterator(), pattern)
    )
    return examples, total


def listed_photos(path: str) -> list[str]:
    """Reads the photos from one of PASCAL VOC's lists.

    Args:
        path: `VOC2012/ImageSets/Segmentation/test.txt` with one name per line, or
            `VOC2012/list/test.txt`, whose lines start with `/JPEGImages/<name>.jpg`. Names may
            contain blanks: the whole line is the name if there is such a photo.

    Raises:
        UserError: The list is empty.
    """
    lines = [line.strip() for line in files.read_text(path).splitlines() if line.strip()]
    if not lines:
        raise UserError(f"{path} lists no photos.")
    folder = files.parent(files.parent(files.absolute(path)))
    if files.base_name(folder) == "ImageSets":
        folder = files.parent(folder)
    return [_listed_photo(folder, line) for line in lines]


def _listed_photo(folder: str, line: str) -> str:
    names = [
        name.lstrip("/") if "/" in name else f"JPEGImages/{name}.jpg"
        for name in (line, line.split()[0])
    ]
    found = (existing_file(folder, name) for name in names)
    return next(filter(None, found), files.join(folder, names[-1]))


@without_autograph
def _read(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Reads (photo, name) of a record, with or without a mask."""
    example = parsed_features(serialized, {})
    return decode_image(example["encoded"]), source_id(example, False)
