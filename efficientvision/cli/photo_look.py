"""What `infer` and its like do with a model: run it on photos, draw and tell what it found."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from efficientvision.classifier import Classifier, Prediction
from efficientvision.configs import ClassificationConfig, SegmentationConfig
from efficientvision.detector import Detections, Detector
from efficientvision.loading import LoadedModel
from efficientvision.runs.inspect_settings import InspectSettings
from efficientvision.segmenter import Segmenter
from efficientvision.visualize.draw_class_map import (
    LEAST_SHARE,
    Present,
    classes_present,
    indexed_picture,
)

_TOP_CLASSES = 5
Model = Detector | Classifier | Segmenter


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

    def raw_map(self, found: Any) -> Image.Image | None:
        """A picture whose pixels are class indices, where the flags ask for it."""
        return None


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


class Segmented(NamedTuple):
    """The classes of a photo's pixels.

    Attributes:
        class_map: uint8 [H, W], class indices.
        present: the classes that are there, the largest first.
    """

    class_map: np.ndarray
    present: list[Present]

    @property
    def names(self) -> list[str]:
        """Of the classes that are there."""
        return [name for name, _, _ in self.present]


class SegmenterLook(PhotoLook):
    """The colours of the classes over photos.

    Args:
        segmenter: the model.
        settings: the flags.
        legend: where; see `draw_class_map`.
    """

    def __init__(self, segmenter: Segmenter, settings: InspectSettings, legend: str = "outside"):
        self._segmenter = segmenter
        self._legend = legend
        self._writes_raw_maps = settings.raw_maps
        self.batch_size = segmenter.metadata.batch_size or settings.batch_size or 1

    def find(self, photos: Sequence[np.ndarray]) -> list[Segmented]:
        class_maps = self._segmenter.predict(list(photos), batch_size=self.batch_size)
        names, palette = self._segmenter.class_names, self._segmenter.metadata.palette
        return [Segmented(m, classes_present(m, names, palette)) for m in class_maps]

    def draw(self, photo: np.ndarray, found: Segmented) -> Image.Image:
        return self._segmenter.draw(photo, found.class_map, legend=self._legend)

    def tell(self, found: Segmented) -> str:
        told = [present for present in found.present if present.share >= LEAST_SHARE]
        return ", ".join(f"{name} {share:.1%}" for name, _, share in told)

    def raw_map(self, found: Segmented) -> Image.Image | None:
        if not self._writes_raw_maps:
            return None
        return indexed_picture(found.class_map, self._segmenter.metadata.palette)


_LOOKS = {Detector: DetectorLook, Classifier: ClassifierLook, Segmenter: SegmenterLook}


def look_of(model: Model, settings: InspectSettings) -> PhotoLook:
    """How a model's results are shown."""
    return _LOOKS[type(model)](model, settings)


def in_memory(loaded: LoadedModel, settings: InspectSettings) -> Model:
    """A network in memory, to be run on photos."""
    if isinstance(loaded.config, SegmentationConfig):
        overlap = settings.overlap if settings.tile else None
        return Segmenter.from_loaded(loaded, overlap=overlap, at_photo_size=settings.at_photo_size)
    if isinstance(loaded.config, ClassificationConfig):
        return Classifier.from_loaded(loaded, min_probability=settings.min_score_thresh)
    return Detector.from_loaded(loaded)
