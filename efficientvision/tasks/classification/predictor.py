"""Classifies photos with any checkpoint or exported model."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from efficientvision.configs.score_thresholds import MinScores
from efficientvision.data.class_order import network_names
from efficientvision.data.labels import resolve_label_map
from efficientvision.errors import UserError
from efficientvision.evaluation.thresholds import ScoreThresholds, class_numbers
from efficientvision.exports.load_export import check_not_baked, is_export, load_export
from efficientvision.files import AnyPath
from efficientvision.loading import load_model, serving_metadata
from efficientvision.tasks.classification.metadata import ClassificationMetadata
from efficientvision.tasks.loaded_model import LoadedModel
from efficientvision.tasks.metadata import check_kind
from efficientvision.tasks.photo_batches import Photo, as_array
from efficientvision.tasks.portable import RunPhotos
from efficientvision.tasks.predictor import Origin, PhotoResult, Predictor, network_run
from efficientvision.visualize.draw_classes import draw_classes
from efficientvision.weights.hub import local_path

log = logging.getLogger(__name__)

# Minimum probability of a class that a multi-label model predicts.
MULTILABEL_THRESHOLD = 0.5


class Prediction(NamedTuple):
    """A predicted class.

    Attributes:
        name: class name.
        probability: 0..1.
    """

    name: str
    probability: float


@dataclass(frozen=True, repr=False)
class Classification(PhotoResult, Sequence):
    """The most likely classes of one photo, best first: a sequence of `Prediction`s.

    Attributes:
        predictions: the same as a list.
        class_ids: their class numbers, 1..K.
    """

    predictions: list[Prediction]
    origin: Origin | None = None
    class_ids: tuple[int, ...] = ()

    def __repr__(self) -> str:
        shown = [f"{name} {probability:.1%}" for name, probability in self.predictions]
        return f"<Classification: {', '.join(shown) or 'no class above the threshold'}>"

    def __len__(self) -> int:
        return len(self.predictions)

    def __getitem__(self, index: Any) -> Any:
        return self.predictions[index]

    def found(self) -> dict[str, Any]:
        return {"classes": [one._asdict() for one in self.predictions]}

    def annotations(self) -> list[dict[str, Any]]:
        return [
            {"category_id": number, "score": round(one.probability, 5)}
            for number, one in zip(self.class_ids, self.predictions, strict=True)
        ]


class Classifier(Predictor[Classification]):
    """Classifies photos.

    Args:
        run: uint8 photos [N, H, W, 3] -> float32 probabilities [N, K].
        metadata: model name, input size, class names.
        min_score_thresh: drop classes with lower probabilities: a number, or by class, see
            `parse_min_scores`; None: as in the metadata, else 0.5 for a multi-label model and 0 for
            others.

    Example:
        >>> classifier = Classifier.from_checkpoint("runs/digits")
        >>> classifier.classify("photo.jpg", top_k=2)
        [Prediction(name='seven', probability=0.93), Prediction(name='one', probability=0.05)]
    """

    metadata_class = ClassificationMetadata
    frame_options = None
    load_options = ("min_score_thresh", "label_map")
    call_options = ("classes", "top_k")
    table_columns = ("class_id", "class", "probability")
    thresholds: ScoreThresholds

    def __init__(
        self,
        run: RunPhotos,
        metadata: ClassificationMetadata,
        *,
        min_score_thresh: MinScores | ScoreThresholds | None = None,
    ):
        super().__init__(run, metadata)
        if isinstance(min_score_thresh, ScoreThresholds):
            self.thresholds = min_score_thresh
        else:
            usual = metadata.min_score_thresh
            if usual is None:
                usual = usual_threshold(multi_label=metadata.multilabel)
            own = ScoreThresholds(usual, metadata.class_thresholds, "the model's metadata")
            self.thresholds = self._chosen(own, min_score_thresh)
        if self.thresholds.classes:
            log.info(f"Minimum score: {self.thresholds.described(self.class_names)}")

    @classmethod
    def from_checkpoint(
        cls,
        path: AnyPath,
        model_name: str | None = None,
        hparams: str | Mapping[str, Any] | None = None,
        *,
        min_score_thresh: MinScores | None = None,
        use_ema: bool = True,
        threads: int = 0,
        trust: bool = False,
        **overrides: Any,
    ) -> "Classifier":
        """Loads a classifier from a checkpoint or an exported model.

        Args:
            path: any checkpoint that `load_weights` reads, a training run's folder, or an export
                of `runmode=saved_model` or `runmode=export`.
            model_name: None: inferred from the checkpoint's configuration or variables.
            hparams: overrides, as on the command line (`"image_size=256"`, `"my.yaml"`), or a dict.
            min_score_thresh: see the class; by default a multi-label model uses the probabilities
                with the best F1 that an evaluation of the run found.
            use_ema: load averaged weights if the checkpoint has them.
            threads: threads of ONNX Runtime, OpenVINO or LiteRT; 0 = runtime default.
            trust: load a SavedModel or frozen graph even if its operations can do more than
                compute (read and write files, for example); only if you trust its author.
            **overrides: further hyper-parameters by name.

        Raises:
            UserError: the file is missing, truncated or not a classifier; or a setting cannot be
                changed because it is built into an exported model.
        """
        path = local_path(path)
        if is_export(path):
            label_map = overrides.pop("label_map", None)
            check_not_baked(path, {"hparams": hparams, **overrides})
            run, metadata = load_export(path, threads, trust=trust)
            return cls.from_run(
                run, metadata, path, min_score_thresh=min_score_thresh, label_map=label_map
            )
        loaded = load_model(
            path, model_name, hparams, task="classification", use_ema=use_ema, **overrides
        )
        return cls.from_loaded(loaded, min_score_thresh=min_score_thresh)

    @classmethod
    def from_run(
        cls,
        run: RunPhotos,
        metadata: Any,
        origin: AnyPath,
        *,
        min_score_thresh: MinScores | None = None,
        label_map: Any = None,
    ) -> "Classifier":
        """Creates a classifier from an export opened by `load_export`.

        Args:
            run: see `load_export`.
            metadata: see `load_export`.
            origin: path of the export, for errors.
            min_score_thresh: see the class.
            label_map: class names for a model that has none, as in the hyper-parameter.

        Raises:
            UserError: the export is not a classifier of this library.
        """
        check_kind(metadata, cls.metadata_class, origin)
        names = resolve_label_map(label_map)
        if names and not metadata.class_names:
            metadata = replace(metadata, class_names=network_names(names))
        return cls(run, metadata, min_score_thresh=min_score_thresh)

    @classmethod
    def from_loaded(
        cls, loaded: LoadedModel, *, min_score_thresh: MinScores | None = None
    ) -> "Classifier":
        """Makes a classifier of a network in memory."""
        thresholds = loaded.thresholds
        if thresholds is None:
            usual = usual_threshold(multi_label=loaded.config.multi_label)
            thresholds = ScoreThresholds(usual, source="the default")
        return cls(
            network_run(loaded),
            serving_metadata(loaded, batch_size=None),
            min_score_thresh=thresholds.changed(
                min_score_thresh, loaded.class_names, loaded.config.num_classes
            ),
        )

    def classify(
        self, photos: Photo | Sequence[Photo], top_k: int | None = 5, batch_size: int = 1
    ) -> Any:
        """Returns the most likely classes of photos.

        Args:
            photos: a photo or a list of photos, see `__call__`.
            top_k: maximum number of classes per photo; None, or a multi-label model: no limit.
            batch_size: number of photos of equal size per call of the network. Ignored by exported
                models with a fixed batch size.

        Returns:
            A list of `Prediction`s of at least the minimum probability, best first; for a list of
            photos, a list of such lists.

        Raises:
            UserError: a file is missing or not a picture, an array is not a photo, or the
                network's outputs are not finite.
        """
        results = self(photos, batch_size, top_k=top_k)
        if isinstance(photos, (list, tuple)):
            return [one.predictions for one in results]
        return results.predictions

    def predict_photos(  # type: ignore[override]  # Its options have names.
        self,
        photos: Sequence[Photo],
        batch_size: int,
        *,
        min_score_thresh: MinScores | None = None,
        classes: Sequence[int | str] | None = None,
        top_k: int | None = 5,
    ) -> list[Classification]:
        """Classifies photos of any size.

        Args:
            photos: see `as_array`.
            batch_size: see `__call__`.
            min_score_thresh: drop lower probabilities, see the class; None: the classifier's own.
            classes: class numbers or names to keep of those of `top_k`; None: all.
            top_k: maximum number of classes per photo; None, or a multi-label model: no limit.

        Returns:
            The classes of each photo.

        Raises:
            UserError: a class is unknown, or the network's outputs are not finite.
        """
        names, count = self.class_names, self.metadata.num_classes
        numbers = None
        if classes is not None:
            numbers = {n for key in classes for n in class_numbers(key, names, count, "classes")}
        least = self._chosen(self.thresholds, min_score_thresh)
        limit = None if self.metadata.multilabel else top_k
        rows = self._run_by_size(self.classify_batch, photos, batch_size)
        return [self._named(row, least, numbers, limit) for row in rows]

    def probabilities(self, photos: Sequence[Photo], batch_size: int = 1) -> np.ndarray:
        """Returns the probabilities of all K classes for N photos, float32 [N, K]."""
        rows = self._run_by_size(self.classify_batch, photos, batch_size)
        return np.stack(rows) if rows else np.zeros((0, len(self.class_names)), np.float32)

    def classify_batch(self, image_arrays: np.ndarray) -> np.ndarray:
        """Maps photos of equal size, uint8 [N, H, W, 3], to probabilities, float32 [N, K]."""
        return np.asarray(self._run(image_arrays))

    @property
    def one_class(self) -> bool:
        return not self.metadata.multilabel

    def table_row(self, annotation: Mapping[str, Any], hw: tuple[int, int]) -> list[Any]:
        number = annotation["category_id"]
        name = self.class_names.get(number, f"class {number}")
        return [number, name, annotation["score"]]

    def describe(self, result: Sequence[Prediction]) -> str:
        named = [f"{name} {probability:.1%}" for name, probability in result]
        return ", ".join(named) or "no class is likely enough"

    def draw(  # type: ignore[override]
        self, photo: Photo, result: Sequence[Prediction]
    ) -> Image.Image:
        """Returns a picture of the photo with its classes, see `draw_classes`."""
        return draw_classes(as_array(photo), result)

    def _chosen(self, before: ScoreThresholds, asked: MinScores | None) -> ScoreThresholds:
        return before.changed(asked, self.class_names, self.metadata.num_classes)

    def _named(
        self,
        row: np.ndarray,
        least: ScoreThresholds,
        numbers: set[int] | None,
        limit: int | None,
    ) -> Classification:
        if not np.isfinite(row).all():
            raise UserError(
                f"the outputs of {self.metadata.model_name} are not finite: its weights are "
                "damaged, or belong to another network"
            )
        limits = least.of(np.arange(1, len(row) + 1))
        likely = [int(i) for i in np.argsort(-row, kind="stable") if row[i] >= limits[i]]
        names = {i: self.class_names.get(i + 1, f"class {i + 1}") for i in likely}
        kept = [i for i in likely[:limit] if numbers is None or i + 1 in numbers]
        predictions = [Prediction(names[i], float(row[i])) for i in kept]
        return Classification(predictions, class_ids=tuple(i + 1 for i in kept))


def usual_threshold(*, multi_label: bool) -> float:
    """Minimum probability of a class unless another one is set."""
    return MULTILABEL_THRESHOLD if multi_label else 0.0
