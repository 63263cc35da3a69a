"""What `--runmode=export` asks of a task: how its exports are prepared, compared and measured."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from efficientvision.configs.inspect_options import InspectSettings
from efficientvision.configs.run_options import RunOptions
from efficientvision.exports.artifacts import FORMATS
from efficientvision.loading import LoadedModel, serving_metadata
from efficientvision.progress import tqdm
from efficientvision.tasks.choice import task_of_config
from efficientvision.tasks.evaluate_export import evaluate_export
from efficientvision.tasks.metadata import ModelMetadata
from efficientvision.tasks.predictor import network_run
from efficientvision.tasks.stretched import stretch_photos

if TYPE_CHECKING:
    from efficientvision.tasks.base import Task

# Of numbers around 1.
TENSORFLOW_TOLERANCE = 1e-3
Run = Callable[[np.ndarray], np.ndarray]


class Compared(NamedTuple):
    """How far an export is from the network.

    Attributes:
        cells: of the table, under `compared_columns`.
        failed: beyond the format's tolerance.
    """

    cells: tuple[str, ...]
    failed: bool


class ExportChecks:
    """The exports of one network, held against it: results as numbers, and the first metric.

    A task whose results are no numbers of one shape, or whose photos are not stretched to the
    input's size, has a class of its own.

    Args:
        settings: the flags.
        loaded: the network.
        photos: to compare on, uint8 [H, W, 3] each.

    Attributes:
        compared_columns: heads of the table's columns for the comparison.
        measured_columns: those for what is measured on `--val_file_pattern`.
    """

    compared_columns: tuple[str, ...] = ("difference",)

    def __init__(self, settings: InspectSettings, loaded: LoadedModel, photos: list[np.ndarray]):
        self.settings = settings
        self.loaded = loaded
        self.photos = photos

    @property
    def measured_columns(self) -> tuple[str, ...]:
        return tuple(self._task.labels.headline)[:1]

    @property
    def nms(self) -> str | None:
        """The kind of suppression that the flags ask for, of a task that has any."""
        return None

    def metadata(self) -> ModelMetadata:
        """What the exports say about themselves."""
        return serving_metadata(self.loaded, batch_size=self.settings.batch_size)

    def calibration_image(self, photo: Any) -> np.ndarray:
        """float32 [1, h, w, 3] as a portable function takes it, of a photo uint8 [H, W, 3]."""
        image = stretch_photos(photo[np.newaxis], self.loaded.config.image_hw)
        return image.numpy().astype(np.float32)

    def compare(self, name: str, run: Run, metadata: ModelMetadata) -> Compared:
        """Compares an export of the format `name` with the network, on the photos."""
        progress = tqdm(self.photos, desc=f"check {name}", unit="photo")
        found = np.stack([results_of_one(run, photo, metadata.batch_size) for photo in progress])
        difference = float(np.abs(found - self._expected).max())
        tolerance = FORMATS[name].score_tolerance if is_portable(name) else TENSORFLOW_TOLERANCE
        scale = max(1.0, float(np.abs(self._expected).max()))
        failed = tolerance is not None and not difference <= tolerance * scale
        return Compared((f"{difference:.2g}",), failed)

    def measure(self, run: Run, metadata: ModelMetadata) -> tuple[float, ...]:
        """Percent under `measured_columns`: an export on `--val_file_pattern`."""
        options = RunOptions(mode="eval", val_file_pattern=self.settings.val_file_pattern)
        options = self._task.fit_to_data(options, None)
        metrics = evaluate_export(self._task, run, metadata, options).compute()
        return tuple(100 * metrics[name] for name in self.measured_columns)

    def network_run(self) -> Run:
        """The network itself, as an export of one photo at a time runs."""
        return network_run(self.loaded)

    @functools.cached_property
    def _task(self) -> Task:
        return task_of_config(self.loaded.config)

    @functools.cached_property
    def _expected(self) -> np.ndarray:
        """The network's own results, one for each photo."""
        run = self.network_run()
        progress = tqdm(self.photos, desc="network", unit="photo")
        return np.stack([run(photo[np.newaxis])[0] for photo in progress])

    @functools.cached_property
    def network_measured(self) -> tuple[float, ...]:
        """Percent under `measured_columns`: the network itself."""
        return self.measure(self.network_run(), dataclasses.replace(self.metadata(), batch_size=1))


def results_of_one(run: Run, photo: np.ndarray, batch_size: int | None) -> np.ndarray:
    """What an export that takes `batch_size` photos at a time makes of one."""
    return run(np.repeat(photo[np.newaxis], batch_size or 1, axis=0))[0]


def is_portable(name: str) -> bool:
    """Whether a format is one of the portable ones, and none of TensorFlow's own."""
    return name in FORMATS
