"""The interface between a task's folder and the code that all tasks share."""

from __future__ import annotations

import abc
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from efficientvision.configs import TrainingConfig
from efficientvision.configs.run_options import RunOptions
from efficientvision.data.record_files import FilePattern
from efficientvision.data.sources.layout import BOXES
from efficientvision.errors import UserError
from efficientvision.loading import load_model
from efficientvision.preflight.file_checks import files_findings
from efficientvision.preflight.findings import Finding
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.data_defaults import DataDefaults
from efficientvision.tasks.default_values import Choice
from efficientvision.tasks.evaluate_export import evaluate_export
from efficientvision.tasks.export_checks import ExportChecks
from efficientvision.tasks.loaded_model import LoadedModel, export_facts
from efficientvision.tasks.metadata import ModelMetadata, check_kind
from efficientvision.tasks.portable import PhotoRunner, PortableNetwork, RunPhotos
from efficientvision.tasks.predictor import Predictor
from efficientvision.tasks.report_labels import ReportLabels
from efficientvision.tasks.serving import Serving
from efficientvision.tasks.setup import count_images, record_names
from efficientvision.tasks.stretched import StretchedServing, stretch_photos, stretched_portable
from efficientvision.tasks.training_task import TrainingTask

if TYPE_CHECKING:
    from efficientvision.configs.inspect_options import InspectSettings
    from efficientvision.weights.identify import Identified

log = logging.getLogger(__name__)

# Options that a task must know to honour.
_OF_SOME_TASKS = (
    *("val_json_file", "testdev_dir", "testdev_info_file"),
    *("test_flip", "test_scales", "test_merge", "test_iou_thresh"),
)


