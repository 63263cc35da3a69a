"""Base classes of the three predictors: accepted inputs, and methods of their results."""

from __future__ import annotations

import abc
import dataclasses
import glob
import io
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
from PIL import Image

from efficientvision import files
from efficientvision.data.photo_names import photo_names
from efficientvision.data.photos import list_photos
from efficientvision.errors import UserError
from efficientvision.evaluation.thresholds import ScoreThresholds
from efficientvision.exports.load_export import check_not_baked, is_export, load_export
from efficientvision.files import AnyPath
from efficientvision.loading import LoadedModel, load_model, serving_metadata
from efficientvision.tasks.choice import build_serving
from efficientvision.tasks.metadata import ModelMetadata, check_kind
from efficientvision.tasks.photo_batches import Photo, as_array, run_by_size
from efficientvision.tasks.portable import RunPhotos, compiled
from efficientvision.weights.hub import local_path

VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")


@dataclasses.dataclass(frozen=True)
class Origin:
    """The photo that a result belongs to.

    Attributes:
        photo: its path or pixels.
        name: stem of the file names that `save` writes, see `photo_names`; may start with folders.
        hw: height and width of the upright photo in pixels.
        predictor: the predictor that draws the result.
    """

    photo: Photo
    name: str
    hw: tuple[int, int]
    predictor: Predictor


class PhotoResult(abc.ABC):
    """A predictor's result for one photo.

    Attributes:
        origin: the photo; None if the result was created by hand.
    """

    origin: Origin | None

    @abc.abstractmethod
    def found(self) -> dict[str, Any]:
        """Returns the result itself as plain numbers and strings."""

    def annotations(self) -> list[dict[str, Any]]:
        """Returns what was found as COCO's annotations without ids of their own, best first.

        `category_id` is the class number; boxes are `bbox`, (x, y, width, height) in pixels of the
        photo, clipped to it; areas are `segmentation`, COCO's compressed run lengths.

        Raises:
            UserError: the result was created without a photo.
        """
        return [self.found()]

    def to_dict(self) -> dict[str, Any]:
        """Returns `photo` (its path or None), `height`, `width` and the result as plain values."""
        where: dict[str, Any] = {}
        if self.origin is not None:
            photo = self.origin.photo
            height, width = self.origin.hw
            where = {
                "photo": files.as_text(photo) if isinstance(photo, (str, os.PathLike)) else None,
                "height": int(height),
                "width": int(width),
            }
        return where | self.found()

    def to_json(self, **options: Any) -> str:
        """Returns `to_dict()` as JSON text; `options` are passed to `json.dumps`."""
        return json.dumps(self.to_dict(), **options)

    def draw(self, **options: Any) -> Image.Image:
        """Draws the result on the photo; `options` are passed to the predictor's `draw`.

        Raises:
            UserError: the result was created without a photo.
        """
        origin = self._needed_origin()
        return origin.predictor.draw(origin.photo, self, **options)

    def save(self, folder: AnyPath) -> tuple[str, ...]:
        """Writes the drawn picture and the result, named after the photo.

        Photos of one call never overwrite each other's files: where two have the same name, it is
        kept with its ending (`a.png.jpg`) or its folder.

        Args:
            folder: created if it is missing.

        Returns:
            The paths of `<name>.jpg` and `<name>.json`.

        Raises:
            UserError: the result was created without a photo.
            OSError: the folder cannot be written to.
        """
        origin = self._needed_origin()
        stem = files.join(folder, *origin.name.split("/"))
        picture = save_picture(self.draw(), f"{stem}.jpg")
        files.write_text(f"{stem}.json", self.to_json(indent=1) + "\n")
        return picture, f"{stem}.json"

    def _needed_origin(self) -> Origin:
        if self.origin is None:
            raise UserError(
                "this result was created without a photo: use the predictor's `draw` instead"
            )
        return self.origin


Result = TypeVar("Result", bound=PhotoResult)


