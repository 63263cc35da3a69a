"""Boxes in YOLO's format or in CSV files to records, by the flags of the converters."""

from __future__ import annotations

from collections.abc import Callable

from absl import flags

from efficientvision.cli.console import say
from efficientvision.cli.convert.common import define_common_flags
from efficientvision.cli.tensorflow_start import load_tensorflow_quietly
from efficientvision.data.conversion import ConversionReport
from efficientvision.errors import UserError


def define_flags(file: str) -> None:
    """Declares the flags.

    Args:
        file: The file that may be named instead of the folder, such as "its data.yaml".
    """
    flags.DEFINE_string("data_dir", "", f"folder of the data set, or path of {file}")
    flags.DEFINE_string("output_dir", "", "folder to write the records to")
    flags.DEFINE_bool("background", False, "keep photos without labels as backgrounds")
    flags.DEFINE_integer("num_shards", 32, "files per part (never more than there are images)")
    define_common_flags()


def run(values: flags.FlagValues, convert: Callable[..., list[ConversionReport]]) -> None:
    """Converts the data set that the flags name.

    Args:
        values: The flags.
        convert: `convert` of `data/sources/yolo.py` or `csv_boxes.py`.

    Raises:
        UserError: A flag is missing, or the data cannot be used.
    """
    for name in ("data_dir", "output_dir"):
        if not values[name].value:
            raise UserError(f"--{name} is missing; see --help for an example.")
    load_tensorflow_quietly()
    reports = convert(
        values.data_dir,
        values.output_dir,
        val_fraction=values.val_fraction,
        split_seed=values.split_seed,
        background=values.background,
        skip_bad=values.skip_bad,
        max_pixels=values.max_pixels or None,
        num_shards=values.num_shards,
        num_workers=values.num_threads,
    )
    for report in reports:
        say(report)
