"""The options of `ev.push`. Imports no TensorFlow, so that mistakes are reported at once."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from efficientvision.configs.run_options import (
    EXPORT_FORMATS,
    check_option,
    option,
    option_fields,
)
from efficientvision.errors import UserError
from efficientvision.registry import nearest_names

_LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]*")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PushOptions:
    """Options of a publication: what is uploaded, and how."""

    license: str | None = option(
        None,
        "licence of the weights, as the hub writes it: apache-2.0, cc-by-4.0, other; without it "
        "nobody else may use them",
    )
    datasets: str = option(
        "", "comma-separated names of the data sets on the hub that the model was trained on"
    )
    last: bool = option(False, "publish the latest checkpoint instead of the best one")
    formats: str = option(
        "",
        "comma-separated export formats to write, verify on the run's validation data and upload "
        "too, e.g. litert,onnx",
    )
    exports: str | None = option(None, "folder with exports of this model to upload too")
    pictures: bool = option(
        False,
        "also upload val_predictions.jpg and mistakes.jpg, which show photos of the validation "
        "data; by default no photo leaves this machine",
    )
    private: bool = option(False, "make the repository private")
    revision: str | None = option(
        None, "branch to upload to; it is created if needed (default: main)"
    )
    message: str | None = option(None, "commit message")
    dry_run: bool = option(False, "write the folder only, and upload nothing")
    folder: str | None = option(
        None, "folder to write the files to and keep; it must be new or empty"
    )

    @property
    def format_list(self) -> list[str]:
        """The names in `formats`."""
        return _names(self.formats)

    @property
    def dataset_list(self) -> list[str]:
        """The names in `datasets`."""
        return _names(self.datasets)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def push_options(values: Mapping[str, Any]) -> PushOptions:
    """Makes the options of keyword arguments.

    Raises:
        UserError: An option is unknown, of the wrong type or invalid, or two contradict.
    """
    fields = {field.name: field for field in option_fields(PushOptions)}
    for name, value in values.items():
        if name not in fields:
            raise UserError(f"Unknown option {name}. {nearest_names(name, list(fields))}")
        check_option(fields[name], value)
    options = PushOptions(**values)
    if options.license and not _LICENSE.fullmatch(options.license):
        raise UserError(
            f"`license={options.license}`: expected a name as the hub writes it, such as "
            "apache-2.0, cc-by-4.0 or other."
        )
    for name in options.format_list:
        if name not in EXPORT_FORMATS:
            raise UserError(f"`formats={name}`: unknown. {nearest_names(name, EXPORT_FORMATS)}")
    if options.formats and options.exports:
        raise UserError(
            "`formats` writes exports and `exports` names a folder of them: remove one of the two."
        )
    if options.dry_run and not options.folder:
        raise UserError("`dry_run` needs `folder`: the folder to write the files to.")
    return options