class Predictor(abc.ABC, Generic[Result]):
    """Runs a network or an exported model on photos.

    Attributes:
        metadata: model, input size, names.
        metadata_class: metadata class of the exports that it accepts.
        draw_options: keyword arguments of `draw` that go by the names of command-line options.
        load_options: keyword arguments of both `from_checkpoint` and `from_run`.
        call_options: options of `predict_photos` that go by the names of command-line options.
        table_columns: columns of `table_row`.
        has_boxes: whether results are boxes.
        has_areas: whether results are areas of pixels.
        thresholds: minimum scores; None: results have no scores.
        frame_options: arguments of `draw` for frames of a video, whose size stays; None: results
            cannot be drawn into frames.
        counted: what is counted over the frames of a video.
    """

    metadata: Any
    metadata_class: ClassVar[type[ModelMetadata]]
    draw_options: ClassVar[tuple[str, ...]] = ()
    load_options: ClassVar[tuple[str, ...]] = ()
    call_options: ClassVar[tuple[str, ...]] = ()
    table_columns: ClassVar[tuple[str, ...]] = ()
    has_boxes: ClassVar[bool] = False
    has_areas: ClassVar[bool] = False
    thresholds: ScoreThresholds | None = None
    frame_options: ClassVar[dict[str, Any] | None] = {}
    counted: ClassVar[str] = "Frames with each class"

    def __init__(self, run: RunPhotos, metadata: ModelMetadata):
        self._run = run
        self.metadata = metadata

    @classmethod
    def from_checkpoint(
        cls,
        path: AnyPath,
        model_name: str | None = None,
        hparams: str | Mapping[str, Any] | None = None,
        *,
        use_ema: bool = True,
        threads: int = 0,
        trust: bool = False,
        **overrides: Any,
    ) -> Self:
        """Creates a predictor from a checkpoint or an exported model.

        Args:
            path: a checkpoint of any kind, a training run's folder, an exported model, or
                `hf://user/repo`.
            model_name: None: inferred from the checkpoint.
            hparams: overrides as text, a YAML file, or a dict.
            use_ema: load averaged weights if the checkpoint has them.
            threads: for an exported model, see `load_export`.
            trust: for an exported model, see `load_export`.
            **overrides: further hyper-parameters by name.

        Raises:
            UserError: the file is missing, damaged or for another task; or a setting is fixed in
                the exported model.
        """
        path = local_path(path)
        if is_export(path):
            check_not_baked(path, {"hparams": hparams, **overrides})
            return cls.from_run(*load_export(path, threads, trust=trust), path)
        task = cls.metadata_class.task
        return cls.from_loaded(
            load_model(path, model_name, hparams, task=task, use_ema=use_ema, **overrides)
        )

    @classmethod
    def from_run(cls, run: RunPhotos, metadata: ModelMetadata | None, origin: AnyPath) -> Self:
        """Creates a predictor from the result of `load_export`."""
        return cls(run, check_kind(metadata, cls.metadata_class, origin))

    @classmethod
    def from_loaded(cls, loaded: LoadedModel) -> Self:
        """Creates a predictor from a network in memory."""
        return cls(network_run(loaded), serving_metadata(loaded, batch_size=None))

    @property
    def class_names(self) -> dict[int, str]:
        """Class names by class number (1..K; of a segmenter from 0); may be empty."""
        return self.metadata.class_names

    def __repr__(self) -> str:
        facts = self.metadata
        height, width = facts.image_hw
        classes = f"{len(facts.class_names) or facts.num_classes} classes"
        return f"<{type(self).__name__} {facts.model_name}, input {width}x{height}, {classes}>"

    def __call__(self, source: Any, batch_size: int = 1, **options: Any) -> Any:
        """Predicts photos.

        Args:
            source: a photo: a path, `pathlib.Path`, PIL image or array; a list of photos; a batch
                [N, H, W, 3]; or a folder, glob pattern or video. Arrays are RGB, RGBA or grey:
                uint8, uint16, or floats in 0..1 or 0..255 (0..1 if no value is above 1). Files and
                PIL images are turned upright by their EXIF orientation; results refer to the
                upright photo.
            batch_size: number of photos of equal size per call of the network. Ignored by exported
                models with a fixed batch size.
            **options: options of this predictor, see `predict_photos`.

        Returns:
            One result for a photo; a list of results for a list or a batch; an iterator of
            results, in order, for a folder, glob pattern or video.

        Raises:
            UserError: a file is missing or not a picture, an array is not a photo, or an option is
                out of range.
        """
        if batch_size < 1:
            raise UserError(f"`batch_size` must be at least 1, got {batch_size}")
        if isinstance(source, (list, tuple)):
            names = iter(photo_names([p for p in source if isinstance(p, (str, os.PathLike))]))
            named = [
                (p, next(names) if isinstance(p, (str, os.PathLike)) else str(i))
                for i, p in enumerate(source)
            ]
            return self._results(named, batch_size, options)
        if isinstance(source, np.ndarray) and source.ndim == 4:
            named = [(photo, str(i)) for i, photo in enumerate(source)]
            return self._results(named, batch_size, options)
        if isinstance(source, (str, os.PathLike)):
            path = files.as_text(source)
            if path.lower().endswith(VIDEO_SUFFIXES):
                return self._stream(_frames(path), batch_size, options)
            if files.is_folder(path) or (glob.has_magic(path) and not files.is_file(path)):
                photos = list_photos(path)
                return self._stream(
                    zip(photos, photo_names(photos), strict=True), batch_size, options
                )
        return self._results([(source, _name(source, "photo"))], batch_size, options)[0]

    @abc.abstractmethod
    def predict_photos(
        self, photos: Sequence[Photo], batch_size: int, **options: Any
    ) -> list[Result]:
        """Returns the results for photos of any size, without their origin."""

    @abc.abstractmethod
    def describe(self, result: Result) -> str:
        """A result in a line."""

    @property
    def one_class(self) -> bool:
        """Whether a photo has exactly one class, the first of its annotations."""
        return False

    def table_row(self, annotation: Mapping[str, Any], hw: tuple[int, int]) -> list[Any]:
        """Returns the cells of an annotation for `table_columns`; `hw` is the photo's size."""
        return [annotation[column] for column in self.table_columns]

    def index_map(self, result: Result) -> Image.Image | None:
        """A picture whose pixels are class indices, of tasks that have any."""
        return None

    @abc.abstractmethod
    def draw(self, photo: Photo, result: Result, **options: Any) -> Image.Image:
        """Returns a copy of the photo with the result drawn on it."""

    def _run_by_size(self, run: Any, photos: Sequence[Photo], batch_size: int) -> list[np.ndarray]:
        """Calls `run` in batches of the size that the model takes."""
        fixed = self.metadata.batch_size
        return run_by_size(run, photos, fixed or batch_size, fixed=fixed is not None)

    def _results(
        self, named: Sequence[tuple[Photo, str]], batch_size: int, options: dict[str, Any]
    ) -> list[Result]:
        if (top_k := options.get("top_k")) is not None and top_k < 0:
            raise UserError(f"`top_k` must be at least 0, got {top_k}")
        opened = _Opened([photo for photo, _ in named])
        results = self.predict_photos(opened, batch_size, **options)
        return [
            _with_origin(result, Origin(photo, name, hw, self))
            for result, (photo, name), hw in zip(results, named, opened.sizes, strict=True)
        ]

    def _stream(
        self, named: Iterable[tuple[Photo, str]], batch_size: int, options: dict[str, Any]
    ) -> Iterator[Result]:
        waiting = iter(named)
        size = self.metadata.batch_size or batch_size
        while chunk := list(itertools.islice(waiting, size)):
            yield from self._results(chunk, batch_size, options)