class Task(abc.ABC):
    """A task: how its networks are configured, built, trained, evaluated, exported and used.

    Code outside `tasks/` uses a task only through this class. `registry.TASKS` lists the folders;
    `tasks.choice.find_task` returns the task of a model. The methods that are not abstract suit a
    task of records whose photos are stretched to the network's input.

    Attributes:
        noun: Noun for its networks, with an article, e.g. "a detector".
        pipeline_tag: Name of the task on the Hugging Face Hub.
        default_model: Model used when none is named.
        metadata_class: Metadata class of its exports.
        predictor_class: Predictor class, called with photos.
        labels: Labels for the report and the progress bar.
        settings: Names of `InspectSettings` that this task uses and not all do.
        takes_any_size: Whether photos can be processed in tiles or at their own size.
        architecture: Hyper-parameters that a resumed run keeps.
        parts: Prefix of a top-level layer's name -> part of the network.
        rest_is_backbone: Whether layers that match no part belong to the backbone.
        counted_in_summary: Wording of the summary's last line, as in the original program.
        takes_ground_truth_file: Whether the ground truth may be a separate file.
        label_kinds: Kinds of labels that it learns from, `BOXES`, `CLASSES` or `MASKS`, the
            usual one first.
        has_top: Whether its networks are backbones with a top that can be left out.
        of_masks: Whether every record must contain a mask; class ids then start at 0.
        num_classes_from_data: Whether `fit_to_data` takes `num_classes` from the records if it is
            not set.
        counts_background: Whether `num_classes` includes a background that the data do not have.
        data_defaults: Derives defaults from the training data.
        recipes: Name of a recipe besides the published one -> its hyper-parameters, given those
            that the user set.
    """

    noun: ClassVar[str]
    pipeline_tag: ClassVar[str]
    default_model: ClassVar[str]
    metadata_class: ClassVar[type[ModelMetadata]]
    predictor_class: ClassVar[type[Predictor]]
    labels: ClassVar[ReportLabels]
    settings: ClassVar[tuple[str, ...]] = ()
    takes_any_size: ClassVar[bool] = False
    architecture: ClassVar[tuple[str, ...]] = ()
    parts: ClassVar[Mapping[str, str]] = {}
    rest_is_backbone: ClassVar[bool] = True
    counted_in_summary: ClassVar[str] = "params/flops"
    takes_ground_truth_file: ClassVar[bool] = False
    label_kinds: ClassVar[tuple[str, ...]] = (BOXES,)
    has_top: ClassVar[bool] = False
    of_masks: ClassVar[bool] = False
    num_classes_from_data: ClassVar[bool] = True
    counts_background: ClassVar[bool] = False
    data_defaults: ClassVar[DataDefaults] = DataDefaults()
    recipes: ClassVar[Mapping[str, Callable[[Any], Sequence[Choice]]]] = {}

    # The network and its checkpoints.

    @abc.abstractmethod
    def build(self, config: TrainingConfig) -> keras.Model:
        """Builds the network of a configuration, with random weights."""

    def build_named(self, name: str, hyper_parameters: dict[str, Any], **top: Any) -> keras.Model:
        """Builds a network from its name and a few hyper-parameters, for `api.build_model`.

        Raises:
            UserError: A hyper-parameter is unknown or has an invalid value.
        """
        return self.build(get_config(name, hyper_parameters, task=self.metadata_class.task))

    def freeze_layers(self, model: keras.Model, config: TrainingConfig) -> None:  # noqa: B027
        """Freezes further layers before training, beyond the hyper-parameter `freeze`."""

    def follow_checkpoint(self, config: TrainingConfig, found: Identified, path: str) -> list[str]:
        """Takes hyper-parameters that the user did not set from a checkpoint.

        Args:
            config: Changed in place.
            found: Model identified by the checkpoint's variable names and shapes.
            path: Checkpoint path.

        Returns:
            One line per change.
        """
        return []

    def fit_to_checkpoint(self, config: TrainingConfig, ckpt: str) -> list[str]:
        """Like `follow_checkpoint`, for fine-tuning, where the classes may differ."""
        return []

    def backbone_name(self, config: TrainingConfig) -> str:
        """Returns the name of the network's backbone, a model of the registry."""
        return config.name

    def is_whole(self, config: TrainingConfig, found: Identified) -> bool:
        """Whether a checkpoint holds this network, apart from classes, not only its backbone."""
        same = found.backbone_name == self.backbone_name(config)
        return same and found.fpn_name is None and found.task == self.metadata_class.task

    def published_names(
        self, config: TrainingConfig, named: dict[int, str] | None, *, in_run: bool
    ) -> dict[int, str]:
        """Returns class -> name for a network without a label file.

        Args:
            config: Hyper-parameters of the network.
            named: Names from its `label_map`, or None.
            in_run: Whether it belongs to a training run rather than a published checkpoint.
        """
        return named or {}

    def head_names(self, found: Identified) -> dict[int, str]:
        """Returns class -> name of the data set of a published checkpoint, or an empty dict."""
        return {}

    def matches_classes(self, config: TrainingConfig) -> bool:
        """Returns whether fine-tuning matches head weights to classes by name."""
        return True

    def summary(self, config: TrainingConfig) -> str:
        """Returns what a network's summary adds to its name and size."""
        return f"{config.num_classes} classes"

    # A run.

    def check_options(self, options: RunOptions) -> None:
        """Raises UserError for options that do not apply to the task; opens no file."""
        if options.dataset and self.dataset_changes(options) is None:
            raise UserError(
                f"`dataset={options.dataset}` does not apply to {self.noun}: remove it."
            )
        for name in _OF_SOME_TASKS:
            if name in options.written and getattr(options, name):
                raise UserError(f"`{name}` does not apply to {self.noun}: remove it.")

    def dataset_changes(self, options: RunOptions) -> dict | None:
        """Returns the hyper-parameters that the option `dataset` implies; None if it is not set."""
        return None

    def check_config(self, options: RunOptions, config: TrainingConfig) -> None:  # noqa: B027
        """Raises UserError for hyper-parameters that training does not support."""

    def fit_to_data(self, options: RunOptions, config: TrainingConfig | None) -> RunOptions:
        """Fills in options and hyper-parameters that are not set from the records.

        Args:
            options: Options of the run.
            config: Changed in place; if None, only the options are completed.

        Returns:
            The completed options; here with the numbers of images.
        """
        return count_images(options, options.val_file_pattern)

    def trains_batch_norm(self, config: TrainingConfig) -> bool:
        """Whether training updates moving statistics of batch norm."""
        return config.is_training_bn

    def class_names(self, config: TrainingConfig, *patterns: str | None) -> dict[int, str]:
        """Returns class number of the network -> name, for the report and the run's folder."""
        return record_names(config, *patterns)

    def rate_factor(self, config: TrainingConfig) -> Callable[[str], float] | None:
        """Returns a function: variable path -> learning-rate multiplier; None means 1 for all."""
        return None

    @property
    def usual_rate(self) -> tuple[float, int] | None:
        """Published SGD learning rate and its batch size; None means 0.08 at 64 (EfficientDet)."""
        return None

    @abc.abstractmethod
    def build_task(
        self, options: RunOptions, config: TrainingConfig, names: Mapping[int, str]
    ) -> TrainingTask:
        """Binds the task to a configuration and to data, for the trainer.

        For an evaluation this also checks the classes of the records against the network's;
        before training the preflight does that.
        """

    def check_classes(  # noqa: B027
        self, options: RunOptions, config: TrainingConfig, names: Mapping[int, str]
    ) -> None:
        """Raises UserError if the classes of the records do not fit the network."""

    def findings(
        self, options: RunOptions, config: TrainingConfig, names: Mapping[int, str]
    ) -> tuple[list[Finding], int]:
        """Returns the preflight's findings on the data, and the number of training records."""
        return files_findings(
            options.record_patterns, regenerate_source_id=config.regenerate_source_id
        )

    def load(self, options: RunOptions) -> LoadedModel:
        """Loads the model in `model_dir` for an evaluation; call it in the strategy's scope."""
        return self.load_with(options, self.dataset_changes(options) or {})

    def load_with(self, options: RunOptions, changes: Mapping[str, Any]) -> LoadedModel:
        """Does `load` with these hyper-parameters, which those of the options override."""
        return load_model(
            options.model_dir,
            options.model_name if "model_name" in options.written else None,
            options.hparams,
            task=self.metadata_class.task,
            **{**changes, **options.hyper_parameters},
        )

    def write_test_results(self, options: RunOptions, prepare: Callable[[], Any]) -> bool:
        """Writes predictions for a test server, if the options ask for them.

        Args:
            options: Options of the evaluation.
            prepare: Returns (evaluator, training task, model).

        Returns:
            True if predictions were written; False if a normal evaluation should follow.
        """
        return False

    def checking_results(
        self, options: RunOptions, config: TrainingConfig
    ) -> contextlib.AbstractContextManager:
        """Context manager that checks the results an evaluation writes for a test server."""
        return contextlib.nullcontext()

    def evaluate_export(
        self, options: RunOptions, run: RunPhotos, metadata: ModelMetadata | None
    ) -> dict[str, float]:
        """Evaluates an exported model on `val_file_pattern`, and logs and returns the metrics.

        Args:
            options: Options of the evaluation.
            run: The exported model.
            metadata: Metadata of the export; None for a third-party model.
        """
        own = check_kind(metadata, self.metadata_class, options.model_dir)
        evaluation = evaluate_export(self, run, own, options)
        metrics = evaluation.compute()
        log.info(evaluation.full_report(metrics))
        return metrics

    def sample_pictures(
        self,
        file_pattern: FilePattern,
        config: TrainingConfig,
        names: Mapping[int, str],
        *,
        training: bool,
    ) -> Iterator[Image.Image]:
        """Draws images with their labels, as they leave the input pipeline.

        Args:
            file_pattern: Record files.
            config: Sets image size and augmentation.
            names: Class id in the records -> name.
            training: Shuffle and augment, each image once; otherwise in order, unchanged.

        Raises:
            UserError: Nothing matches, or a record is damaged.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot draw samples")

    # Exports and prediction.

    def metadata(self, loaded: LoadedModel, batch_size: int | None) -> ModelMetadata:
        """Returns the metadata for an export of a model."""
        facts = export_facts(loaded, batch_size)
        return self.metadata_class(**facts, num_classes=loaded.config.num_classes)

    def results(self, outputs: list[tf.Tensor]) -> tf.Tensor:
        """Computes the results from the network's outputs, with operations of every runtime."""
        return tf.cast(outputs[0], tf.float32)

    def serving(self, model: keras.Model, config: TrainingConfig, **options: Any) -> Serving:
        """Wraps a network as one graph from photos to results, for the TensorFlow formats."""
        return self._stretched(model, config)

    def _stretched(self, model: keras.Model, config: TrainingConfig) -> StretchedServing:
        return StretchedServing(model, config, self.results, self.metadata_class.result_name)

    def portable(
        self, model: keras.Model, config: TrainingConfig, metadata: ModelMetadata, nms: str
    ) -> tuple[Any, ModelMetadata]:
        """Returns the part of a model that every runtime can run, for the portable formats.

        Args:
            model: The network.
            config: Its hyper-parameters.
            metadata: Metadata of the model; sets the batch size of the function.
            nms: NMS mode, see `tasks.detection.portable`; ignored by other tasks.

        Returns:
            A concrete function, and the metadata completed for it.
        """
        serving = self._stretched(model, config)
        return stretched_portable(serving, metadata.batch_size or 1), metadata

    def runner(self, network: PortableNetwork, metadata: ModelMetadata) -> RunPhotos:
        """Wraps a portable file: resizes photos for it and decodes its outputs."""
        return PhotoRunner(
            network, metadata, lambda photos: stretch_photos(photos, metadata.image_hw)
        )

    def apply_settings(  # noqa: B027
        self, loaded: LoadedModel, settings: InspectSettings
    ) -> None:
        """Applies settings that correspond to hyper-parameters or minimum scores."""

    def serving_options(self, settings: InspectSettings) -> dict[str, Any]:
        """Returns arguments of `serving`, and metadata fields, that the settings imply."""
        return {}

    def export_checks(
        self, settings: InspectSettings, loaded: LoadedModel, photos: list[np.ndarray]
    ) -> ExportChecks:
        """Returns the checks that compare exports with the network."""
        return ExportChecks(settings, loaded, photos)

    def predictor(self, loaded: LoadedModel, settings: InspectSettings) -> Predictor:
        """Wraps a network in memory as a predictor for photos."""
        return self.predictor_class.from_loaded(loaded)

    def export_predictor(
        self,
        run: RunPhotos,
        metadata: ModelMetadata | None,
        settings: InspectSettings,
        config: TrainingConfig,
    ) -> Predictor:
        """Wraps an exported model as a predictor for photos.

        Args:
            run: The exported model.
            metadata: Metadata of the export; None for a third-party model.
            settings: `saved_model_dir` is the path of the export.
            config: Hyper-parameters set by the user, such as `label_map`.
        """
        return self.predictor_class.from_run(run, metadata, settings.saved_model_dir)

    def baked(self, settings: InspectSettings, metadata: ModelMetadata) -> dict[str, Any]:
        """Task-specific settings fixed in an export: name -> (requested, fixed)."""
        return {}
