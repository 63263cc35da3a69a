"""Converts class folders, or a list of labelled images, to TFRecords.

  python dataset/create_imagenet_tfrecord.py \\
      --data_dir=imagenet --output_dir=imagenet/tfrecord

Reads   <data_dir>/train/<class>/* and <data_dir>/val/<class>/* (also Training, valid, test ...); or
        <data_dir>/<class>/* with --val_fraction=0.2, the share to hold out; or --csv_file, lines of
        path,label (multi-label: labels separated by ;), and --val_csv_file or --val_fraction.
Writes  <output_dir>/train-00000-of-00032.tfrecord ..., val-..., test-...
        labels.json beside them: the class names
Every photo is decoded and stored upright with 8 bits a channel. Everything changed or left out is
counted.
Classes are the folder names, sorted and numbered from 1, in the order of torchvision's ImageFolder;
or those of --label_map_json_path.

Without the repository: efficientvision convert imagenet with the same options.
"""

from __future__ import annotations

from absl import flags

from efficientvision.cli.console import say
from efficientvision.cli.tensorflow_start import load_tensorflow_quietly
from efficientvision.data import image_folders
from efficientvision.data.image_folders import Split
from efficientvision.data.photos import MAX_PIXELS
from efficientvision.data.picture_folders import LeftOut
from efficientvision.errors import UserError


def define_flags() -> None:
    """Declares the flags."""
    flags.DEFINE_string("data_dir", "", "folder of the images")
    flags.DEFINE_string(
        "csv_file", "", "list of path,label lines; paths are relative to --data_dir"
    )
    flags.DEFINE_string("val_csv_file", "", "the same for the evaluation images")
    flags.DEFINE_float(
        "val_fraction", None, "share (0..1) of each class's images to hold out as val"
    )
    flags.DEFINE_integer("split_seed", 0, "random seed of the held-out part")
    flags.DEFINE_string("output_dir", "", "folder to write the records to")
    flags.DEFINE_string(
        "label_map_json_path",
        None,
        'JSON file with the class ids, {"name": 1, ...} or {"1": "name"}',
    )
    flags.DEFINE_integer("num_shards", 32, "files per part (never more than there are images)")
    flags.DEFINE_bool(
        "skip_bad", False, "skip images that cannot be used; they are counted and listed"
    )
    flags.DEFINE_integer("max_pixels", MAX_PIXELS, "reject photos with more pixels (0 = no limit)")
    flags.DEFINE_integer("num_threads", None, "parallel processes; by default one per core")


def _read_images(values: flags.FlagValues) -> tuple[Split, LeftOut]:
    """Returns the images that the flags select, by part, and what was left out."""
    left_out = LeftOut()
    if values.csv_file:
        folder = values.data_dir or None
        parts = {"train": image_folders.read_csv(values.csv_file, folder)}
        if values.val_csv_file:
            parts["val"] = image_folders.read_csv(values.val_csv_file, folder)
    elif values.val_csv_file:
        raise UserError("--val_csv_file needs --csv_file, the list of the training images.")
    elif values.data_dir:
        found = image_folders.find_images(values.data_dir)
        parts, left_out = found.parts, found.left_out
    else:
        raise UserError("--data_dir or --csv_file is missing; see --help for an example.")
    if values.val_fraction is not None:
        if parts.get("val"):
            raise UserError("--val_fraction creates a val part, but the data already has one.")
        if not parts.get("train"):
            raise UserError("--val_fraction needs a train part to split, but there is none.")
        parts |= image_folders.split(parts["train"], values.val_fraction, values.split_seed)
    return parts, left_out


def run(values: flags.FlagValues) -> None:
    """Converts the class folders or lists that the flags name.

    Raises:
        UserError: The flags name no source or exclude each other, or the data cannot be used.
    """
    if not values.output_dir:
        raise UserError("--output_dir is missing; see --help for an example.")
    parts, left_out = _read_images(values)
    load_tensorflow_quietly()
    reports = image_folders.convert(
        parts,
        values.output_dir,
        label_map_file=values.label_map_json_path,
        left_out=left_out,
        skip_bad=values.skip_bad,
        max_pixels=values.max_pixels or None,
        num_shards=values.num_shards,
        num_workers=values.num_threads,
    )
    for report in reports:
        say(report)
    if not parts.get("val"):
        print("There is no val part to evaluate on; --val_fraction=0.1 would hold out a tenth.")
