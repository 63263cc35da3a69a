"""From any checkpoint or exported model to the classes of a photo's pixels, in Python."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from efficientvision import files
from efficientvision.configs import parse_image_size
from efficientvision.errors import UserError
from efficientvision.exports.load_export import check_not_baked, is_export, load_export
from efficientvision.files import AnyPath
from efficientvision.loading import LoadedModel, load_model, serving_metadata
from efficientvision.tasks.metadata import check_kind
from efficientvision.tasks.photo_batches import Photo, as_array
from efficientvision.tasks.predictor import Origin, PhotoResult, Predictor
from efficientvision.tasks.segmentation.metadata import SegmentationMetadata
from efficientvision.tasks.segmentation.photo_sized import PhotoSizedNetwork, compiled
from efficientvision.tasks.segmentation.serving import segmentation_serving, to_photo_size
from efficientvision.tasks.segmentation.tiles import tiled_class_map
from efficientvision.visualize.draw_class_map import (
    LEAST_SHARE,
    OPACITY,
    Present,
    classes_present,
    draw_class_map,
    indexed_picture,
)

DEFAULT_OVERLAP = 128


@dataclass(frozen=True, repr=False)
class Segmentation(PhotoResult):
    """The class of every pixel of one photo.

    Attributes:
        class_map: uint8 [H, W] at the photo's size, class indices from 0.
        present: the classes that are there, the largest first.
        probabilities: float32 [H, W, C], if they were asked for.
    """

    class_map: np.ndarray
    present: list[Present]
    probabilities: np.ndarray | None = None
    origin: Origin | None = None

    def __repr__(self) -> str:
        shown = [f"{name} {share:.1%}" for name, _, share in self.present if share >= LEAST_SHARE]
        return f"<Segmentation: {', '.join(shown) or 'no class'}>"

    @property
    def names(self) -> list[str]:
        """Of the classes that are there."""
        return [name for name, _, _ in self.present]

    def found(self) -> dict[str, Any]:
        return {"classes": [{"name": p.name, "share": float(p.share)} for p in self.present]}

    def save(self, folder: AnyPath) -> tuple[str, ...]:
        """As `PhotoResult.save`, and `<name>.png`, whose pixel values are the class indices."""
        origin = self._needed_origin()
        content = io.BytesIO()
        origin.predictor.index_map(self).save(content, "PNG")
        written = super().save(folder)
        path = files.join(files.as_text(folder), f"{origin.name}.png")
        files.write_bytes(path, content.getvalue())
        return (*written, path)


class Segmenter(Predictor[Segmentation]):
    """Says of each pixel of a photo what it shows.

    Args:
        run: uint8 photos [N, H, W, 3] -> the result that `metadata` names: class maps,
            uint8 [N, H, W], or logits, float32 [N, h, w, C].
        metadata: model, input size, names, palette.
        overlap: see `from_checkpoint`; None: the photo is seen as a whole, resized to the
            network's size. Otherwise `run` gives logits, of tiles of the network's size.
        run_logits: gives logits where `run` gives class maps; None: nothing does.

    Example:
        >>> segmenter = Segmenter.from_checkpoint("espnetv2_s_2.0_city_1024x512.pth")
        >>> class_map = segmenter.predict("street.jpg")
        >>> segmenter.draw("street.jpg", class_map).save("street_classes.png")
    """

    frame_options = {"legend": "inside"}

    def __init__(
        self,
        run: Callable[[np.ndarray], np.ndarray],
        metadata: SegmentationMetadata,
        *,
        overlap: int | None = None,
        run_logits: Callable[[np.ndarray], np.ndarray] | None = None,
    ):
        if overlap is not None:
            _check_tiles(metadata, overlap)
        self._run = run
        self._run_logits = run if metadata.result == "logits" else run_logits
        self._overlap = overlap
        self.metadata = metadata

    @classmethod
    def from_checkpoint(
        cls,
        path: AnyPath,
        model_name: str | None = None,
        hparams: str | Mapping[str, Any] | None = None,
        *,
        tile: str | tuple[int, int] | None = None,
        overlap: int = DEFAULT_OVERLAP,
        at_photo_size: bool = False,
        use_ema: bool = True,
        threads: int = 0,
        trust: bool = False,
        **overrides: Any,
    ) -> "Segmenter":
        """Makes a segmenter of a checkpoint or of an exported model.

        Args:
            path: a published `.pth`, a checkpoint of any other kind that `load_weights` reads, a
                training run's folder, or what `--runmode=saved_model` or `--runmode=export` wrote.
            model_name: None: as the checkpoint's own configuration or its variables tell.
            hparams: overrides, as on the command line (`"image_size=1024x512"`), or a dict.
            tile: see large photos at their own resolution, by overlapping tiles of this size,
                `"WIDTHxHEIGHT"` or (height, width). An exported model must give logits, and be
                made for that size.
            overlap: least number of pixels that two tiles share.
            at_photo_size: run the network at each photo's own size, rounded down to multiples of
                32, instead of resizing all to one.
            use_ema: prefer moving averages of the weights, where there are any.
            threads: of ONNX Runtime, OpenVINO or LiteRT; 0 = runtime default.
            trust: take a SavedModel or frozen graph whose operations may do more than compute
                (read and write files, for example); only where you trust whoever made it.
            **overrides: further hyper-parameters by name.

        Raises:
            UserError: the file is missing, cut short or no segmenter's; or settings are given
                that are baked into an exported model, or exclude each other.
        """
        tile_hw = None if tile is None else parse_image_size(tile)
        if is_export(path):
            check_not_baked(
                path, {"hparams": hparams, "at_photo_size": at_photo_size or None, **overrides}
            )
            run, metadata = load_export(path, threads, trust=trust)
            return cls.from_run(run, metadata, path, tile_hw=tile_hw, overlap=overlap)
        if tile_hw is not None:
            overrides["image_size"] = tile_hw
        loaded = load_model(
            path, model_name, hparams, task="segmentation", use_ema=use_ema, **overrides
        )
        return cls.from_loaded(
            loaded, overlap=None if tile is None else overlap, at_photo_size=at_photo_size
        )

    @classmethod
    def from_run(
        cls,
        run: Callable[[np.ndarray], np.ndarray],
        metadata: Any,
        origin: AnyPath,
        *,
        tile_hw: tuple[int, int] | None = None,
        overlap: int = DEFAULT_OVERLAP,
    ) -> "Segmenter":
        """Makes a segmenter of what `load_export` found at `origin`.

        Args:
            run, metadata: see `load_export`.
            origin: for the error.
            tile_hw, overlap: see `from_checkpoint`.

        Raises:
            UserError: it is no segmenter of ours, or not made for such tiles.
        """
        check_kind(metadata, SegmentationMetadata, origin)
        if tile_hw is not None and tile_hw != metadata.image_hw:
            height, width = metadata.image_hw
            raise UserError(
                f"{origin} was made for images of {width}x{height}: `tile={width}x{height}`, or "
                "export it again with `input_image_size`"
            )
        return cls(run, metadata, overlap=None if tile_hw is None else overlap)

    @classmethod
    def from_loaded(
        cls, loaded: LoadedModel, *, overlap: int | None = None, at_photo_size: bool = False
    ) -> "Segmenter":
        """Makes a segmenter of a network in memory.

        Args:
            loaded: network and configuration; its `image_size` is that of the tiles.
            overlap: of the tiles; None: no tiles.
            at_photo_size: see `from_checkpoint`.
        """
        metadata = serving_metadata(loaded, batch_size=None)
        if at_photo_size:
            if overlap is not None:
                raise UserError("tiles have one size: leave out `tile` or the photo's own size")
            return cls(PhotoSizedNetwork(loaded), metadata)
        if overlap is not None:
            metadata = replace(metadata, result="logits")
        serving = segmentation_serving(loaded.model, loaded.config, result=metadata.result)
        logits = segmentation_serving(loaded.model, loaded.config, result="logits")
        return cls(
            compiled(serving.results_from_arrays),
            metadata,
            overlap=overlap,
            run_logits=compiled(logits.results_from_arrays),
        )

    @property
    def class_names(self) -> dict[int, str]:
        """Class index (0..C-1) -> name; may be empty."""
        return self.metadata.class_names

    def predict(self, photos: Photo | Sequence[Photo], batch_size: int = 1) -> Any:
        """The class of every pixel.

        Args:
            photos: a path, a uint8 RGB array [H, W, 3], a PIL image, or a list of these. Files and
                PIL images are turned upright as their EXIF orientation tells.
            batch_size: photos of a list, those of one size, or tiles of a photo, that the network
                takes at a time. An exported model that was made for another number takes that many.

        Returns:
            A class map, uint8 [H, W] at the photo's size, of class indices from 0; for a list of
            photos a list of these.

        Raises:
            UserError: a file is missing or no picture, an array is none of [H, W, 3].
        """
        found = self(photos, batch_size)
        if isinstance(photos, (list, tuple)):
            return [one.class_map for one in found]
        return found.class_map

    def predict_photos(
        self,
        photos: Sequence[Photo],
        batch_size: int,
        *,
        probabilities: bool = False,
    ) -> list[Segmentation]:
        """The class of every pixel of photos of any size.

        Args:
            photos: see `as_array`.
            batch_size: photos, or tiles of a photo, that the network takes at a time.
            probabilities: those of every class too, float32 [H, W, C]: 4 * C bytes a pixel.

        Raises:
            UserError: probabilities of a network that was exported to give classes alone.
        """
        if probabilities:
            return self._with_probabilities(photos, batch_size)
        class_maps = self._predict(photos, batch_size)
        return [self._segmentation(class_map) for class_map in class_maps]

    def predict_batch(self, image_arrays: np.ndarray) -> np.ndarray:
        """The class maps of photos of one size, uint8 [N, H, W, 3] -> uint8 [N, H, W]."""
        results = np.asarray(self._run(image_arrays))
        if self.metadata.result == "class_map":
            return results
        class_maps = results.argmax(axis=-1).astype(np.uint8)
        return to_photo_size(class_maps, image_arrays.shape[1:3])

    def describe(self, result: Segmentation) -> str:
        shown = [present for present in result.present if present.share >= LEAST_SHARE]
        return ", ".join(f"{name} {share:.1%}" for name, _, share in shown)

    def index_map(self, result: Segmentation) -> Image.Image:
        return indexed_picture(result.class_map, self.metadata.palette)

    def draw(
        self,
        photo: Photo,
        result: Segmentation | np.ndarray,
        *,
        opacity: float = OPACITY,
        legend: str | None = "outside",
    ) -> Image.Image:
        """Returns a picture of the photo under the colours of its classes, see `draw_class_map`."""
        return draw_class_map(
            as_array(photo),
            result.class_map if isinstance(result, Segmentation) else result,
            self.class_names,
            self.metadata.palette,
            opacity=opacity,
            legend=legend,
        )

    def _segmentation(
        self, class_map: np.ndarray, probabilities: np.ndarray | None = None
    ) -> Segmentation:
        present = classes_present(class_map, self.class_names, self.metadata.palette)
        return Segmentation(class_map, present, probabilities)

    def _with_probabilities(self, photos: Sequence[Photo], batch_size: int) -> list[Segmentation]:
        if self._run_logits is None or self._overlap is not None:
            raise UserError(
                "probabilities need a network's logits of whole photos: load the checkpoint "
                "without tiles, or export it with `segmentation_output=logits`"
            )

        def run(image_arrays: np.ndarray) -> np.ndarray:
            logits = np.asarray(self._run_logits(image_arrays))
            return probabilities_at(logits, image_arrays.shape[1:3])

        found = self._run_by_size(run, photos, batch_size)
        return [self._segmentation(p.argmax(axis=-1).astype(np.uint8), p) for p in found]

    def _predict(self, photos: Sequence[Photo], batch_size: int) -> list[np.ndarray]:
        if self._overlap is None:
            return self._run_by_size(self.predict_batch, photos, batch_size)

        def run_tiles(tiles: list[np.ndarray]) -> list[np.ndarray]:
            return self._run_by_size(lambda batch: np.asarray(self._run(batch)), tiles, batch_size)

        image_hw = self.metadata.image_hw
        return [tiled_class_map(run_tiles, as_array(p), image_hw, self._overlap) for p in photos]


def probabilities_at(logits: np.ndarray, photo_hw: tuple[int, int]) -> np.ndarray:
    """Softmax of logits, resized bilinearly: float32 [N, h, w, C] -> float32 [N, H, W, C]."""
    probabilities = tf.nn.softmax(tf.cast(logits, tf.float32), axis=-1)
    return tf.image.resize(probabilities, photo_hw).numpy()


def _check_tiles(metadata: SegmentationMetadata, overlap: int) -> None:
    """Makes sure that a network can be run on tiles that overlap so.

    Raises:
        UserError: it gives no logits; or the overlap is too large or negative.
    """
    if metadata.result != "logits":
        raise UserError(
            f"{metadata.model_name} was exported to give classes, and tiles are joined by their "
            "logits: export it with `segmentation_output=logits`"
        )
    height, width = metadata.image_hw
    if not 0 <= overlap < min(height, width):
        raise UserError(
            f"`tile_overlap={overlap}`: must be 0 or more, and less than either side of the tile "
            f"({width}x{height})"
        )
