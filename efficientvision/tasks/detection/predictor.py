"""Detects objects with any checkpoint or exported model."""

import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from efficientvision.configs.score_thresholds import MinScores
from efficientvision.data.labels import BUILTIN, resolve_label_map
from efficientvision.errors import UserError
from efficientvision.evaluation.thresholds import ScoreThresholds, class_numbers
from efficientvision.exports.load_export import check_not_baked, is_export, load_export
from efficientvision.files import AnyPath
from efficientvision.loading import load_model, serving_metadata
from efficientvision.tasks.detection.metadata import DetectionMetadata
from efficientvision.tasks.detection.min_scores import apply_min_scores
from efficientvision.tasks.detection.ssd_serving import detector_serving
from efficientvision.tasks.loaded_model import LoadedModel
from efficientvision.tasks.metadata import ModelMetadata, check_kind
from efficientvision.tasks.photo_batches import Photo, as_array
from efficientvision.tasks.portable import RunPhotos, compiled
from efficientvision.tasks.predictor import Origin, PhotoResult, Predictor
from efficientvision.visualize.draw import draw_detections
from efficientvision.weights.hub import local_path

log = logging.getLogger(__name__)

_SHOWN = 5


class Detection(NamedTuple):
    """One detected object.

    Attributes:
        box_yxyx: ymin, xmin, ymax, xmax in pixels of the photo.
        score: confidence, 0..1.
        class_id: class number, 1..K.
        name: class name.
    """

    box_yxyx: tuple[float, float, float, float]
    score: float
    class_id: int
    name: str


