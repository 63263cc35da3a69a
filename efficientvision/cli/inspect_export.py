"""--runmode=export: a model in several formats, each run and held against the network."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from efficientvision import files
from efficientvision.cli.export_checks import ExportChecks, Run, is_portable
from efficientvision.cli.export_classifier import ClassifierChecks
from efficientvision.cli.export_detector import DetectorChecks
from efficientvision.cli.export_segmenter import SegmenterChecks
from efficientvision.cli.inspect_flags import EXPORT_FORMATS, NO_TENSORRT
from efficientvision.cli.inspect_settings import InspectSettings
from efficientvision.cli.output_folder import check_output_folder
from efficientvision.data.checks import iterate
from efficientvision.data.class_records import parse_class_example
from efficientvision.data.photos import list_photos, open_photo
from efficientvision.data.record_files import match_files
from efficientvision.data.streams import read_in_order, without_autograph
from efficientvision.errors import UserError
from efficientvision.export.artifacts import FORMATS, IN_INTEGERS
from efficientvision.export.load_export import load_export
from efficientvision.export.saved_model import export_saved_model
from efficientvision.export.serving import build_serving
from efficientvision.export.serving_base import decode_image
from efficientvision.export.write_portable import write_portable
from efficientvision.registry import nearest_names

_COMPARED_PHOTOS = 20
_CALIBRATION_PHOTOS = 200
_CHECKS = {
    "detection": DetectorChecks,
    "classification": ClassifierChecks,
    "segmentation": SegmenterChecks,
}
# Points of the metric.
_TENSORFLOW_LOSS = 0.5
_TENSORFLOW = {"saved_model": "", "frozen": "_frozen.pb"}


class Row(NamedTuple):
    """A line of the table; `fault`: in what, and what helps, if it is beyond its tolerance."""

    cells: tuple[str, ...]
    fault: str = ""


def run(settings: InspectSettings) -> None:
    """Writes and checks --format; prints the table.

    Raises:
        UserError: bad flags, or an export beyond its tolerance.
    """
    _check_formats(settings.formats)
    fixed = [name for name in settings.formats if is_portable(name)]
    if settings.batch_size is None and fixed:
        raise UserError(
            f"--batch_size=0: {', '.join(fixed)} take a fixed number of images; name it, or export "
            "saved_model or frozen alone"
        )
    paths = list_photos(settings.need("input_image", "export"))[:_COMPARED_PHOTOS]
    photos = [open_photo(path) for path in paths]
    check_output_folder("saved_model_dir", settings.saved_model_dir)
    if any(map(_in_integers, settings.formats)) and not settings.calibration_file_pattern:
        print(f"int8 takes its ranges from the {len(photos)} photos of --input_image; better is "
              "--calibration_file_pattern with 100 or more")  # fmt: skip
    loaded = settings.load_for_export()
    checks = _CHECKS[loaded.config.task](settings, loaded, photos)
    written = dict(_write(checks))
    rows = [_check(checks, name, path) for name, path in written.items()]
    header = ("format", "file", "MB", *checks.compared_columns, "ms", *checks.measured_columns, "")
    _print_table(header, [*_network_row(checks), *(row.cells for row in rows)])
    faults = [f"{row.cells[0]}: {row.fault}" for row in rows if row.fault]
    if faults:
        raise UserError(f"beyond the tolerance: {'. '.join(faults)}. The files stay, see the table")


def _network_row(checks: ExportChecks) -> list[tuple[str, ...]]:
    """The line of the network itself, where it was measured."""
    if not checks.settings.val_file_pattern:
        return []
    blank = [""] * (len(checks.compared_columns) + 3)
    return [("network", *blank, *_percent(checks.network_measured), "")]


def _check_formats(names: tuple[str, ...]) -> None:
    if not names:
        raise UserError(f"--format names none of {', '.join(EXPORT_FORMATS)}")
    for name in names:
        if name == "tensorrt":
            raise UserError(f"--format=tensorrt: {NO_TENSORRT}")
        if name not in EXPORT_FORMATS:
            raise UserError(f"--format={name}: unknown. {nearest_names(name, EXPORT_FORMATS)}")


def _write(checks: ExportChecks) -> Iterator[tuple[str, str]]:
    """Writes all formats; yields (format, path)."""
    settings, loaded = checks.settings, checks.loaded
    folder = settings.saved_model_dir
    metadata = checks.metadata()
    if _TENSORFLOW.keys() & set(settings.formats):
        target = files.join(folder, "saved_model")
        serving = build_serving(
            loaded.model, loaded.config, **settings.serving_options(loaded.config.task)
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
    sources: Any = checks.photos
    if pattern:
        records = read_in_order(match_files(pattern)).take(_CALIBRATION_PHOTOS)
        sources = iterate(records.map(_photo), pattern)
    for photo in sources:
        yield checks.calibration_image(photo)


@without_autograph
def _photo(record: tf.Tensor) -> tf.Tensor:
    return decode_image(parse_class_example(record)["encoded"])


def _check(checks: ExportChecks, name: str, path: str) -> Row:
    """Loads an export in its own runtime, and compares it with the network."""
    settings = checks.settings
    if is_portable(name) and not FORMATS[name].runs_here:
        blank = [""] * (len(checks.compared_columns) + 1 + len(checks.measured_columns))
        size = f"{_size(path) / 1e6:.1f}"
        return Row((name, path, size, *blank, "not run: macOS only"))
    run_batch, metadata = load_export(path, settings.threads)
    compared = checks.compare(name, run_batch, metadata)
    measured = ()
    if settings.val_file_pattern:
        measured = checks.measure(run_batch, metadata)
    fault = _fault(checks, name, compared.failed, measured)
    photos = np.repeat(checks.photos[0][np.newaxis], metadata.batch_size or 1, axis=0)
    cells = (
        name,
        path,
        f"{_size(path) / 1e6:.1f}",
        *compared.cells,
        f"{1000 * _median_seconds(run_batch, photos, settings.bm_runs):.1f}",
        *(_percent(measured) if measured else [""] * len(checks.measured_columns)),
        "FAILED" if fault else "ok",
    )
    return Row(cells, fault)


def _fault(checks: ExportChecks, name: str, differs: bool, measured: tuple[float, ...]) -> str:
    """In what an export falls short of the network, and what helps; "" if it does not."""
    remedy = "keep the SavedModel"
    if is_portable(name) and FORMATS[name].precision != "float32":
        remedy = "take a format of more bits"
        if _in_integers(name):
            remedy = (
                "give --calibration_file_pattern 100 photos or more of the kind it will see, or "
                "take a format of more bits (litert_mixed, litert_fp16)"
            )
    if measured:  # What counts for a user, and says more than a few photos.
        lost = checks.network_measured[0] - measured[0]
        allowed = FORMATS[name].metric_tolerance if is_portable(name) else _TENSORFLOW_LOSS
        if not lost > allowed:  # Nor where there is nothing to measure, NaN.
            return ""
        return f"{checks.measured_columns[0]} is {lost:.1f} points below the network's: {remedy}"
    if differs:
        return f"it differs from the network on the photos: {remedy}, or see by --val_file_pattern"
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


def _print_table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    lines = [header, *rows]
    used = [i for i in range(len(header)) if any(row[i] for row in rows)]
    widths = {i: max(len(line[i]) for line in lines) for i in used}
    for line in lines:
        print("  ".join(line[i].ljust(widths[i]) for i in used).rstrip())
