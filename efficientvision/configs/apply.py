"""Applies overrides to a configuration: finds the field, checks the value."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any, TypeVar

from efficientvision.configs.field_types import checked
from efficientvision.configs.hyperparameter_lists import ALIASES, INVALID, OBSOLETE
from efficientvision.configs.overrides import RawText, parse_value
from efficientvision.errors import UserError
from efficientvision.registry import nearest_names

# As a value: what the model was published with, also where defaults come from the data.
PUBLISHED = "published"

# A configuration: `TrainingConfig`, or a group of hyper-parameters within one.
Config = TypeVar("Config")


def with_values(config: Config, values: dict[str, Any]) -> Config:
    """Gives a fresh configuration the published values of its model, and returns it."""
    for name, value in values.items():
        setattr(config, name, converted(config, name, value))
    return config


def field_table(config: Any) -> dict[str, dataclasses.Field]:
    """The hyper-parameters of a configuration or of its `nms_configs`, by name."""
    return {field.name: field for field in dataclasses.fields(config) if field.name[0] != "_"}


def converted(config: Any, name: str, value: Any, prefix: str = "") -> Any:
    """Converts a value to the type that the field of that name stores.

    Raises:
        UserError: The value has the wrong type or is out of range.
    """
    field_type = field_table(config)[name].metadata["field_type"]
    if isinstance(value, RawText):
        quoted = value[:1] in ("'", '"')
        parsed = parse_value(value)
        value = (
            str(value) if field_type.keeps_text and parsed is not None and not quoted else parsed
        )
    return checked(prefix + name, value, field_type)


def apply_change(
    config: Any, name: str, value: Any, notes: list[str], *, written: bool = True
) -> None:
    """Sets one hyper-parameter by any of its names.

    Args:
        config: A `TrainingConfig`, changed in place.
        name: The name as the user wrote it.
        value: Plain value, `RawText`, or a dictionary for `nms_configs`.
        notes: Receives a sentence for each obsolete name.
        written: Whether the user set it by name (`TrainingConfig.is_written`).

    Raises:
        UserError: The name is unknown or unavailable, or the value is bad.
    """
    written_name = config.aliases.get(name, name)
    known = known_name(written_name, value, field_table(config), notes)
    if known is None or config.apply_special(known, value, notes):
        return
    name = known
    if name == "name":
        if value != config.name:
            raise UserError(
                f"The overrides are for the model {str(value)!r}, but the requested model is "
                f"{config.name!r}; use the same name in both."
            )
    else:
        takes_mapping = field_table(config)[name].metadata["field_type"].takes_mapping
        if isinstance(value, dict) and not takes_mapping:
            raise UserError(
                f"Hyper-parameter {name} has no sub-parameter {next(iter(value), '')!r}."
            )
        if not _asks_for_published(config, name, value):
            setattr(config, name, converted(config, name, value))
        config._explicit.add(name)
        (config._written.add if written else config._written.discard)(name)


def _asks_for_published(config: Any, name: str, value: Any) -> bool:
    """Whether a value is the word `published`, which keeps the value of the model's own recipe."""
    field_type = field_table(config)[name].metadata["field_type"]
    return isinstance(value, str) and value == PUBLISHED and not field_type.keeps_text


def known_name(name: str, value: Any, fields: Collection[str], notes: list[str]) -> str | None:
    """Resolves a name to a field, or to None if there is nothing to set.

    Args:
        name: The name as the user wrote it, dots included.
        value: The value to set it to.
        fields: The valid names.
        notes: Receives a sentence for an obsolete name.

    Raises:
        UserError: The name is unknown or unavailable.
    """
    name = ALIASES.get(name, name)
    if name in fields:
        return name
    if name in OBSOLETE:
        notes.append(f"Hyper-parameter {name} has no effect: {OBSOLETE[name]}.")
        return None
    if name in INVALID:
        plain = parse_value(value) if isinstance(value, RawText) else value
        if plain in INVALID[name].neutral:
            return None
        raise UserError(f"Hyper-parameter {name}={plain} is not supported: {INVALID[name].reason}.")
    hint = nearest_names(name, [*fields, *ALIASES])
    raise UserError(f"Unknown hyper-parameter {name!r}. {hint}")
