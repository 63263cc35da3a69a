"""A task's part of the defaults that are derived from the data; see `runs.data_defaults`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from efficientvision.configs import TrainingConfig
from efficientvision.configs.run_options import RunOptions
from efficientvision.data.record_files import num_records
from efficientvision.preflight.record_scan import RecordScan
from efficientvision.tasks.default_values import (
    CHECKPOINT,
    Choice,
    DataFacts,
    Machine,
    Transfer,
)
from efficientvision.tasks.memory_use import training_bytes


class DataDefaults:
    """Defaults from the data for one task. The methods here suit records of any kind.

    Attributes:
        published_recipe: Name of the recipe with the published hyper-parameters; may be empty.
        adam_rate: Learning rate for Adam from random weights, and its batch size. None: nobody
            has measured one, so length and recipe of a run stay those of its configuration.
        transfer: What a short run starts from -> how it trains those weights.
    """

    published_recipe: ClassVar[str] = ""
    adam_rate: ClassVar[tuple[float, int] | None] = None
    transfer: ClassVar[Mapping[str, Transfer]] = {CHECKPOINT: Transfer(rate=0.25)}

    def num_classes(self, names: Mapping[int, str]) -> int:
        """Returns the hyper-parameter `num_classes` for the class names of records."""
        return max(names)

    def facts(self, options: RunOptions, config: TrainingConfig) -> DataFacts:
        """Reads the facts on the training records."""
        return DataFacts(num_records(options.train_file_pattern or "") or 1)

    def input_choices(
        self,
        facts: DataFacts,
        config: TrainingConfig,
        names: Mapping[int, str],
        machine: Machine,
        start: str,
    ) -> list[Choice]:
        """Chooses the input size and what else does not depend on the length of the run.

        Args:
            facts: The training data.
            config: Hyper-parameters so far.
            names: Class id -> name.
            machine: Devices of the run.
            start: What the run starts from, see `default_values.passes_needed`.
        """
        return []

    def learning_choices(
        self, facts: DataFacts, config: TrainingConfig, steps: int, start: str
    ) -> list[Choice]:
        """Chooses anchors, augmentation and loss, once input size and length are decided.

        Args:
            facts: The training data.
            config: Hyper-parameters so far.
            steps: Length of the run.
            start: As in `input_choices`.
        """
        return []

    def image_bytes(self, config: TrainingConfig) -> float:
        """Estimates the memory that training needs for each image of a batch; 0: unknown."""
        return training_bytes(config)


def scan_facts(scan: RecordScan) -> DataFacts:
    """Returns the facts on scanned training records with boxes."""
    return DataFacts(
        scan.num_records,
        scan.image_hw,
        scan.boxes_normalized_yxyx,
        scan.classes,
        scan.image_of,
        int(scan.classes.max()) if scan.complete and len(scan.classes) else None,
    )
