"""Exports a model to several formats, runs each one and compares it with the network."""

import dataclasses
import logging
import time
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from efficientvision import files
from efficientvision.configs.inspect_options import InspectSettings
from efficientvision.configs.run_options import EXPORT_FORMATS, NO_TENSORRT
from efficientvision.data.checks import iterate
from efficientvision.data.class_records import parse_class_example
from efficientvision.data.photos import PHOTO_SUFFIXES, list_photos, open_photo
from efficientvision.data.record_files import match_files
from efficientvision.data.streams import read_in_order, without_autograph
from efficientvision.errors import UserError
from efficientvision.exports.artifacts import FORMATS, IN_INTEGERS, check_installed
from efficientvision.exports.load_export import load_export
from efficientvision.exports.saved_model import export_saved_model
from efficientvision.exports.write_portable import write_portable
from efficientvision.output_folder import check_output_folder
from efficientvision.progress import tqdm
from efficientvision.registry import nearest_names
from efficientvision.runs import inspection
from efficientvision.runs.data_source import locate_for_export, needs_task
from efficientvision.tasks.choice import build_serving, task_of_config
from efficientvision.tasks.export_checks import ExportChecks, Run, is_portable
from efficientvision.tasks.serving import decode_image

log = logging.getLogger(__name__)

_COMPARED_PHOTOS = 20
_CALIBRATION_PHOTOS = 200
# Tolerance in points of the metric.
_TENSORFLOW_LOSS = 0.5
_TENSORFLOW = {"saved_model": "", "frozen": "_frozen.pb"}


@dataclasses.dataclass(frozen=True)
class Exported:
    """An export and the result of its check.

    Attributes:
        format: One of `EXPORT_FORMATS`.
        path: Path of the file or folder.
        megabytes: Size of the export.
        compared: Differences from the network on the photos, as table cells for the columns of the
            task's `ExportChecks`.
        milliseconds: Median time per batch; None if it does not run on this machine.
        metrics: Percent by name; empty without data to measure on.
        fault: What is worse than in the network, and a remedy; "" if nothing.
    """

    format: str
    path: str
    megabytes: float
    compared: tuple[str, ...] = ()
    milliseconds: float | None = None
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    fault: str = ""

    @property
    def verdict(self) -> str:
        """Returns ok, FAILED, or why it was not run."""
        if self.milliseconds is None:
            return "not run: macOS only"
        return "FAILED" if self.fault else "ok"

    def cells(self, checks: ExportChecks) -> tuple[str, ...]:
        """Returns the row of the printed table."""
        compared = self.compared or ("",) * len(checks.compared_columns)
        measured = _percent(tuple(self.metrics.values())) or [""] * len(checks.measured_columns)
        took = "" if self.milliseconds is None else f"{self.milliseconds:.1f}"
        size = f"{self.megabytes:.1f}"
        return (self.format, self.path, size, *compared, took, *measured, self.verdict)


def run(settings: InspectSettings) -> list[Exported]:
    """Writes and checks the formats, and prints a table.

    Raises:
        UserError: Invalid settings, or an export out of tolerance.
    """
    _check_formats(settings.formats)
    fixed = [name for name in settings.formats if is_portable(name)]
    for name in fixed:
        check_installed(name)
    if settings.batch_size is None and fixed:
        raise UserError(
            f"`batch_size=0`: {', '.join(fixed)} need a fixed batch size; set it, or export only "
            "saved_model or frozen"
        )
    check_output_folder("saved_model_dir", settings.saved_model_dir)
    loaded = None
    if needs_task(settings):
        loaded = inspection.load_for_export(settings)
        settings = locate_for_export(settings, task_of_config(loaded.config))
    photos = _compared_photos(settings)
    if any(map(in_integers, settings.formats)) and not settings.calibration_file_pattern:
        log.info(
            f"int8 is calibrated on only {len(photos)} photos from `input_image`; better set "
            "`calibration_file_pattern` with 100 or more"
        )
    loaded = loaded or inspection.load_for_export(settings)
    checks = task_of_config(loaded.config).export_checks(settings, loaded, photos)
    written = dict(_write(checks))
    exported = [_check(checks, name, path) for name, path in written.items()]
    header = ("format", "file", "MB", *checks.compared_columns, "ms", *checks.measured_columns, "")
    _show_table(header, [*_network_row(checks), *(one.cells(checks) for one in exported)])
    faults = [f"{one.format}: {one.fault}" for one in exported if one.fault]
    if faults:
        raise UserError(f"out of tolerance: {'. '.join(faults)}. The files are kept, see the table")
    return exported


def _compared_photos(settings: InspectSettings) -> list[np.ndarray]:
    """Returns the photos to compare on: the given ones, else the first of the records."""
    if settings.input_image or not settings.val_file_pattern:
        paths = list_photos(settings.need("input_image", "export"))
        return [open_photo(path) for path in paths[:_COMPARED_PHOTOS]]
    return list(_recorded_photos(settings.val_file_pattern, _COMPARED_PHOTOS))


def _recorded_photos(pattern: str, limit: int) -> Iterator[np.ndarray]:
    records = read_in_order(match_files(pattern)).take(limit)
    for photo in iterate(records.map(_photo), pattern):
        yield photo.numpy()


@without_autograph
def _photo(record: tf.Tensor) -> tf.Tensor:
    return decode_image(parse_class_example(record)["encoded"])


def _network_row(checks: ExportChecks) -> list[tuple[str, ...]]:
    """Returns the table row of the network itself, if it was measured."""
    if not checks.settings.val_file_pattern:
        return []
    blank = [""] * (len(checks.compared_columns) + 3)
    return [("network", *blank, *_percent(checks.network_measured), "")]


