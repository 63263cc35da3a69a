"""The one interface between a task's folder and everything that serves all tasks alike."""

from __future__ import annotations

import abc
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from efficientvision.configs import TrainingConfig
from efficientvision.configs.run_options import RunOptions
from efficientvision.data.record_files import FilePattern
from efficientvision.errors import UserError
from efficientvision.loading import LoadedModel, export_facts, load_model
from efficientvision.preflight.file_checks import files_findings
from efficientvision.preflight.findings import Finding
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.evaluate_export import evaluate_export
from efficientvision.tasks.export_checks import ExportChecks
from efficientvision.tasks.metadata import ModelMetadata, check_kind
from efficientvision.tasks.portable import PortableNetwork, RunPhotos
from efficientvision.tasks.predictor import Predictor
from efficientvision.tasks.report_labels import ReportLabels
from efficientvision.tasks.serving import Serving
from efficientvision.tasks.setup import count_images, record_names
from efficientvision.tasks.stretched import StretchedRunner, StretchedServing, stretched_portable
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
    """One kind of network: how it is configured, built, trained, measured, exported and used.

    Everything outside `tasks/` reaches a task through this class alone. `registry.TASKS` names the
    folders; `tasks.choice.find_task` finds the task of a model. What is not abstract here suits a
    task of records whose photos are stretched to the network's input.

    Attributes:
        noun: What its networks are called, with an article, e.g. "a detector".
        default_model: The model that is meant where none is named.
        metadata_class: Of its exports.
        predictor_class: Called with photos.
        labels: Words of the report and the progress bar.
        settings: Those of `InspectSettings` that it uses and not every task does.
        takes_any_size: Whether photos may be processed in tiles, or at their own size.
        architecture: Hyper-parameters that are fixed when a run begins, and kept on resuming.
        parts: Beginning of a top-level layer's name -> the part of the network that it belongs to.
        rest_is_backbone: Whether layers of no part are the backbone's.
        counted_in_summary: What the summary's last line counts, as the original program says it.
        takes_ground_truth_file: Whether an evaluation may have a ground truth beside its records.
        takes_class_folders: Whether its data are published as a folder of images for each class.
        has_top: Whether its networks are backbones with a top that can be left out.
        of_masks: Whether every record must hold a mask; classes then count from 0.
        num_classes_from_data: Whether `fit_to_data` takes `num_classes` from the records where it
            is not given.
        counts_background: Whether `num_classes` counts a background that is no class of the data.
    """

    noun: ClassVar[str]
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
    takes_class_folders: ClassVar[bool] = False
    has_top: ClassVar[bool] = False
    of_masks: ClassVar[bool] = False
    num_classes_from_data: ClassVar[bool] = True
    counts_background: ClassVar[bool] = False

    # The network and its checkpoints.

    @abc.abstractmethod
    def build(self, config: TrainingConfig) -> keras.Model:
        """The network that a configuration describes, with random weights."""

    def build_named(self, name: str, hyper_parameters: dict[str, Any], **top: Any) -> keras.Model:
        """The network of `api.build_model`: of a model's name and a few hyper-parameters.

        Raises:
            UserError: A hyper-parameter is unknown or its value is bad.
        """
        return self.build(get_config(name, hyper_parameters, task=self.metadata_class.task))

    def freeze_layers(self, model: keras.Model, config: TrainingConfig) -> None:  # noqa: B027
        """Freezes layers of a network before it is trained, beside those of `freeze`."""

    def follow_checkpoint(self, config: TrainingConfig, found: Identified, path: str) -> list[str]:
        """Sets hyper-parameters that a checkpoint tells and the user left open.

        Args:
            config: Changed in place.
            found: What the checkpoint's names and shapes say.
            path: Of the checkpoint.

        Returns:
            A line for each change.
        """
        return []

    def fit_to_checkpoint(self, config: TrainingConfig, ckpt: str) -> list[str]:
        """The same before training from a checkpoint, whose classes may be others."""
        return []

    def published_names(
        self, config: TrainingConfig, named: dict[int, str] | None, *, in_run: bool
    ) -> dict[int, str]:
        """Class -> name for a network without a file of names.

        Args:
            config: Of the network.
            named: The names of its `label_map`, None if it has none.
            in_run: Whether it belongs to a run of ours rather than to a published checkpoint.
        """
        return named or {}

    def head_names(self, found: Identified) -> dict[int, str]:
        """Class -> name of the data set that a published checkpoint was trained on, or empty."""
        return {}

    def matches_classes(self, config: TrainingConfig) -> bool:
        """Whether fine-tuning moves the head's weights to the classes of the same names."""
        return True

    def summary(self, config: TrainingConfig) -> str:
        """What the summary of a network says beside name and size."""
        return f"{config.num_classes} classes"

    # A run.

    def check_options(self, options: RunOptions) -> None:
        """Raises UserError for options that the task does not have; opens no file."""
        if options.dataset and self.dataset_changes(options) is None:
            raise UserError(
                f"`dataset={options.dataset}` is of other tasks; {self.noun} has no use for it."
            )
        for name in _OF_SOME_TASKS:
            if name in options.written and getattr(options, name):
                raise UserError(f"`{name}` is of other tasks; {self.noun} has no use for it.")

    def dataset_changes(self, options: RunOptions) -> dict | None:
        """The hyper-parameters that the option `dataset` stands for; None: it is not given."""
        return None

    def check_config(self, options: RunOptions, config: TrainingConfig) -> None:  # noqa: B027
        """Raises UserError for hyper-parameters that cannot be trained with."""

    def fit_to_data(self, options: RunOptions, config: TrainingConfig | None) -> RunOptions:
        """Takes from the records what options and overrides left open.

        Args:
            options: Of the run.
            config: Changed in place; None: only the options are completed.

        Returns:
            The options, completed; here with the numbers of images.
        """
        return count_images(options, options.val_file_pattern)

    def class_names(self, config: TrainingConfig, *patterns: str | None) -> dict[int, str]:
        """Class number of the network -> name, for the report and the run's folder."""
        return record_names(config, *patterns)

    def rate_factor(self, config: TrainingConfig) -> Callable[[str], float] | None:
        """Path of a variable -> factor of its learning rate; None: 1."""
        return None

    @property
    def usual_rate(self) -> tuple[float, int] | None:
        """Published learning rate of sgd, and its batch size; None: 0.08 at 64 (EfficientDet)."""
        return None

    @abc.abstractmethod
    def build_task(
        self, options: RunOptions, config: TrainingConfig, names: Mapping[int, str]
    ) -> TrainingTask:
        """The task bound to a configuration and to data, for the trainer.

        An evaluation also checks the classes of the records against the network's; before
        training the preflight does that.
        """

    def check_classes(  # noqa: B027
        self, options: RunOptions, config: TrainingConfig, names: Mapping[int, str]
    ) -> None:
        """Raises UserError where the classes of the records do not fit the network."""

    def findings(
        self, options: RunOptions, config: TrainingConfig, names: Mapping[int, str]
    ) -> tuple[list[Finding], int]:
        """What the preflight finds in the data, and the number of training records."""
        return files_findings(
            options.train_file_pattern,
            options.val_file_pattern,
            regenerate_source_id=config.regenerate_source_id,
        )

    def load(self, options: RunOptions) -> LoadedModel:
        """The model of `model_dir`, for an evaluation; call it under the strategy's scope."""
        return load_model(
            options.model_dir,
            options.model_name if "model_name" in options.written else None,
            options.hparams,
            task=self.metadata_class.task,
            **{**(self.dataset_changes(options) or {}), **options.hyper_parameters},
        )

    def write_test_results(self, options: RunOptions, prepare: Callable[[], Any]) -> bool:
        """Writes predictions for a test server that measures them itself.

        Args:
            options: Of the evaluation.
            prepare: Makes (evaluator, training task, model).

        Returns:
            Whether this was all that the options ask for; False: an evaluation follows.
        """
        return False

    def checking_results(
        self, options: RunOptions, config: TrainingConfig
    ) -> contextlib.AbstractContextManager:
        """Checks, around an evaluation, the results that it writes for a test server."""
        return contextlib.nullcontext()

    def evaluate_export(
        self, options: RunOptions, run: RunPhotos, metadata: ModelMetadata | None
    ) -> dict[str, float]:
        """Metrics of an exported model on `val_file_pattern`; logs them.

        Args:
            options: Of the evaluation.
            run: The export.
            metadata: Of the export; None for a model of other makers.
        """
        check_kind(metadata, self.metadata_class, options.model_dir)
        evaluation = evaluate_export(self, run, metadata, options)
        metrics = evaluation.compute()
        log.info(evaluation.report(metrics))
        return metrics

    def sample_pictures(
        self,
        file_pattern: FilePattern,
        config: TrainingConfig,
        names: Mapping[int, str],
        *,
        training: bool,
    ) -> Iterator[Image.Image]:
        """Draws images of records with their labels, as the input pipeline gives them.

        Args:
            file_pattern: Of the records.
            config: Size of the images, and the augmentation.
            names: Class of the records -> name.
            training: Shuffled and augmented, each image once; else in order and as they are.

        Raises:
            UserError: Nothing matches, or a record is damaged.
        """
        raise NotImplementedError(f"{type(self).__name__} draws no samples")

    # Exports and prediction.

    def metadata(self, loaded: LoadedModel, batch_size: int | None) -> ModelMetadata:
        """What an export of a model says about itself."""
        facts = export_facts(loaded, batch_size)
        return self.metadata_class(**facts, num_classes=loaded.config.num_classes)

    def results(self, outputs: list[tf.Tensor]) -> tf.Tensor:
        """What is served of the network's outputs, in operations that every runtime has."""
        return tf.cast(outputs[0], tf.float32)

    def serving(self, model: keras.Model, config: TrainingConfig, **options: Any) -> Serving:
        """Photos to results as one graph, for TensorFlow's formats."""
        return StretchedServing(model, config, self.results, self.metadata_class.result_name)

    def portable(
        self, model: keras.Model, config: TrainingConfig, metadata: ModelMetadata, nms: str
    ) -> tuple[Any, ModelMetadata]:
        """The part of a model that every runtime can run, for the portable formats.

        Args:
            model: The network.
            config: Its hyper-parameters.
            metadata: Of the model; its batch size is the function's.
            nms: Kind of suppression inside, see `tasks.detection.portable`; other tasks have none.

        Returns:
            A concrete function, and the metadata with what is particular to it.
        """
        serving = self.serving(model, config)
        return stretched_portable(serving, metadata.batch_size or 1), metadata

    def runner(self, network: PortableNetwork, metadata: ModelMetadata) -> RunPhotos:
        """What surrounds a portable file: photos resized for it, its outputs made results."""
        return StretchedRunner(network, metadata)

    def apply_settings(  # noqa: B027
        self, config: TrainingConfig, settings: InspectSettings
    ) -> None:
        """Sets hyper-parameters that settings stand for."""

    def serving_options(self, settings: InspectSettings) -> dict[str, Any]:
        """Arguments of `serving`, and facts of the metadata, that settings stand for."""
        return {}

    def export_checks(
        self, settings: InspectSettings, loaded: LoadedModel, photos: list[np.ndarray]
    ) -> ExportChecks:
        """Compares exports with the network."""
        return ExportChecks(settings, loaded, photos)

    def predictor(self, loaded: LoadedModel, settings: InspectSettings) -> Predictor:
        """A network in memory, to be called with photos."""
        return self.predictor_class.from_loaded(loaded)

    def export_predictor(
        self,
        run: RunPhotos,
        metadata: ModelMetadata | None,
        settings: InspectSettings,
        config: TrainingConfig,
    ) -> Predictor:
        """An exported model, to be called with photos.

        Args:
            run: The export.
            metadata: Of the export; None for a model of other makers.
            settings: Its `saved_model_dir` is where the export came from.
            config: Hyper-parameters that the user gave, such as `label_map`.
        """
        return self.predictor_class.from_run(run, metadata, settings.saved_model_dir)

    def baked(self, settings: InspectSettings, metadata: ModelMetadata) -> dict[str, Any]:
        """Settings that an export fixed, beside those of every task: name -> (asked, fixed)."""
        return {}
