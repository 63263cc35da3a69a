"""What `--runmode=export` asks of a task: how its exports are prepared, compared and measured."""

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
    """How far an export is from the network.

    Attributes:
        cells: of the table, under `compared_columns`.
        failed: beyond the format's tolerance.
    """

    cells: tuple[str, ...]
    failed: bool


class ExportChecks(abc.ABC):
    """The exports of one network, held against it.

    Args:
        settings: the flags.
        loaded: the network.
        photos: to compare on, uint8 [H, W, 3] each.

    Attributes:
        compared_columns: heads of the table's columns for the comparison.
        measured_columns: those for what is measured on `--val_file_pattern`.
    """

    compared_columns: tuple[str, ...]
    measured_columns: tuple[str, ...]

    def __init__(self, settings: InspectSettings, loaded: LoadedModel, photos: list[np.ndarray]):
        self.settings = settings
        self.loaded = loaded
        self.photos = photos

    @property
    def nms(self) -> str | None:
        """The kind of suppression that the flags ask for, of a task that has any."""
        return None

    @abc.abstractmethod
    def metadata(self) -> ModelMetadata:
        """What the exports say about themselves."""

    @abc.abstractmethod
    def calibration_image(self, photo: Any) -> np.ndarray:
        """float32 [1, h, w, 3] as a portable function takes it, of a photo uint8 [H, W, 3]."""

    @abc.abstractmethod
    def compare(self, name: str, run: Run, metadata: ModelMetadata) -> Compared:
        """Compares an export of the format `name` with the network, on the photos."""

    @abc.abstractmethod
    def measure(self, run: Run, metadata: ModelMetadata) -> tuple[float, ...]:
        """Percent under `measured_columns`: an export on `--val_file_pattern`."""

    @abc.abstractmethod
    def network_run(self) -> Run:
        """The network itself, as an export of one photo at a time runs."""

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
