"""Converts images with COCO annotations to TFRecords.

  python dataset/create_coco_tfrecord.py \\
      --image_dir=train2017 --object_annotations_file=annotations/instances_train2017.json \\
      --output_file_prefix=tfrecord/train --num_shards=256

Test-dev, which has no annotations: --image_info_file=annotations/image_info_test-dev2017.json
Captions only: --caption_annotations_file=annotations/captions_val2017.json

Writes  <output_file_prefix>-00000-of-00256.tfrecord ...
        labels.json beside them: the class names, if there are instances
        json_<name>.json beside them: the ground truth of these records (--val_json_file of
        main.py), if boxes or class ids differ from those of the instances file
Labels are the raw category ids where these can be class ids; otherwise a table shows the new ids.
Crowd flags are kept. Every photo is decoded and stored upright with 8 bits a channel, and boxes are
clipped to it. Everything changed or left out is counted.

Without the repository: efficientvision convert coco with the same options.
"""

from __future__ import annotations

from absl import flags

from efficientvision.cli.console import say
from efficientvision.cli.convert.common import define_common_flags
from efficientvision.cli.tensorflow_start import load_tensorflow_quietly
from efficientvision.data import coco_format
from efficientvision.errors import UserError


def define_flags() -> None:
    """Declares the flags."""
    flags.DEFINE_bool("include_masks", False, "also store each object's mask, as PNG")
    flags.DEFINE_string("image_dir", "", "folder of the images")
    flags.DEFINE_string("image_info_file", "", "JSON file that lists the images (test-dev)")
    flags.DEFINE_string("object_annotations_file", "", "instances JSON file")
    flags.DEFINE_string("caption_annotations_file", "", "captions JSON file")
    flags.DEFINE_string("output_file_prefix", "/tmp/train", "path prefix of the files to write")
    flags.DEFINE_integer("num_shards", 32, "files to write (never more than there are images)")
    flags.DEFINE_bool("allow_outside", False, "accept image paths that lead out of --image_dir")
    define_common_flags()


def run(values: flags.FlagValues) -> None:
    """Converts what the flags name.

    Raises:
        UserError: A flag is missing, or the data cannot be used.
    """
    if not values.image_dir:
        raise UserError("--image_dir is missing; see --help for an example.")
    load_tensorflow_quietly()
    reports = coco_format.convert(
        values.image_dir,
        values.output_file_prefix,
        image_info_file=values.image_info_file,
        object_annotations_file=values.object_annotations_file,
        caption_annotations_file=values.caption_annotations_file,
        include_masks=values.include_masks,
        allow_outside=values.allow_outside,
        skip_bad=values.skip_bad,
        max_pixels=values.max_pixels or None,
        val_fraction=values.val_fraction,
        split_seed=values.split_seed,
        num_shards=values.num_shards,
        num_workers=values.num_threads,
    )
    for report in reports:
        say(report)
