"""What a run of `main.py` asks of its task, beside `tasks.base.Task`: flags, data, checks."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping

from efficientvision.configs import TrainingConfig, read_yaml
from efficientvision.data.labels import find_labels, resolve_label_map
from efficientvision.data.preflight.findings import Finding
from efficientvision.data.record_files import count_records, match_files
from efficientvision.errors import UserError
from efficientvision.loading import LoadedModel
from efficientvision.registry import task_of
from efficientvision.runs.options import RunOptions
from efficientvision.tasks.base import Task
from efficientvision.weights.names import BACKBONE, name_from_keras_path, part_of


class TaskSetup(abc.ABC):
    """One kind of run: detection, classification, segmentation.

    Attributes:
        architecture: Hyper-parameters that a run's beginning decided, and its continuation keeps.
        takes_ground_truth_file: Whether an evaluation may have a ground truth beside its records.
        takes_class_folders: Whether its data are published as a folder of images for each class.
        of_masks: Whether every record must hold a mask.
    """

    architecture: tuple[str, ...]
    takes_ground_truth_file = False
    takes_class_folders = False
    of_masks = False

    def check_options(self, options: RunOptions) -> None:  # noqa: B027
        """Raises UserError for flags that the task does not have; opens no file."""

    def dataset_changes(self, options: RunOptions) -> dict | None:
        """The hyper-parameters that `--dataset` stands for; None: it is not given."""
        return None

    def check_config(  # noqa: B027
        self, options: RunOptions, config: TrainingConfig
    ) -> None:
        """Raises UserError for hyper-parameters that cannot be trained with."""

    def fit_to_checkpoint(self, config: TrainingConfig, ckpt: str) -> list[str]:
        """Takes from a checkpoint what the overrides left open; returns sentences that say so."""
        return []

    def fit_to_data(self, options: RunOptions, config: TrainingConfig | None) -> RunOptions:
        """Takes from the records what options and overrides left open.

        Args:
            options: of the run.
            config: changed in place; None: only the options are completed.

        Returns:
            The options, completed.
        """
        return options

    def class_names(self, config: TrainingConfig, *patterns: str | None) -> dict[int, str]:
        """Class number (1..K) of the network -> name, for the report and the run's folder."""
        return record_names(config, *patterns)

    def rate_factor(self, config: TrainingConfig) -> Callable[[str], float] | None:
        """Path of a variable -> by what its learning rate is multiplied; None: 1."""
        return None

    @abc.abstractmethod
    def build_task(
        self, options: RunOptions, config: TrainingConfig, names: Mapping[int, str]
    ) -> Task:
        """The task of the flags' data.

        In an evaluation it also holds the classes of the records against the network's; before
        training the preflight does that.
        """

    @abc.abstractmethod
    def check_classes(
        self, options: RunOptions, config: TrainingConfig, names: Mapping[int, str]
    ) -> None:
        """Raises UserError where the classes of the records do not fit the network."""

    @abc.abstractmethod
    def findings(
        self, options: RunOptions, config: TrainingConfig, names: Mapping[int, str]
    ) -> tuple[list[Finding], int]:
        """What the preflight finds in the data, and the number of training records."""

    @abc.abstractmethod
    def load(self, options: RunOptions) -> LoadedModel:
        """What `--model_dir` holds, for an evaluation; call it under the strategy's scope."""


def record_names(
    config: TrainingConfig, *patterns: str | None, of_masks: bool = False
) -> dict[int, str]:
    """Names by class id: those beside the records, else the configuration's `label_map`.

    A `label_map` that the user wrote comes first. One of a recipe does not: a recipe that was
    written for other data must not rename the classes of these.
    """
    named = resolve_label_map(config.label_map, of_masks=of_masks)
    if named and config.is_written("label_map"):
        return named
    for pattern in filter(None, patterns):
        if (own := find_labels(pattern, of_masks=of_masks)) is not None:
            return own
    return named or {}


def count_images(options: RunOptions, evaluation: str | None) -> RunOptions:
    """Options whose `num_examples_per_epoch` and `eval_samples`, if not given, mean all images.

    Args:
        options: `train_file_pattern` names the training records, unless it is an evaluation.
        evaluation: Pattern of the evaluation records; None: there are none.
    """
    training = None if options.mode == "eval" else options.train_file_pattern
    counts = {
        name: sum(count_records(match_files(pattern))) or 1
        for name, pattern in (("num_examples_per_epoch", training), ("eval_samples", evaluation))
        if pattern and name not in options.written
    }
    return options.replace(**counts)


def factor_beside_backbone(factor: float) -> Callable[[str], float] | None:
    """Path of a variable -> the factor, of the backbone's 1; None where it is 1 for all."""
    if factor == 1.0:
        return None
    return lambda path: 1.0 if part_of(name_from_keras_path(path)) == BACKBONE else factor


def check_freeze(config: TrainingConfig, what: str) -> None:
    """Raises UserError where `freeze` names more than the backbone."""
    if others := set(config.freeze) - {"backbone"}:
        raise UserError(
            f"freeze={'+'.join(config.freeze)}: {what} has no {sorted(others)[0]}; freeze=backbone "
            "keeps all but what stands on it."
        )


def model_and_task(options: RunOptions, config_file: str | None = None) -> tuple[str, str]:
    """The model of a run and its task: `--task`, else what a run's configuration says, else what
    the model's name says.

    Raises:
        UserError: The model or the file is unknown.
    """
    content = read_yaml(config_file) if config_file else {}
    name = content.get("name") or options.model_name
    return name, options.task or content.get("task") or task_of(name)