def _with_origin(result: Any, origin: Origin) -> Any:
    return dataclasses.replace(result, origin=origin)


def network_run(loaded: LoadedModel) -> RunPhotos:
    """A network with pre- and postprocessing, as its exports run."""
    return compiled(build_serving(loaded.model, loaded.config).results_from_arrays)


class _Opened(Sequence):
    """A sequence that opens photos one by one when they are read, and records their sizes."""

    def __init__(self, photos: Sequence[Photo]):
        self._photos = photos
        self.sizes: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._photos)

    def __getitem__(self, index: Any) -> Any:
        return as_array(self._photos[index])

    def __iter__(self) -> Iterator[np.ndarray]:
        self.sizes = []
        for photo in self._photos:
            array = as_array(photo)
            self.sizes.append(array.shape[:2])
            yield array


def save_picture(picture: Image.Image, path: str, kind: str = "JPEG") -> str:
    """Writes a picture as JPEG or PNG, with its folders, and returns its path."""
    content = io.BytesIO()
    picture.save(content, kind, quality=92)
    files.make_folder(files.parent(path) or ".")
    files.write_bytes(path, content.getvalue())
    return path


def _name(photo: Photo, otherwise: str) -> str:
    """Returns the stem of a photo's file name."""
    if not isinstance(photo, (str, os.PathLike)):
        return otherwise
    return os.path.splitext(files.base_name(files.as_text(photo)))[0]


def _frames(path: str) -> Iterator[tuple[np.ndarray, str]]:
    from efficientvision.video.source import VideoSource  # PyAV is an extra.

    source = VideoSource(path)
    name = _name(path, "")
    try:
        for number, frame in enumerate(source, start=1):
            yield frame.rgb, f"{name}-{number:06d}"
    finally:
        source.close()
