"""Segments photos with any checkpoint or exported model."""

from collections.abc import Mapping, Sequence
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
from efficientvision.loading import load_model, serving_metadata
from efficientvision.tasks.loaded_model import LoadedModel
from efficientvision.tasks.metadata import check_kind
from efficientvision.tasks.photo_batches import Photo, as_array
from efficientvision.tasks.portable import RunPhotos, compiled
from efficientvision.tasks.predictor import Origin, PhotoResult, Predictor, save_picture
from efficientvision.tasks.segmentation.metadata import SegmentationMetadata
from efficientvision.tasks.segmentation.photo_sized import PhotoSizedNetwork
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
from efficientvision.weights.hub import local_path

DEFAULT_OVERLAP = 128


@dataclass(frozen=True, repr=False)
class Segmentation(PhotoResult):
    """The class of every pixel of one photo.

    Attributes:
        class_map: uint8 [H, W] at the photo's size, class indices from 0.
        present: the classes in the map with colour and share, the largest first.
        probabilities: float32 [H, W, C] if requested, else None.
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
        """Names of the classes in the map."""
        return [name for name, _, _ in self.present]

    def found(self) -> dict[str, Any]:
        return {"classes": [{"name": p.name, "share": float(p.share)} for p in self.present]}

    def annotations(self) -> list[dict[str, Any]]:
        from pycocotools import mask as mask_api

        found = []
        for number in np.unique(self.class_map).tolist():
            mask = np.asfortranarray(self.class_map == number, dtype=np.uint8)
            runs = mask_api.encode(mask)
            found.append(
                {
                    "category_id": number,
                    "bbox": mask_api.toBbox(runs).tolist(),
                    "area": int(mask.sum()),
                    "iscrowd": 0,
                    "segmentation": {"size": list(mask.shape), "counts": runs["counts"].decode()},
                }
            )
        return sorted(found, key=lambda one: -one["area"])

    def save(self, folder: AnyPath) -> tuple[str, ...]:
        """Writes the files of `PhotoResult.save`, and `<name>.png` with class indices as pixels.

        Returns:
            The paths of `<name>.jpg`, `<name>.json` and `<name>.png`.
        """
        origin = self._needed_origin()
        picture = origin.predictor.index_map(self)
        assert picture is not None
        written = super().save(folder)
        path = files.join(folder, *f"{origin.name}.png".split("/"))
        return (*written, save_picture(picture, path, "PNG"))


class Segmenter(Predictor[Segmentation]):
    """Classifies the pixels of photos.

    Args:
        run: uint8 photos [N, H, W, 3] -> the result that `metadata` names: class maps,
            uint8 [N, H, W], or logits, float32 [N, h, w, C].
        metadata: model name, input size, class names, palette.
        overlap: overlap of tiles in pixels, see `from_checkpoint`; `run` must then return logits.
            None: the whole photo is resized to the network's input size.
        run_logits: returns logits if `run` returns class maps; None: logits are not available.

    Example:
        >>> segmenter = Segmenter.from_checkpoint("espnetv2_s_2.0_city_1024x512.pth")
        >>> class_map = segmenter.predict("street.jpg")
        >>> segmenter.draw("street.jpg", class_map).save("street_classes.png")
    """

    metadata_class = SegmentationMetadata
    frame_options = {"legend": "inside"}
    load_options = ("tile", "overlap")
    has_areas = True
    table_columns = ("class_id", "class", "pixels", "share")

    def __init__(
        self,
        run: RunPhotos,
        metadata: SegmentationMetadata,
        *,
        overlap: int | None = None,
        run_logits: RunPhotos | None = None,
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
        """Loads a segmenter from a checkpoint or an exported model.

        Args:
            path: a published `.pth`, any other checkpoint that `load_weights` reads, a training
                run's folder, or an export of `runmode=saved_model` or `runmode=export`.
            model_name: None: inferred from the checkpoint's configuration or variables.
            hparams: overrides, as on the command line (`"image_size=1024x512"`), or a dict.
            tile: process large photos at full resolution in overlapping tiles of this size,
                `"WIDTHxHEIGHT"` or (height, width). An exported model must return logits and have
                that input size.
            overlap: minimum overlap of two tiles in pixels.
            at_photo_size: run the network at each photo's own size, rounded down to multiples of
                32, instead of resizing photos to one size.
            use_ema: load averaged weights if the checkpoint has them.
            threads: threads of ONNX Runtime, OpenVINO or LiteRT; 0 = runtime default.
            trust: load a SavedModel or frozen graph even if its operations can do more than
                compute (read and write files, for example); only if you trust its author.
            **overrides: further hyper-parameters by name.

        Raises:
            UserError: the file is missing, truncated or not a segmenter; a setting cannot be
                changed because it is built into an exported model; or settings contradict.
        """
        tile_hw = None if tile is None else parse_image_size(tile)
        path = local_path(path)
        if is_export(path):
            check_not_baked(
                path, {"hparams": hparams, "at_photo_size": at_photo_size or None, **overrides}
            )
            run, metadata = load_export(path, threads, trust=trust)
            return cls.from_run(run, metadata, path, tile=tile, overlap=overlap)
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
        run: RunPhotos,
        metadata: Any,
        origin: AnyPath,
        *,
        tile: str | tuple[int, int] | None = None,
        overlap: int = DEFAULT_OVERLAP,
    ) -> "Segmenter":
        """Creates a segmenter from an export opened by `load_export`.

        Args:
            run: see `load_export`.
            metadata: see `load_export`.
            origin: path of the export, for errors.
            tile: see `from_checkpoint`.
            overlap: see `from_checkpoint`.

        Raises:
            UserError: the export is not a segmenter of this library, or not made for such tiles.
        """
        tile_hw = None if tile is None else parse_image_size(tile)
        check_kind(metadata, cls.metadata_class, origin)
        if tile_hw is not None and tile_hw != metadata.image_hw:
            height, width = metadata.image_hw
            raise UserError(
                f"{origin} was exported for images of {width}x{height}: use "
                f"`tile={width}x{height}`, or export it again with `input_image_size`"
            )
        return cls(run, metadata, overlap=None if tile_hw is None else overlap)

    @classmethod
    def from_loaded(
        cls, loaded: LoadedModel, *, overlap: int | None = None, at_photo_size: bool = False
    ) -> "Segmenter":
        """Creates a segmenter from a network in memory.

        Args:
            loaded: network and configuration; its `image_size` is the size of the tiles.
            overlap: overlap of the tiles in pixels; None: no tiles.
            at_photo_size: see `from_checkpoint`.

        Raises:
            UserError: both tiles and `at_photo_size` are requested, or the overlap is invalid.
        """
        metadata = serving_metadata(loaded, batch_size=None)
        if at_photo_size:
            if overlap is not None:
                raise UserError(
                    "`tile` cannot be combined with running at each photo's own size: remove one"
                )
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

    def predict(self, photos: Photo | Sequence[Photo], batch_size: int = 1) -> Any:
        """Returns the class of every pixel.

        Args:
            photos: a photo or a list of photos, see `__call__`.
            batch_size: number of photos of equal size, or of tiles, per call of the network.
                Ignored by exported models with a fixed batch size.

        Returns:
            A class map, uint8 [H, W] at the photo's size, with class indices from 0; for a list of
            photos, a list of class maps.

        Raises:
            UserError: a file is missing or not a picture, or an array is not a photo.
        """
        results = self(photos, batch_size)
        if isinstance(photos, (list, tuple)):
            return [one.class_map for one in results]
        return results.class_map

    def predict_photos(  # type: ignore[override]  # Its options have names.
        self,
        photos: Sequence[Photo],
        batch_size: int,
        *,
        probabilities: bool = False,
    ) -> list[Segmentation]:
        """Segments photos of any size.

        Args:
            photos: see `as_array`.
            batch_size: number of photos or tiles per call of the network.
            probabilities: also return the probabilities of all classes, float32 [H, W, C], which
                take 4 * C bytes per pixel.

        Returns:
            The segmentation of each photo.

        Raises:
            UserError: probabilities are requested with tiles, or from an export without logits.
        """
        if probabilities:
            return self._with_probabilities(photos, batch_size)
        class_maps = self._predict(photos, batch_size)
        return [self._segmentation(class_map) for class_map in class_maps]

    def predict_batch(self, image_arrays: np.ndarray) -> np.ndarray:
        """Maps photos of equal size, uint8 [N, H, W, 3], to class maps, uint8 [N, H, W]."""
        results = np.asarray(self._run(image_arrays))
        if self.metadata.result == "class_map":
            return results
        class_maps = results.argmax(axis=-1).astype(np.uint8)
        return to_photo_size(class_maps, image_arrays.shape[1:3])

    def table_row(self, annotation: Mapping[str, Any], hw: tuple[int, int]) -> list[Any]:
        number, pixels = annotation["category_id"], annotation["area"]
        name = self.class_names.get(number, f"class {number}")
        return [number, name, pixels, round(pixels / (hw[0] * hw[1]), 6)]

    def describe(self, result: Segmentation) -> str:
        shown = [present for present in result.present if present.share >= LEAST_SHARE]
        return ", ".join(f"{name} {share:.1%}" for name, _, share in shown)

    def index_map(self, result: Segmentation) -> Image.Image:
        return indexed_picture(result.class_map, self.metadata.palette)

    def draw(  # type: ignore[override]
        self,
        photo: Photo,
        result: Segmentation | np.ndarray,
        *,
        opacity: float = OPACITY,
        legend: str | None = "outside",
    ) -> Image.Image:
        """Returns the photo with its class map overlaid, see `draw_class_map`."""
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
        run_logits = self._run_logits
        if run_logits is None or self._overlap is not None:
            raise UserError(
                "probabilities need the network's logits for whole photos: load the checkpoint "
                "without tiles, or export it with `segmentation_output=logits`"
            )

        def run(image_arrays: np.ndarray) -> np.ndarray:
            logits = np.asarray(run_logits(image_arrays))
            return probabilities_at(logits, image_arrays.shape[1:3])

        results = self._run_by_size(run, photos, batch_size)
        return [self._segmentation(p.argmax(axis=-1).astype(np.uint8), p) for p in results]

    def _predict(self, photos: Sequence[Photo], batch_size: int) -> list[np.ndarray]:
        if self._overlap is None:
            return self._run_by_size(self.predict_batch, photos, batch_size)

        def run_tiles(tiles: list[np.ndarray]) -> list[np.ndarray]:
            return self._run_by_size(lambda batch: np.asarray(self._run(batch)), tiles, batch_size)

        image_hw = self.metadata.image_hw
        return [tiled_class_map(run_tiles, as_array(p), image_hw, self._overlap) for p in photos]


def probabilities_at(logits: np.ndarray, photo_hw: tuple[int, int]) -> np.ndarray:
    """Applies softmax to logits [N, h, w, C] and resizes bilinearly to float32 [N, H, W, C]."""
    probabilities = tf.nn.softmax(tf.cast(logits, tf.float32), axis=-1)
    return tf.image.resize(probabilities, photo_hw).numpy()


def _check_tiles(metadata: SegmentationMetadata, overlap: int) -> None:
    """Checks that a network can be run on tiles with this overlap.

    Raises:
        UserError: the model returns no logits, or the overlap is negative or too large.
    """
    if metadata.result != "logits":
        raise UserError(
            f"{metadata.model_name} was exported without logits, which tiles need: export it with "
            "`segmentation_output=logits`"
        )
    height, width = metadata.image_hw
    if not 0 <= overlap < min(height, width):
        raise UserError(
            f"`tile_overlap={overlap}` must be at least 0 and less than either side of the tile "
            f"({width}x{height})"
        )
