"""Converts a data set labelled in YOLO's format to TFRecords.

  python dataset/create_yolo_tfrecord.py \\
      --data_dir=cells --output_dir=cells/tfrecord

Reads   <data_dir>/data.yaml (train, val, names), or any file of this kind as --data_dir; darknet's
        obj.data; or images/ and labels/, with or without train/ and val/ in them or around them; or
        label files beside the photos, with classes.txt. Without photos for validation,
        --val_fraction=0.1 holds out a tenth.
Writes  <output_dir>/train-00000-of-00032.tfrecord ..., val-..., test-...
        json_val.json beside them: the ground truth in COCO format (--val_json_file of main.py)
        labels.json beside them: the class names
Lines are `class cx cy w h`, fractions of the upright photo; outlines (segments, rotated boxes)
become the boxes around them. Class ids, from 0 in the labels, count from 1 in the records.
Every photo is decoded and stored upright with 8 bits a channel, and boxes are clipped to it.
Everything changed or left out is counted: photos without a label file, unless --background keeps
them; label files without a photo; repeated and empty boxes.

Without the repository: efficientvision convert yolo with the same options.
"""

from __future__ import annotations

from absl import flags

from efficientvision.cli.convert import boxes
from efficientvision.data.sources import yolo as source


def define_flags() -> None:
    """Declares the flags."""
    boxes.define_flags("its data.yaml")


def run(values: flags.FlagValues) -> None:
    """Converts what the flags name.

    Raises:
        UserError: A flag is missing, or the data cannot be used.
    """
    boxes.run(values, source.convert)
