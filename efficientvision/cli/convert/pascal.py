"""Converts PASCAL VOC, or your own data in its format, to TFRecords.

  python dataset/create_pascal_tfrecord.py \\
      --data_dir=VOCdevkit --year=VOC2012 --set=train --output_path=tfrecord/pascal

Reads   <data_dir>/<year>/Annotations/*.xml, JPEGImages/* (JPEG or PNG) and the list of images
        ImageSets/Main/<set>.txt, or if that is missing all of ImageSets/Main/*_<set>.txt.
Writes  <output_path>-00000-of-00100.tfrecord ...
        json_<name>.json beside them: the ground truth in COCO format (--val_json_file of main.py)
        labels.json beside them: the class names

        A folder of photos and XML files, as LabelImg leaves it, works too, and so do images/ and
        annotations/ (or annots/, labels/, xml/): --data_dir=DIR --year=.
        (without image lists everything is converted, whatever --set says; --val_fraction holds out
        a share).
An XML file belongs to the photo of the same name, or if there is none to the one in its <filename>.
Every photo is decoded and stored upright with 8 bits a channel. Boxes are scaled to it from the
size that the XML states, and clipped to it. Everything changed or left out is counted.
Classes are VOC's 1..20 if every name in the annotations is VOC's; otherwise the names found in the
annotations, numbered from 1 in alphabetical order; or those of --label_map_json_path.

Without the repository: efficientvision convert pascal with the same options.
"""

from __future__ import annotations

from absl import flags

from efficientvision.cli.console import say
from efficientvision.cli.convert.common import define_common_flags
from efficientvision.cli.tensorflow_start import load_tensorflow_quietly
from efficientvision.data import pascal
from efficientvision.errors import UserError


def define_flags() -> None:
    """Declares the flags."""
    flags.DEFINE_string("data_dir", "", "folder that contains the year's folder, such as VOCdevkit")
    flags.DEFINE_string("set", "train", "image list: train, val, trainval, test or one of your own")
    flags.DEFINE_string("annotations_dir", "Annotations", "XML folder inside the year's folder")
    flags.DEFINE_string(
        "year", "VOC2007", "folder in --data_dir; merged: VOC2007 and VOC2012 together"
    )
    flags.DEFINE_string("output_path", "", "path prefix of the files to write")
    flags.DEFINE_string(
        "label_map_json_path",
        None,
        'JSON file with the class ids, {"name": 1, ...} or {"1": "name"}',
    )
    flags.DEFINE_bool("ignore_difficult_instances", False, "leave out objects marked difficult")
    flags.DEFINE_integer("num_shards", 100, "files to write (never more than there are images)")
    flags.DEFINE_integer("num_images", None, "convert only the first images, this many")
    define_common_flags()


def run(values: flags.FlagValues) -> None:
    """Converts what the flags name.

    Raises:
        UserError: A flag is missing, or the data cannot be used.
    """
    for name in ("data_dir", "output_path"):
        if not values[name].value:
            raise UserError(f"--{name} is missing; see --help for an example.")
    load_tensorflow_quietly()
    reports = pascal.convert(
        values.data_dir,
        values.year,
        values.set,
        values.output_path,
        annotations_dir=values.annotations_dir,
        label_map_json_path=values.label_map_json_path,
        ignore_difficult=values.ignore_difficult_instances,
        skip_bad=values.skip_bad,
        max_pixels=values.max_pixels or None,
        val_fraction=values.val_fraction,
        split_seed=values.split_seed,
        num_shards=values.num_shards,
        num_images=values.num_images,
        num_workers=values.num_threads,
    )
    for report in reports:
        say(report)
