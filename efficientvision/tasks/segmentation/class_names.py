"""The classes of the evaluated records against the network's."""

from __future__ import annotations

from collections.abc import Mapping

from efficientvision.configs.run_options import RunOptions
from efficientvision.data.labels import find_labels
from efficientvision.errors import UserError
from efficientvision.preflight.findings import ERROR, Finding
from efficientvision.tasks.segmentation.config import SegmentationConfig
from efficientvision.tasks.segmentation.palettes import same_classes
from efficientvision.tasks.segmentation.training_task import all_names


def name_findings(options: RunOptions, names: Mapping[int, str]) -> list[Finding]:
    """An error where the evaluation records of a training have other classes than the network."""
    own = options.val_file_pattern and find_labels(options.val_file_pattern, of_masks=True)
    if not own or not names or same_classes(own, names):
        return []
    found = f"the evaluation records have the classes {_some(own)}, and training {_some(names)}"
    advice = (
        "number the classes of both sets alike, and convert them again (class_map is for "
        "`mode=eval`)"
    )
    return [Finding(ERROR, "val class names", found, advice)]


def evaluation_names(
    config: SegmentationConfig, names: Mapping[int, str], pattern: str
) -> dict[int, str]:
    """The classes of the records that are measured.

    Those of the `labels.json` beside them; else those that `class_map` names, or the network's.

    Args:
        config: Of the network.
        names: Class (from 0) of the network -> name; may be empty.
        pattern: Of the records.

    Raises:
        UserError: The classes are others than the network's, and no `class_map` says which is
            which; or it names classes that one side does not have.
    """
    own = find_labels(pattern, of_masks=True)
    pairs = config.class_map
    if pairs is None:
        if own and names and not same_classes(own, names):
            raise UserError(
                f"The records {pattern} have the classes {_some(own)}, and the network has "
                f"{_some(names)}: say which is which with class_map={{class of the network: class "
                "of the records}, as in hparams/camvid_from_cityscapes.yaml."
            )
        return all_names(own or names, max(own) + 1 if own else config.num_classes)
    if (most := max(pairs)) >= config.num_classes:
        raise UserError(
            f"class_map names class {most} of the network, which has 0 to {config.num_classes - 1}."
        )
    count = max(own) + 1 if own else max(pairs.values()) + 1
    if (most := max(pairs.values())) >= count:
        raise UserError(f"class_map names class {most} of records with the classes {_some(own)}.")
    return all_names(own or {}, count)


def _some(names: Mapping[int, str]) -> str:
    shown = [f"{number} {names[number]}" for number in sorted(names)]
    return ", ".join(shown[:3]) + (f" ... {shown[-1]}" if len(shown) > 3 else "")
