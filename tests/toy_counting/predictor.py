"""Photos to counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from PIL import Image

from efficientvision.tasks.photo_batches import Photo, as_array
from efficientvision.tasks.predictor import Origin, PhotoResult, Predictor
from efficientvision.visualize.sheet import fit, titled
from tests.toy_counting.metadata import CountingMetadata


@dataclasses.dataclass(frozen=True)
class Count(PhotoResult):
    """How many blobs a photo has."""

    count: float
    origin: Origin | None = None

    def found(self) -> dict[str, Any]:
        return {"count": self.count}


class Counter(Predictor[Count]):
    """Counts blobs."""

    metadata_class = CountingMetadata

    def predict_photos(self, photos: Sequence[Photo], batch_size: int) -> list[Count]:
        return [Count(float(row[0])) for row in self._run_by_size(self._run, photos, batch_size)]

    def describe(self, result: Count) -> str:
        return f"{result.count:.1f} blobs"

    def draw(self, photo: Photo, result: Count) -> Image.Image:
        return titled(fit(as_array(photo), 128), [self.describe(result)])
