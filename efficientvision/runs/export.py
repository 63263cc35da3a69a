"""A model in several formats, each run and held against the network."""

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
from efficientvision.exports.artifacts import FORMATS, IN_INTEGERS
from efficientvision.exports.load_export import load_export
from efficientvision.exports.saved_model import export_saved_model
from efficientvision.exports.write_portable import write_portable
from efficientvision.output_folder import check_output_folder
from efficientvision.progress import tqdm
from efficientvision.registry import nearest_names
from efficientvision.runs import inspection
from efficientvision.tasks.choice import build_serving, task_of_config
from efficientvision.tasks.export_checks import ExportChecks, Run, is_portable
from efficientvision.tasks.serving import decode_image

log = logging.getLogger(__name__)

_COMPARED_PHOTOS = 20
_CALIBRATION_PHOTOS = 200
# Points of the metric.
_TENSORFLOW_LOSS = 0.5
_TENSORFLOW = {"saved_model": "", "frozen": "_frozen.pb"}


@dataclasses.dataclass(frozen=True)
class Exported:
    """An export and how it was found.

    Attributes:
        format: of `EXPORT_FORMATS`.
        path: of the file or folder.
        megabytes: its size.
        compared: how far it is from the network on the photos, in words; of the columns of the
            task's `ExportChecks`.
        milliseconds: of one batch, the median; None: it does not run on this machine.
        metrics: percent by name; empty where there was nothing to measure on.
        fault: in what it falls short of the network, and what helps; "": in nothing.
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
        """ok, FAILED, or why it was not run."""
        if self.milliseconds is None:
            return "not run: macOS only"
        return "FAILED" if self.fault else "ok"

    def cells(self, checks: ExportChecks) -> tuple[str, ...]:
        """Of the table that is printed."""
        compared = self.compared or ("",) * len(checks.compared_columns)
        measured = _percent(tuple(self.metrics.values())) or [""] * len(checks.measured_columns)
        took = "" if self.milliseconds is None else f"{self.milliseconds:.1f}"
        size = f"{self.megabytes:.1f}"
        return (self.format, self.path, size, *compared, took, *measured, self.verdict)


def run(settings: InspectSettings) -> list[Exported]:
    """Writes and checks the formats; shows the table.

    Raises:
        UserError: bad settings, or an export beyond its tolerance.
    """
    _check_formats(settings.formats)
    fixed = [name for name in settings.formats if is_portable(name)]
    if settings.batch_size is None and fixed:
        raise UserError(
            f"`batch_size=0`: {', '.join(fixed)} take a fixed number of images; name it, or export "
            "saved_model or frozen alone"
        )
    photos = _compared_photos(settings)
    check_output_folder("saved_model_dir", settings.saved_model_dir)
    if any(map(_in_integers, settings.formats)) and not settings.calibration_file_pattern:
        log.info(
            f"int8 takes its ranges from the {len(photos)} photos of `input_image`; better is "
            "`calibration_file_pattern` with 100 or more"
        )
    loaded = inspection.load_for_export(settings)
    checks = task_of_config(loaded.config).export_checks(settings, loaded, photos)
    written = dict(_write(checks))
    exported = [_check(checks, name, path) for name, path in written.items()]
    header = ("format", "file", "MB", *checks.compared_columns, "ms", *checks.measured_columns, "")
    _show_table(header, [*_network_row(checks), *(one.cells(checks) for one in exported)])
    faults = [f"{one.format}: {one.fault}" for one in exported if one.fault]
    if faults:
        raise UserError(f"beyond the tolerance: {'. '.join(faults)}. The files stay, see the table")
    return exported


def _compared_photos(settings: InspectSettings) -> list[np.ndarray]:
    """Photos to compare on: those named, else the first of the records to measure on."""
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
    """The line of the network itself, where it was measured."""
    if not checks.settings.val_file_pattern:
        return []
    blank = [""] * (len(checks.compared_columns) + 3)
    return [("network", *blank, *_percent(checks.network_measured), "")]


def _check_formats(names: tuple[str, ...]) -> None:
    if not names:
        raise UserError(f"`format` names none of {', '.join(EXPORT_FORMATS)}")
    for name in names:
        if name == "tensorrt":
            raise UserError(f"`format=tensorrt`: {NO_TENSORRT}")
        if name not in EXPORT_FORMATS:
            raise UserError(f"`format={name}`: unknown. {nearest_names(name, EXPORT_FORMATS)}")


def _write(checks: ExportChecks) -> Iterator[tuple[str, str]]:
    """Writes all formats; yields (format, path)."""
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
            calibration=list(_calibration_images(checks)) if _in_integers(name) else (),
        )
        yield name, path


def _in_integers(name: str) -> bool:
    return is_portable(name) and FORMATS[name].precision in IN_INTEGERS


def _calibration_images(checks: ExportChecks) -> Iterator[np.ndarray]:
    """Images as a portable function takes them."""
    pattern = checks.settings.calibration_file_pattern
    photos: Iterable[np.ndarray] = checks.photos
    if pattern and names_photos(pattern):
        photos = map(open_photo, list_photos(pattern)[:_CALIBRATION_PHOTOS])
    elif pattern:
        photos = _recorded_photos(pattern, _CALIBRATION_PHOTOS)
    for photo in photos:
        yield checks.calibration_image(photo)


def names_photos(pattern: str) -> bool:
    """Whether a path, folder or glob is of photos, not of records."""
    return files.is_folder(pattern) or pattern.lower().endswith(PHOTO_SUFFIXES)


def _check(checks: ExportChecks, name: str, path: str) -> Exported:
    """Loads an export in its own runtime, and compares it with the network."""
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
    """In what an export falls short of the network, and what helps; "" if it does not."""
    remedy = "keep the SavedModel"
    if is_portable(name) and FORMATS[name].precision != "float32":
        remedy = "take a format of more bits"
        if _in_integers(name):
            remedy = (
                "give `calibration_file_pattern` 100 photos or more of the kind it will see, or "
                "take a format of more bits (litert_mixed, litert_fp16)"
            )
    if measured:  # What counts for a user, and says more than a few photos.
        lost = checks.network_measured[0] - measured[0]
        allowed = FORMATS[name].metric_tolerance if is_portable(name) else _TENSORFLOW_LOSS
        if not lost > allowed:  # Nor where there is nothing to measure, NaN.
            return ""
        return f"{checks.measured_columns[0]} is {lost:.1f} points below the network's: {remedy}"
    if differs:
        return f"it differs from the network on the photos: {remedy}, or see by `val_file_pattern`"
    return ""


def _percent(values: tuple[float, ...]) -> list[str]:
    return [f"{value:.1f}" for value in values]


def _size(path: str) -> int:
    """Bytes of a file with what belongs to it, or of a folder's network."""
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
