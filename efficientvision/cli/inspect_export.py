"""--runmode=export: a detector in several formats, each run and held against the network."""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from efficientvision import files
from efficientvision.cli.evaluate_export import evaluate_export
from efficientvision.cli.inspect_flags import EXPORT_FORMATS, NO_TENSORRT
from efficientvision.cli.inspect_settings import DEFAULT_MIN_SCORE, InspectSettings
from efficientvision.cli.output_folder import check_output_folder
from efficientvision.data.photos import list_photos, open_photo
from efficientvision.data.record_files import match_files
from efficientvision.data.records import parse_example
from efficientvision.data.streams import read_in_order
from efficientvision.data.transforms.preprocess import normalize, resize_and_pad
from efficientvision.detector import Detector
from efficientvision.errors import UserError
from efficientvision.evaluation.coco import CocoEvaluator
from efficientvision.evaluation.coco_source import measuring
from efficientvision.export import agreement
from efficientvision.export.artifacts import FORMATS
from efficientvision.export.saved_model import export_saved_model
from efficientvision.export.serving import build_serving
from efficientvision.export.serving_base import decode_image
from efficientvision.export.write_portable import write_portable
from efficientvision.loading import LoadedModel, serving_metadata
from efficientvision.registry import nearest_names

# From this score on a detection is looked for on the other side.
_COMPARED_SCORE = 0.3
_USEFUL_DETECTIONS = 5
_COMPARED_PHOTOS = 20
_CALIBRATION_PHOTOS = 200
# Inside the portable formats: so low that AP can be measured with the file.
_LEAST_SCORE = 0.001
_TENSORFLOW = {"saved_model": "", "frozen": "_frozen.pb"}
_TENSORFLOW_TOLERANCE = (0.1, 1e-3, 0.005)
_HEADER = ("format", "file", "MB", "box px", "score", "differ", "ms", "AP", "AP50", "")


class Row(NamedTuple):
    """A line of the table; `failed`: beyond the format's tolerance."""

    cells: tuple[str, ...]
    failed: bool


def run(settings: InspectSettings) -> None:
    """Writes and checks --format; prints the table.

    Raises:
        UserError: bad flags, or an export beyond its tolerance.
    """
    _check_formats(settings.formats)
    paths = list_photos(settings.need("input_image", "export"))[:_COMPARED_PHOTOS]
    photos = [open_photo(path) for path in paths]
    check_output_folder("saved_model_dir", settings.saved_model_dir)
    if "litert_int8" in settings.formats and not settings.calibration_file_pattern:
        print(f"int8 takes its ranges from the {len(photos)} photos of --input_image; better is "
              "--calibration_file_pattern with 100 or more")  # fmt: skip
    loaded = settings.load()
    if settings.min_score_thresh is None:
        loaded.config.override({"nms_configs": {"score_thresh": _LEAST_SCORE}})
    written = dict(_write(settings, loaded, photos))
    expected = functools.cache(lambda nms_mode: _detected(loaded, nms_mode, photos))
    coco = None
    if settings.val_file_pattern:
        names = loaded.class_names or None
        coco = measuring(settings.val_file_pattern, names, settings.val_json_file)
    rows = [_check(settings, name, path, photos, expected, coco) for name, path in written.items()]
    _print_table([row.cells for row in rows])
    failed = [row.cells[0] for row in rows if row.failed]
    if failed:
        raise UserError(f"beyond the tolerance: {', '.join(failed)}; the files stay, see the table")


def _check_formats(names: tuple[str, ...]) -> None:
    if not names:
        raise UserError(f"--format names none of {', '.join(EXPORT_FORMATS)}")
    for name in names:
        if name == "tensorrt":
            raise UserError(f"--format=tensorrt: {NO_TENSORRT}")
        if name not in EXPORT_FORMATS:
            raise UserError(f"--format={name}: unknown. {nearest_names(name, EXPORT_FORMATS)}")


def _write(
    settings: InspectSettings, loaded: LoadedModel, photos: list[np.ndarray]
) -> Iterator[tuple[str, str]]:
    """Writes all formats; yields (format, path)."""
    folder = settings.saved_model_dir
    metadata = dataclasses.replace(
        serving_metadata(loaded, batch_size=settings.batch_size),
        min_score_thresh=loaded.config.nms_configs.score_thresh
        if settings.min_score_thresh is not None
        else DEFAULT_MIN_SCORE,
    )
    if _TENSORFLOW.keys() & set(settings.formats):
        target = files.join(folder, "saved_model")
        export_saved_model(build_serving(loaded.model, loaded.config), target, metadata)
        for name, ending in _TENSORFLOW.items():
            if name in settings.formats:
                frozen = files.join(target, f"{metadata.model_name}{ending}")
                yield name, frozen if ending else target
    for name in tqdm([n for n in settings.formats if n in FORMATS], desc="export", unit="file"):
        form = FORMATS[name]
        images: Any = ()
        if form.precision == "int8":
            images = list(_calibration_images(settings, loaded, photos))
        path = files.join(folder, f"{metadata.model_name}{form.suffix}")
        write_portable(
            loaded.model,
            loaded.config,
            metadata,
            form,
            path,
            nms=settings.nms if form.nms != "none" else None,
            calibration=images,
        )
        yield name, path