@dataclass(frozen=True, repr=False)
class Detections(PhotoResult):
    """The objects detected in one photo, best first: a sequence of `Detection`s.

    Attributes:
        boxes_yxyx: float32 [N, 4], ymin, xmin, ymax, xmax in pixels of the photo.
        scores: float32 [N], confidences in 0..1.
        classes: int32 [N], class numbers 1..K.
        names: class names, N strings.
    """

    boxes_yxyx: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    names: list[str]
    origin: Origin | None = None

    def __repr__(self) -> str:
        shown = [f"{one.name} {one.score:.2f}" for one in itertools.islice(self, _SHOWN)]
        more = [f"and {len(self) - _SHOWN} more"] if len(self) > _SHOWN else []
        return f"<Detections: {', '.join(shown + more) or 'none'}>"

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Detection]:
        for box, score, class_id, name in zip(
            self.boxes_yxyx, self.scores, self.classes, self.names, strict=True
        ):
            yield Detection(tuple(box.tolist()), float(score), int(class_id), name)

    def __getitem__(self, index: int) -> Detection:
        return list(self)[index]

    def found(self) -> dict[str, Any]:
        return {"detections": [one._asdict() for one in self]}

    def annotations(self) -> list[dict[str, Any]]:
        height, width = self._needed_origin().hw
        boxes = np.clip(self.boxes_yxyx, 0, [height, width, height, width]).round(2).tolist()
        return [
            {
                "category_id": int(number),
                "bbox": [xmin, ymin, round(xmax - xmin, 2), round(ymax - ymin, 2)],
                "area": round((xmax - xmin) * (ymax - ymin), 2),
                "iscrowd": 0,
                "segmentation": [],
                "score": round(float(score), 5),
            }
            for (ymin, xmin, ymax, xmax), number, score in zip(
                boxes, self.classes, self.scores, strict=True
            )
            if xmax > xmin and ymax > ymin
        ]

    def to_supervision(self) -> Any:
        """Converts to `supervision.Detections`: xyxy boxes, confidences, class ids, names.

        Raises:
            UserError: the package supervision is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            raise UserError("to_supervision needs supervision: pip install supervision") from error
        return supervision.Detections(
            xyxy=self.boxes_yxyx[:, [1, 0, 3, 2]],
            confidence=self.scores,
            class_id=self.classes,
            data={"class_name": np.array(self.names, dtype=str)},
        )


class Detector(Predictor[Detections]):
    """Detects objects in photos.

    Args:
        run: uint8 photos [N, H, W, 3] -> float32 detections [N, max, 7]: image_id, ymin, xmin,
            ymax, xmax in pixels of the photo, score, class; padded with score 0.
        metadata: model name, input size, class names, thresholds.
        min_score_thresh: drop detections with lower scores: a number, or by class, see
            `parse_min_scores`.

    Example:
        >>> detector = Detector.from_checkpoint("efficientdet-d0")
        >>> detections = detector("photo.jpg")
        >>> detector.draw("photo.jpg", detections).save("photo_boxes.jpg")
    """

    metadata_class = DetectionMetadata
    draw_options = ("max_boxes_to_draw", "line_thickness")
    load_options = ("min_score_thresh", "label_map")
    call_options = ("classes", "top_k")
    table_columns = ("class_id", "class", "score", "xmin", "ymin", "xmax", "ymax")
    has_boxes = True
    thresholds: ScoreThresholds
    counted = "Objects in all frames"

    def __init__(
        self,
        run: RunPhotos,
        metadata: DetectionMetadata,
        *,
        min_score_thresh: MinScores | ScoreThresholds = 0.0,
    ):
        super().__init__(run, metadata)
        self.thresholds = (
            min_score_thresh
            if isinstance(min_score_thresh, ScoreThresholds)
            else self._chosen(ScoreThresholds(0.0), min_score_thresh)
        )
        self._warned = False

    @classmethod
    def from_checkpoint(
        cls,
        path: AnyPath,
        model_name: str | None = None,
        hparams: str | Mapping[str, Any] | None = None,
        *,
        min_score_thresh: MinScores | None = None,
        nms_method: str | None = None,
        max_detections: int | None = None,
        use_ema: bool = True,
        threads: int = 0,
        trust: bool = False,
        **overrides: Any,
    ) -> "Detector":
        """Loads a detector from a checkpoint or an exported model.

        Args:
            path: a TF1 or TF2 checkpoint (prefix, file or folder), `.h5`, `.weights.h5`, `.keras`,
                a training run's folder, a SavedModel folder, `<model>_frozen.pb`, or an ONNX,
                OpenVINO (`.xml`) or LiteRT (`.tflite`) file written by `runmode=export`.
            model_name: None: inferred from the checkpoint's configuration or variables.
            hparams: overrides, as on the command line (`"image_size=640"`, `"my.yaml"`), or a dict.
            min_score_thresh: drop detections with lower scores: a number, or by class
                (`"platelet=0.2"`, `{"platelet": 0.2}`). None: those with the best F1 that an
                evaluation of the run found, else the checkpoint's own `nms_configs.score_thresh`,
                or 0.4 if that is 0 (not set).
            nms_method: `"hard"` or `"gaussian"`; None: as configured.
            max_detections: maximum number per photo; None: as configured.
            use_ema: load averaged weights if the checkpoint has them.
            threads: threads of ONNX Runtime, OpenVINO or LiteRT; 0 = runtime default.
            trust: load a SavedModel or frozen graph even if its operations can do more than
                compute (read and write files, for example); only if you trust its author.
            **overrides: further hyper-parameters by name.

        Raises:
            UserError: the file is missing, truncated or of another model; or a setting cannot be
                changed because it is built into an exported model.
        """
        path = local_path(path)
        if is_export(path):
            label_map = overrides.pop("label_map", None)
            changes = {"hparams": hparams, "nms_method": nms_method, **overrides}
            check_not_baked(path, {**changes, "max_detections": max_detections})
            run, metadata = load_export(path, threads, trust=trust)
            return cls.from_run(
                run,
                metadata,
                path,
                model_name=model_name,
                min_score_thresh=min_score_thresh,
                label_map=label_map,
            )
        nms: dict[str, Any] = {}
        if nms_method is not None:
            nms["method"] = nms_method
        if max_detections is not None:
            nms["max_output_size"] = max_detections
        loaded = load_model(
            path, model_name, hparams, task="detection", use_ema=use_ema, **overrides
        )
        loaded.config.override({"nms_configs": nms})
        apply_min_scores(loaded, min_score_thresh, hparams, overrides)
        return cls.from_loaded(loaded)

    @classmethod
    def from_loaded(cls, loaded: LoadedModel, *, nms_mode: str = "per_class") -> "Detector":
        """Creates a detector from a network in memory, with the NMS settings of its configuration.

        Args:
            loaded: network and configuration.
            nms_mode: see `detector_serving`.
        """
        serving = detector_serving(loaded.model, loaded.config, nms_mode=nms_mode)
        return cls(
            compiled(serving.results_from_arrays),
            serving_metadata(loaded, batch_size=None),
            min_score_thresh=loaded.thresholds or loaded.config.nms_configs.score_thresh or 0.0,
        )

    @classmethod
    def from_run(
        cls,
        run: RunPhotos,
        metadata: ModelMetadata | None,
        origin: AnyPath,
        *,
        model_name: str | None = None,
        min_score_thresh: MinScores | None = None,
        label_map: Any = None,
    ) -> "Detector":
        """Creates a detector from an export opened by `load_export`.

        Args:
            run: see `load_export`.
            metadata: see `load_export`.
            origin: path of the export, for messages.
            model_name: name for a model without metadata.
            min_score_thresh: see `from_checkpoint`; None: as in the metadata.
            label_map: class names for a model that has none, as in the hyper-parameter.

        Raises:
            UserError: the export is not a detector.
        """
        if metadata is None:
            log.info(f"{origin} has no metadata: assuming a detector of the 90 COCO classes")
            metadata = DetectionMetadata(
                model_name or "unknown", (0, 0), 90, BUILTIN["coco"], batch_size=1
            )
        facts = check_kind(metadata, cls.metadata_class, origin)
        names = resolve_label_map(label_map)
        if names and not facts.class_names:
            facts = replace(facts, class_names=names)
        own = ScoreThresholds(max(facts.min_score_thresh, 0.0), facts.class_thresholds, str(origin))
        chosen = own.changed(min_score_thresh, facts.class_names, facts.num_classes)
        if chosen.classes:
            log.info(f"Minimum score: {chosen.described(facts.class_names)}")
        return cls(run, facts, min_score_thresh=chosen)

    def predict_photos(  # type: ignore[override]  # Its options have names.
        self,
        photos: Sequence[Photo],
        batch_size: int,
        *,
        min_score_thresh: MinScores | None = None,
        classes: Sequence[int | str] | None = None,
        top_k: int | None = None,
    ) -> list[Detections]:
        """Detects objects in photos of any size.

        Args:
            photos: see `as_array`.
            batch_size: see `__call__`.
            min_score_thresh: drop detections with lower scores, see `from_checkpoint`; None: the
                detector's own thresholds. Below those the NMS of a checkpoint finds nothing, which
                is logged.
            classes: class numbers or names to keep; None: all.
            top_k: keep at most this many detections, best first; None: all.

        Returns:
            The detections of each photo.

        Raises:
            UserError: a class is unknown.
        """
        least = self._chosen(self.thresholds, min_score_thresh)
        if min_score_thresh is not None:
            self._warn_of_suppressed(least)
        numbers = None if classes is None else self._class_numbers(classes)
        rows = self._run_by_size(self.detect_batch, photos, batch_size)
        return [self._named(photo_rows, least, numbers, top_k) for photo_rows in rows]

    def table_row(self, annotation: Mapping[str, Any], hw: tuple[int, int]) -> list[Any]:
        x, y, width, height = annotation["bbox"]
        number = annotation["category_id"]
        name = self.class_names.get(number, f"class {number}")
        corners = [x, y, round(x + width, 2), round(y + height, 2)]
        return [number, name, annotation["score"], *corners]

    def describe(self, result: Detections) -> str:
        return f"{len(result)} objects"

    def draw(  # type: ignore[override]
        self,
        photo: Photo,
        result: Detections,
        *,
        min_score_thresh: MinScores | None = None,
        max_boxes_to_draw: int | None = 100,
        line_thickness: int | None = None,
    ) -> Image.Image:
        """Returns a copy of the photo with boxes and labels drawn, see `draw_detections`."""
        least = self._chosen(ScoreThresholds(0.0), min_score_thresh)
        shown = result.scores >= least.of(result.classes)
        return draw_detections(
            as_array(photo),
            result.boxes_yxyx[shown],
            result.classes[shown],
            result.scores[shown],
            self.class_names,
            min_score_thresh=0.0,
            max_boxes_to_draw=max_boxes_to_draw,
            line_thickness=line_thickness,
        )

    def detect_batch(self, image_arrays: np.ndarray) -> np.ndarray:
        """Detects objects in photos of equal size, uint8 [N, H, W, 3], without thresholding.

        Returns:
            float32 [N, max, 7]: image_id, ymin, xmin, ymax, xmax in pixels of the photo, score,
            class; padded with score 0.
        """
        return np.asarray(self._run(image_arrays))

    def _named(
        self, rows: np.ndarray, least: ScoreThresholds, numbers: set[int] | None, top_k: int | None
    ) -> Detections:
        rows = rows[rows[:, 5] > 0]
        rows = rows[rows[:, 5] >= least.of(rows[:, 6].astype(np.int32))]
        if numbers is not None:
            rows = rows[np.isin(rows[:, 6].astype(np.int32), list(numbers))]
        rows = rows[:top_k]
        classes = rows[:, 6].astype(np.int32)
        return Detections(
            boxes_yxyx=rows[:, 1:5],
            scores=rows[:, 5],
            classes=classes,
            names=[self.class_names.get(int(c), f"class {c}") for c in classes],
        )

    def _chosen(self, before: ScoreThresholds, asked: MinScores | None) -> ScoreThresholds:
        return before.changed(asked, self.class_names, self.metadata.num_classes)

    def _warn_of_suppressed(self, asked: ScoreThresholds) -> None:
        """Logs once that suppression has dropped the scores that were asked for."""
        kept = self.metadata.nms.get("score_thresh") or 0.0
        if asked.least < kept and not self._warned:
            self._warned = True
            log.info(
                f"`min_score_thresh`: the detector was loaded for scores of at least {kept:g} and "
                f"finds none below; to see lower ones, set `min_score_thresh={asked.least:g}` when "
                "you load or export it"
            )

    def _class_numbers(self, classes: Sequence[int | str]) -> set[int]:
        names, count = self.class_names, self.metadata.num_classes
        return {n for key in classes for n in class_numbers(key, names, count, "classes")}
