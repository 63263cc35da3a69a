"""What `infer` and its like do with a model: run it on photos, draw and tell what it found."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from efficientvision.classifier import Classifier, Prediction
from efficientvision.cli.inspect_settings import InspectSettings
from efficientvision.configs import ClassificationConfig
from efficientvision.detector import Detections, Detector
from efficientvision.loading import LoadedModel

_TOP_CLASSES = 5


class PhotoLook(abc.ABC):
    """A model with the flags that say how its results are shown.

    Attributes:
        batch_size: photos at a time: what the model was made for, else --batch_size.
    """

    batch_size: int

    @abc.abstractmethod
    def find(self, photos: Sequence[np.ndarray]) -> list[Any]:
        """What the model finds in each photo, uint8 [H, W, 3]."""

    @abc.abstractmethod
    def draw(self, photo: np.ndarray, found: Any) -> Image.Image:
        """A picture of the photo and what was found in it."""

    @abc.abstractmethod
    def tell(self, found: Any) -> str:
        """What was found in a photo, in a line."""


class DetectorLook(PhotoLook):
    """Boxes on photos."""

    def __init__(self, detector: Detector, settings: InspectSettings):
        self._detector = detector
        self._settings = settings
        self.batch_size = detector.metadata.batch_size or settings.batch_size or 1

    def find(self, photos: Sequence[np.ndarray]) -> list[Detections]:
        return self._detector(list(photos), batch_size=self.batch_size)

    def draw(self, photo: np.ndarray, found: Detections) -> Image.Image:
        return self._detector.draw(
            photo,
            found,
            min_score_thresh=self._settings.min_score_thresh,
            max_boxes_to_draw=self._settings.max_boxes_to_draw,
            line_thickness=self._settings.line_thickness,
        )

    def tell(self, found: Detections) -> str:
        return f"{len(found)} objects"


class ClassifierLook(PhotoLook):
    """The likeliest classes of photos; of a multi-label model all that are likely enough."""

    def __init__(self, classifier: Classifier, settings: InspectSettings):
        self._classifier = classifier
        self.batch_size = classifier.metadata.batch_size or settings.batch_size or 1

    def find(self, photos: Sequence[np.ndarray]) -> list[list[Prediction]]:
        return self._classifier.classify(
            list(photos), top_k=_TOP_CLASSES, batch_size=self.batch_size
        )

    def draw(self, photo: np.ndarray, found: list[Prediction]) -> Image.Image:
        return self._classifier.draw(photo, found)

    def tell(self, found: list[Prediction]) -> str:
        named = [f"{name} {probability:.1%}" for name, probability in found]
        return ", ".join(named) or "no class is likely enough"


def look_of(model: Detector | Classifier, settings: InspectSettings) -> PhotoLook:
    """How a model's results are shown."""
    return (ClassifierLook if isinstance(model, Classifier) else DetectorLook)(model, settings)


def in_memory(loaded: LoadedModel, settings: InspectSettings) -> Detector | Classifier:
    """A network in memory, to be run on photos."""
    if isinstance(loaded.config, ClassificationConfig):
        return Classifier.from_loaded(loaded, min_probability=settings.min_score_thresh)
    return Detector.from_loaded(loaded)