def _calibration_images(
    settings: InspectSettings, loaded: LoadedModel, photos: list[np.ndarray]
) -> Iterator[np.ndarray]:
    """Images as a portable function takes them."""
    config = loaded.config
    if settings.calibration_file_pattern:
        records = read_in_order(match_files(settings.calibration_file_pattern))
        sources: Any = (
            decode_image(parse_example(record)["encoded"])
            for record in records.take(_CALIBRATION_PHOTOS)
        )
    else:
        sources = photos
    mean = np.broadcast_to(np.float32(config.mean_rgb), 3)
    for photo in sources:
        image, _, valid_hw = resize_and_pad(photo, config.image_hw)
        # Padding with the mean: what becomes zero inside.
        yield (normalize(image, valid_hw, mean, 1.0).numpy() + mean)[np.newaxis]


def _detected(loaded: LoadedModel, nms_mode: str, photos: list[np.ndarray]) -> list[np.ndarray]:
    """What the network itself detects in each photo, rows [n, 7]."""
    network = Detector.from_loaded(loaded, nms_mode=nms_mode)
    progress = tqdm(photos, desc=f"network, NMS {nms_mode}", unit="photo")
    return [network.detect_batch(photo[np.newaxis])[0] for photo in progress]


def _check(
    settings: InspectSettings,
    name: str,
    path: str,
    photos: list[np.ndarray],
    expected: Callable[[str], list[np.ndarray]],
    coco: CocoEvaluator | None,
) -> Row:
    """Loads an export in its own runtime, and compares it with the network.

    Args:
        settings: the flags.
        name: of the format.
        path: of the export.
        photos: to compare on.
        expected: mode of suppression -> the network's rows of each photo.
        coco: to measure with; None: nothing is measured.
    """
    detector = Detector.from_checkpoint(path, min_score_thresh=0.0, threads=settings.threads)
    portable = name in FORMATS
    wanted = expected("offset" if portable else "per_class")
    batch = detector.metadata.batch_size or 1
    box, score, differ = _TENSORFLOW_TOLERANCE
    if portable:
        form = FORMATS[name]
        box, score, differ = form.box_tolerance, form.score_tolerance, form.differ_tolerance
    parts = []
    progress = tqdm(photos, desc=f"check {name}", unit="photo")
    for photo, rows in zip(progress, wanted, strict=True):
        found = detector.detect_batch(np.repeat(photo[np.newaxis], batch, axis=0))[0]
        parts.append(agreement.compare(rows, found, _COMPARED_SCORE, box or np.inf))
    total = agreement.together(parts)
    _say_if_few(parts)
    differing = total.unmatched + total.displaced
    failed = box is not None and (
        total.score > score or differing > differ * max(total.detections, 1)
    )
    scores = ("", "")
    if coco is not None:
        coco.reset()
        evaluate_export(detector, settings.val_file_pattern, coco)
        metrics = coco.compute()
        scores = tuple(f"{100 * metrics[key]:.1f}" for key in ("AP", "AP50"))
    cells = (
        name,
        path,
        f"{_size(path) / 1e6:.1f}",
        f"{total.box:.2g}",
        f"{total.score:.2g}",
        f"{differing} of {total.detections}",
        f"{1000 * _median_seconds(detector, photos[0], batch, settings.bm_runs):.1f}",
        *scores,
        "FAILED" if failed else "measured by AP" if box is None else "ok",
    )
    return Row(cells, failed)


def _say_if_few(parts: list[agreement.Agreement]) -> None:
    poor = sum(part.detections < _USEFUL_DETECTIONS for part in parts)
    if poor:
        print(
            f"{poor} of {len(parts)} photos have fewer than {_USEFUL_DETECTIONS} detections of "
            f"score {_COMPARED_SCORE} or more: the comparison says more on photos full of objects, "
            "with trained weights"
        )


def _size(path: str) -> int:
    """Bytes of a file with what belongs to it, or of a folder's network."""
    if files.is_folder(path):
        names = ("saved_model.pb", "variables/variables.data-00000-of-00001")
        return sum(files.size(files.join(path, name)) for name in names)
    weights = path.removesuffix(".xml") + ".bin"
    return files.size(path) + (files.size(weights) if path.endswith(".xml") else 0)


def _median_seconds(detector: Detector, photo: np.ndarray, batch: int, runs: int) -> float:
    photos = np.repeat(photo[np.newaxis], batch, axis=0)
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        detector.detect_batch(photos)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def _print_table(rows: list[tuple[str, ...]]) -> None:
    lines = [_HEADER, *rows]
    used = [i for i in range(len(_HEADER)) if any(row[i] for row in rows)]
    widths = {i: max(len(line[i]) for line in lines) for i in used}
    for line in lines:
        print("  ".join(line[i].ljust(widths[i]) for i in used).rstrip())