def _check_formats(names: tuple[str, ...]) -> None:
    if not names:
        raise UserError(f"`format` is empty: use one or more of {', '.join(EXPORT_FORMATS)}")
    for name in names:
        if name == "tensorrt":
            raise UserError(f"`format=tensorrt`: {NO_TENSORRT}")
        if name not in EXPORT_FORMATS:
            raise UserError(f"`format={name}`: unknown. {nearest_names(name, EXPORT_FORMATS)}")


def _write(checks: ExportChecks) -> Iterator[tuple[str, str]]:
    """Writes all formats and yields (format, path)."""
    settings, loaded = checks.settings, checks.loaded
    folder = settings.saved_model_dir
    metadata = checks.metadata()
    if _TENSORFLOW.keys() & set(settings.formats):
        target = files.join(folder, "saved_model")
        serving = build_serving(
            loaded.model, loaded.config, **task_of_config(loaded.config).serving_options(settings)
        )
        export_saved_model(serving, target, metadata)
        for name, ending in _TENSORFLOW.items():
            if name in settings.formats:
                frozen = files.join(target, f"{metadata.model_name}{ending}")
                yield name, frozen if ending else target
    portable = [name for name in settings.formats if is_portable(name)]
    for name in tqdm(portable, desc="export", unit="file"):
        form = FORMATS[name]
        path = files.join(folder, f"{metadata.model_name}{form.suffix}")
        write_portable(
            loaded.model,
            loaded.config,
            metadata,
            form,
            path,
            nms=checks.nms if form.nms != "none" else None,
            calibration=list(_calibration_images(checks)) if in_integers(name) else (),
        )
        yield name, path


def in_integers(name: str) -> bool:
    """Whether a format computes in integers, so that photos calibrate it."""
    return is_portable(name) and FORMATS[name].precision in IN_INTEGERS


def _calibration_images(checks: ExportChecks) -> Iterator[np.ndarray]:
    """Yields calibration images prepared as inputs of a portable function."""
    pattern = checks.settings.calibration_file_pattern
    photos: Iterable[np.ndarray] = checks.photos
    if pattern and names_photos(pattern):
        photos = map(open_photo, list_photos(pattern)[:_CALIBRATION_PHOTOS])
    elif pattern:
        photos = _recorded_photos(pattern, _CALIBRATION_PHOTOS)
    for photo in photos:
        yield checks.calibration_image(photo)


def names_photos(pattern: str) -> bool:
    """Whether a path, folder or glob matches photos rather than records."""
    return files.is_folder(pattern) or pattern.lower().endswith(PHOTO_SUFFIXES)


def _check(checks: ExportChecks, name: str, path: str) -> Exported:
    """Loads an export in its own runtime and compares it with the network."""
    settings = checks.settings
    if is_portable(name) and not FORMATS[name].runs_here:
        return Exported(name, path, _size(path) / 1e6)
    run_batch, metadata = load_export(path, settings.threads)
    compared = checks.compare(name, run_batch, metadata)
    measured = ()
    if settings.val_file_pattern:
        measured = checks.measure(run_batch, metadata)
    fault = _fault(checks, name, compared.failed, measured)
    photos = np.repeat(checks.photos[0][np.newaxis], metadata.batch_size or 1, axis=0)
    return Exported(
        name,
        path,
        _size(path) / 1e6,
        compared.cells,
        1000 * _median_seconds(run_batch, photos, settings.bm_runs),
        dict(zip(checks.measured_columns, measured, strict=False)),
        fault,
    )


def _fault(checks: ExportChecks, name: str, differs: bool, measured: tuple[float, ...]) -> str:
    """Describes where an export is worse than the network, and a remedy; "" if nowhere."""
    remedy = "keep the SavedModel"
    if is_portable(name) and FORMATS[name].precision != "float32":
        remedy = "use a format with more bits"
        if in_integers(name):
            remedy = (
                "set `calibration_file_pattern` to 100 or more photos like those it will see, or "
                "use a format with more bits (litert_mixed, litert_fp16)"
            )
    if measured:  # More relevant than differences on a few photos.
        lost = checks.network_measured[0] - measured[0]
        allowed = FORMATS[name].metric_tolerance if is_portable(name) else _TENSORFLOW_LOSS
        if not lost > allowed:  # Also true for NaN, without data.
            return ""
        return f"{checks.measured_columns[0]} is {lost:.1f} points below the network's: {remedy}"
    if differs:
        return f"differs from the network on the photos: {remedy}, or check on `val_file_pattern`"
    return ""


def _percent(values: tuple[float, ...]) -> list[str]:
    return [f"{value:.1f}" for value in values]


def _size(path: str) -> int:
    """Returns the bytes of a file including its companions, or of a folder's network."""
    names = ("saved_model.pb", "variables/variables.data-00000-of-00001")
    if files.is_file(files.join(path, names[0])):
        return sum(files.size(files.join(path, name)) for name in names)
    if files.is_folder(path):
        return sum(_size(files.join(path, name)) for name in files.list_names(path))
    weights = path.removesuffix(".xml") + ".bin"
    return files.size(path) + (files.size(weights) if path.endswith(".xml") else 0)


def _median_seconds(run_batch: Run, photos: np.ndarray, runs: int) -> float:
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        run_batch(photos)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def _show_table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    lines = [header, *rows]
    used = [i for i in range(len(header)) if any(row[i] for row in rows)]
    widths = {i: max(len(line[i]) for line in lines) for i in used}
    for line in lines:
        log.info("  ".join(line[i].ljust(widths[i]) for i in used).rstrip())
