"""What the three predictors share: what they take, and what can be done with each result."""

from __future__ import annotations

import abc
import dataclasses
import glob
import io
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import tensorflow as tf
from PIL import Image

from efficientvision import files
from efficientvision.data.photos import list_photos
from efficientvision.errors import UserError
from efficientvision.exports.load_export import check_not_baked, is_export, load_export
from efficientvision.files import AnyPath
from efficientvision.loading import LoadedModel, load_model, serving_metadata
from efficientvision.tasks.choice import build_serving
from efficientvision.tasks.metadata import ModelMetadata, check_kind
from efficientvision.tasks.photo_batches import Photo, as_array, run_by_size
from efficientvision.tasks.portable import RunPhotos

VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")


@dataclasses.dataclass(frozen=True)
class Origin:
    """The photo of a result.

    Attributes:
        photo: its path, or its pixels.
        name: of the files that `save` writes, without an ending.
        hw: height and width, pixels, upright.
        predictor: that draws it.
    """

    photo: Photo
    name: str
    hw: tuple[int, int]
    predictor: Predictor


class PhotoResult(abc.ABC):
    """What a predictor found in one photo.

    Attributes:
        origin: the photo; None of a result that was made by hand.
    """

    origin: Origin | None

    @abc.abstractmethod
    def found(self) -> dict[str, Any]:
        """The result itself, in plain numbers and texts."""

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and texts: `photo` (its path or None), `height`, `width`, and `found`."""
        where: dict[str, Any] = {}
        if self.origin is not None:
            photo = self.origin.photo
            is_path = isinstance(photo, (str, os.PathLike))
            height, width = self.origin.hw
            where = {
                "photo": files.as_text(photo) if is_path else None,
                "height": int(height),
                "width": int(width),
            }
        return where | self.found()

    def to_json(self, **options: Any) -> str:
        """`to_dict` as JSON; `options` are those of `json.dumps`."""
        return json.dumps(self.to_dict(), **options)

    def draw(self, **options: Any) -> Image.Image:
        """The photo with the result drawn on it; `options` are those of the predictor's `draw`."""
        origin = self._needed_origin()
        return origin.predictor.draw(origin.photo, self, **options)

    def save(self, folder: AnyPath) -> tuple[str, str]:
        """Writes the picture and the result under the photo's own name.

        Args:
            folder: made if it is missing.

        Returns:
            Paths of `<name>.jpg` and `<name>.json`.

        Raises:
            UserError: the folder cannot be written to.
        """
        origin = self._needed_origin()
        folder = files.as_text(folder)
        files.make_folder(folder)
        picture, text = (files.join(folder, origin.name + end) for end in (".jpg", ".json"))
        content = io.BytesIO()
        self.draw().save(content, "JPEG", quality=92)
        files.write_bytes(picture, content.getvalue())
        files.write_text(text, self.to_json(indent=1) + "\n")
        return picture, text

    def _needed_origin(self) -> Origin:
        if self.origin is None:
            raise UserError("this result was made without a photo: draw it with the predictor")
        return self.origin


Result = TypeVar("Result", bound=PhotoResult)


