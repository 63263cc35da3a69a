"""Interface for checking exports: how a task prepares, compares and measures them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from efficientvision.configs.inspect_options import InspectSettings
from efficientvision.configs.run_options import RunOptions
from efficientvision.exports.artifacts import FORMATS
from efficientvision.loading import serving_metadata
from efficientvision.progress import tqdm
from efficientvision.tasks.choice import task_of_config
from efficientvision.tasks.evaluate_export import evaluate_export
from efficientvision.tasks.loaded_model import LoadedModel
from efficientvision.tasks.metadata import ModelMetadata
from efficientvision.tasks.predictor import network_run
from efficientvision.tasks.stretched import stretch_photos

if TYPE_CHECKING:
    from efficientvision.tasks.base import Task

# Of numbers around 1.
TENSORFLOW_TOLERANCE = 1e-3
Run = Callable[[np.ndarray], np.ndarray]


class Compared(NamedTuple):
    """Result of comparing an export with the network.

    Attributes:
        cells: Table cells for `compared_columns`.
        failed: Whether the difference exceeds the format's tolerance.
    """

    cells: tuple[str, ...]
    failed: bool


class ExportChecks:
    """Compares the exports of a network with it: their results, and the first metric.

    Tasks derive a class of their own if their results do not all have one shape, or if their
    photos are not stretched to the input's size.

    Args:
        settings: Options of the export.
        loaded: The network.
        photos: Photos to compare on, uint8 [H, W, 3] each.

    Attributes:
        compared_columns: Table columns of the comparison.
        measured_columns: Table columns of the metrics on `val_file_pattern`.
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
        """The NMS mode from the settings; None for tasks without NMS."""
        return None

    def metadata(self) -> ModelMetadata:
        """Metadata for the exports."""
        return serving_metadata(self.loaded, batch_size=self.settings.batch_size)

    def calibration_image(self, photo: Any) -> np.ndarray:
        """Converts a photo uint8 [H, W, 3] to a portable function's input float32 [1, h, w, 3]."""
        image = stretch_photos(photo[np.newaxis], self.loaded.config.image_hw)
        return image.numpy().astype(np.float32)

    def compare(self, name: str, run: Run, metadata: ModelMetadata) -> Compared:
        """Compares an export of the format `name` with the network on the photos."""
        results = np.stack(list(self._results(name, run, metadata)))
        difference = float(np.abs(results - self._expected).max())
        tolerance = FORMATS[name].score_tolerance if is_portable(name) else TENSORFLOW_TOLERANCE
        scale = max(1.0, float(np.abs(self._expected).max()))
        failed = tolerance is not None and not difference <= tolerance * scale
        return Compared((f"{difference:.2g}",), failed)

    def measure(self, run: Run, metadata: ModelMetadata) -> tuple[float, ...]:
        """Metrics of an export on `val_file_pattern`, in percent, for `measured_columns`."""
        options = RunOptions(mode="eval", val_file_pattern=self.settings.val_file_pattern)
        options = self._task.fit_to_data(options, None)
        metrics = evaluate_export(self._task, run, metadata, options).compute()
        return tuple(100 * metrics[name] for name in self.measured_columns)

    def network_run(self) -> Run:
        """Wraps the network itself like an export that takes one photo at a time."""
        return network_run(self.loaded)

    def _results(self, name: str, run: Run, metadata: ModelMetadata) -> Iterator[np.ndarray]:
        """Yields the result of an export for each photo."""
        for photo in tqdm(self.photos, desc=f"check {name}", unit="photo"):
            yield run(np.repeat(photo[np.newaxis], metadata.batch_size or 1, axis=0))[0]

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
        """Metrics of the network itself, in percent, for `measured_columns`."""
        return self.measure(self.network_run(), dataclasses.replace(self.metadata(), batch_size=1))


def is_portable(name: str) -> bool:
    """Whether a format is portable, that is, not one of TensorFlow's own."""
    return name in FORMATS
