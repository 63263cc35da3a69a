"""The page of all hyper-parameters, from the fields of the configurations."""

import dataclasses
from collections.abc import Iterable

from docs.generate.markdown import table, value
from efficientvision.configs.apply import field_table
from efficientvision.configs.hyperparameter_lists import ALIASES, INVALID, OBSOLETE
from efficientvision.configs.training import TrainingConfig
from efficientvision.registry import list_models
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.classification.config import ClassificationConfig
from efficientvision.tasks.detection.base_config import DetectionConfig, NmsConfig
from efficientvision.tasks.detection.efficientdet_config import EfficientDetConfig
from efficientvision.tasks.detection.ssd_config import SsdConfig
from efficientvision.tasks.segmentation.config import SegmentationConfig

_INTRODUCTION = """# Hyper-parameters

Generated from the code by `make docs`. Set them with `--hparams=name=value,...`, in a YAML file, as
flags of `efficientvision train`, or as keyword arguments in Python; see
[Hyper-parameters](../training.md#hyper-parameters). A name or value that is not valid is an error
that suggests the nearest valid one.

"""

# Heading, class, the class whose fields it adds to, and a sentence.
KINDS: tuple[tuple[str, type, type | None, str], ...] = (
    ("All tasks", TrainingConfig, None, "A task may have other defaults, which its table lists."),
    ("Detection: EfficientDet and SSD", DetectionConfig, TrainingConfig, ""),
    ("Detection: non-maximum suppression", NmsConfig, None, "Written as `nms_configs.NAME`."),
    ("EfficientDet", EfficientDetConfig, DetectionConfig, ""),
    ("SSD", SsdConfig, DetectionConfig, ""),
    ("Classification", ClassificationConfig, TrainingConfig, ""),
    ("Segmentation", SegmentationConfig, TrainingConfig, ""),
)
# Kind of model -> task of its configuration.
_MODELS = {"detection": "Detection", "classification": "Classification"}


def page() -> str:
    """Returns the text of the page."""
    chapters = [
        "\n\n".join([f"## {title}", *([sentence] if sentence else []), _table(cls, base)])
        for title, cls, base, sentence in KINDS
    ]
    return _INTRODUCTION + "\n".join([*chapters, _by_model(), _others()])


def added_fields(cls: type, base: type | None) -> dict[str, dataclasses.Field]:
    """The fields of a configuration that its base lacks, or has with another default or text."""
    before = field_table(base) if base else {}
    return {
        name: field
        for name, field in field_table(cls).items()
        if name not in ("name", "task")
        and "doc" in field.metadata
        and (name not in before or _facts(field) != _facts(before[name]))
    }


def _facts(field: dataclasses.Field) -> tuple:
    return field.default, field.metadata.get("doc")


def _table(cls: type, base: type | None) -> str:
    lines = [
        [
            f"`{name}`",
            value(field.default),
            field.metadata["field_type"].expects,
            field.metadata["doc"],
        ]
        for name, field in added_fields(cls, base).items()
    ]
    return table(["name", "default", "values", "meaning and unit"], lines)


def _by_model() -> str:
    """Values of single models that differ from the default of their kind."""
    parts = ["## Defaults of single models\n"]
    for task, title in _MODELS.items():
        lines = [line for model in list_models(task) if (line := _differences(model, task))]
        parts.append(f"### {title}: models\n\n{table(['model', 'differs in'], lines)}")
    return "\n".join(parts)


def _differences(model: str, task: str) -> list[str] | None:
    config = get_config(model, task=task)
    plain = type(config)()
    different = {
        name: getattr(config, name)
        for name, field in field_table(config).items()
        if name != "name" and "doc" in field.metadata
        if getattr(config, name) != getattr(plain, name)
    }
    return [f"`{model}`", _settings(different.items())] if different else None


def _settings(items: Iterable[tuple]) -> str:
    return ", ".join(f"{name} {value(setting)}" for name, setting in items)


def _others() -> str:
    """The names of the published code that are accepted or rejected."""
    aliases = [[f"`{name}`", f"`{meaning}`"] for name, meaning in ALIASES.items()]
    obsolete = [[f"`{name}`", reason] for name, reason in OBSOLETE.items()]
    refused = [
        [f"`{name}`", ", ".join(value(v) for v in entry.neutral), entry.reason]
        for name, entry in INVALID.items()
    ]
    return (
        "## Names of the published code\n\n"
        "Other names for the same hyper-parameter:\n\n"
        + table(["name", "here"], aliases)
        + "\nAccepted without effect; a message says why:\n\n"
        + table(["name", "reason"], obsolete)
        + "\nNot available, an error unless the value changes nothing:\n\n"
        + table(["name", "accepted values", "reason"], refused)
    )