class Predictor(abc.ABC, Generic[Result]):
    """A network, or an exported model, that looks at photos.

    Attributes:
        metadata: model, input size, names.
        metadata_class: of the exports that it takes.
        draw_options: keyword arguments of `draw` that go by the names of command-line options.
        frame_options: arguments of `draw` for frames of a video, whose size stays; None: results
            cannot be drawn into frames.
        counted: what is counted over the frames of a video.
    """

    metadata: Any
    metadata_class: ClassVar[type[ModelMetadata]]
    draw_options: ClassVar[tuple[str, ...]] = ()
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
    ) -> Predictor:
        """Makes a predictor of a checkpoint or of an exported model.

        Args:
            path: a checkpoint of any kind, a training run's folder, or an exported model.
            model_name: None: as the checkpoint's own configuration or its variables tell.
            hparams: overrides, as on the command line, or a dict.
            use_ema: prefer moving averages of the weights, where there are any.
            threads, trust: of an exported model, see `load_export`.
            **overrides: further hyper-parameters by name.

        Raises:
            UserError: the file is missing, damaged or of another task; or settings are given that
                are baked into an exported model.
        """
        if is_export(path):
            check_not_baked(path, {"hparams": hparams, **overrides})
            return cls.from_run(*load_export(path, threads, trust=trust), path)
        task = cls.metadata_class.task
        return cls.from_loaded(
            load_model(path, model_name, hparams, task=task, use_ema=use_ema, **overrides)
        )

    @classmethod
    def from_run(cls, run: RunPhotos, metadata: ModelMetadata | None, origin: AnyPath) -> Predictor:
        """Makes a predictor of what `load_export` found at `origin`."""
        check_kind(metadata, cls.metadata_class, origin)
        return cls(run, metadata)

    @classmethod
    def from_loaded(cls, loaded: LoadedModel) -> Predictor:
        """Makes a predictor of a network in memory."""
        return cls(network_run(loaded), serving_metadata(loaded, batch_size=None))

    def __call__(self, source: Any, batch_size: int = 1, **options: Any) -> Any:
        """Looks at photos.

        Args:
            source: a path, `pathlib.Path`, PIL image or array of a photo; a list of these; a
                batch [N, H, W, 3]; a folder, a glob pattern or a video. Arrays are RGB, RGBA or
                grey: uint8, uint16, or floats in 0..1 or 0..255 (0..1 if none is above 1). Files
                and PIL images are turned upright as their EXIF orientation tells; results refer to
                the upright photo.
            batch_size: photos of one size that the network takes at a time. An exported model that
                was made for another number takes that many.
            **options: of this predictor, see `predict_photos`.

        Returns:
            The result of a photo; a list of results for a list or a batch; an iterator of results,
            in order, for a folder, a glob pattern or a video.

        Raises:
            UserError: a file is missing or no picture, or an array is no photo.
        """
        if isinstance(source, (list, tuple)):
            named = [(photo, _name(photo, str(i))) for i, photo in enumerate(source)]
            return self._results(named, batch_size, options)
        if isinstance(source, np.ndarray) and source.ndim == 4:
            named = [(photo, str(i)) for i, photo in enumerate(source)]
            return self._results(named, batch_size, options)
        if isinstance(source, (str, os.PathLike)):
            path = files.as_text(source)
            if path.lower().endswith(VIDEO_SUFFIXES):
                return self._stream(_frames(path), batch_size, options)
            if files.is_folder(path) or (glob.has_magic(path) and not files.is_file(path)):
                named_files = ((file, _name(file, "")) for file in list_photos(path))
                return self._stream(named_files, batch_size, options)
        return self._results([(source, _name(source, "photo"))], batch_size, options)[0]

    @abc.abstractmethod
    def predict_photos(
        self, photos: Sequence[Photo], batch_size: int, **options: Any
    ) -> list[Result]:
        """Results of photos of any size, without their origin."""

    @abc.abstractmethod
    def describe(self, result: Result) -> str:
        """A result in a line."""

    def index_map(self, result: Result) -> Image.Image | None:
        """A picture whose pixels are class indices, of tasks that have any."""
        return None

    @abc.abstractmethod
    def draw(self, photo: Photo, result: Result, **options: Any) -> Image.Image:
        """A copy of the photo with the result drawn on it."""

    def _run_by_size(self, run: Any, photos: Sequence[Photo], batch_size: int) -> list[np.ndarray]:
        """`run` in the batches that the model takes."""
        fixed = self.metadata.batch_size
        return run_by_size(run, photos, fixed or batch_size, fixed=fixed is not None)

    def _results(
        self, named: Sequence[tuple[Photo, str]], batch_size: int, options: dict[str, Any]
    ) -> list[Result]:
        opened = _Opened([photo for photo, _ in named])
        results = self.predict_photos(opened, batch_size, **options)
        return [
            dataclasses.replace(result, origin=Origin(photo, name, hw, self))
            for result, (photo, name), hw in zip(results, named, opened.sizes, strict=True)
        ]

    def _stream(
        self, named: Iterable[tuple[Photo, str]], batch_size: int, options: dict[str, Any]
    ) -> Iterator[Result]:
        waiting = iter(named)
        size = self.metadata.batch_size or batch_size
        while chunk := list(itertools.islice(waiting, size)):
            yield from self._results(chunk, batch_size, options)


def network_run(loaded: LoadedModel) -> RunPhotos:
    """A network with pre- and postprocessing, as its exports run."""
    serving = build_serving(loaded.model, loaded.config)
    photos = tf.TensorSpec((None, None, None, 3), tf.uint8)
    function = tf.function(serving.results_from_arrays, [photos], autograph=False)
    return lambda image_arrays: function(image_arrays).numpy()


class _Opened(Sequence):
    """Photos that are opened one after the other, as they are read; their sizes are kept."""

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


def _name(photo: Photo, otherwise: str) -> str:
    """The name of a photo's file without its ending."""
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
