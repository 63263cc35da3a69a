"""Interface for checking exports: how a task prepares, compares and measures them."""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from efficientvision.configs.inspect_options import InspectSettings
from efficientvision.exports.artifacts import FORMATS
from efficientvision.tasks.loaded_model import LoadedModel
from efficientvision.tasks.metadata import ModelMetadata

Run = Callable[[np.ndarray], np.ndarray]


class Compared(NamedTuple):
    """Result of comparing an export with the network.

    Attributes:
        cells: Table cells for `compared_columns`.
        failed: Whether the difference exceeds the format's tolerance.
    """

    cells: tuple[str, ...]
    failed: bool


class ExportChecks(abc.ABC):
    """Compares the exports of one network with the network.

    Args:
        settings: Options of the export.
        loaded: The network.
        photos: Photos to compare on, uint8 [H, W, 3] each.

    Attributes:
        compared_columns: Table columns of the comparison.
        measured_columns: Table columns of the metrics on `val_file_pattern`.
    """

    compared_columns: tuple[str, ...]
    measured_columns: tuple[str, ...]

    def __init__(self, settings: InspectSettings, loaded: LoadedModel, photos: list[np.ndarray]):
        self.settings = settings
        self.loaded = loaded
        self.photos = photos

    @property
    def nms(self) -> str | None:
        """The NMS mode from the settings; None for tasks without NMS."""
        return None

    @abc.abstractmethod
    def metadata(self) -> ModelMetadata:
        """Metadata for the exports."""

    @abc.abstractmethod
    def calibration_image(self, photo: Any) -> np.ndarray:
        """Converts a photo uint8 [H, W, 3] to a portable function's input float32 [1, h, w, 3]."""

    @abc.abstractmethod
    def compare(self, name: str, run: Run, metadata: ModelMetadata) -> Compared:
        """Compares an export of the format `name` with the network on the photos."""

    @abc.abstractmethod
    def measure(self, run: Run, metadata: ModelMetadata) -> tuple[float, ...]:
        """Metrics of an export on `val_file_pattern`, in percent, for `measured_columns`."""

    @abc.abstractmethod
    def network_run(self) -> Run:
        """Wraps the network itself like an export that takes one photo at a time."""

    @functools.cached_property
    def network_measured(self) -> tuple[float, ...]:
        """Metrics of the network itself, in percent, for `measured_columns`."""
        return self.measure(self.network_run(), dataclasses.replace(self.metadata(), batch_size=1))


def results_of_one(run: Run, photo: np.ndarray, batch_size: int | None) -> np.ndarray:
    """Runs an export with a fixed `batch_size` on a single photo."""
    return run(np.repeat(photo[np.newaxis], batch_size or 1, axis=0))[0]


def is_portable(name: str) -> bool:
    """Whether a format is portable, that is, not one of TensorFlow's own."""
    return name in FORMATS
