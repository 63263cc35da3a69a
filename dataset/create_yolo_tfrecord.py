"""Converts a data set labelled in YOLO's format to TFRecords.

  PYTHONPATH=".:$PYTHONPATH" python dataset/create_yolo_tfrecord.py \\
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
"""

from absl import flags

from efficientvision.cli import run_main
from efficientvision.cli.console import say
from efficientvision.cli.tensorflow_start import load_tensorflow_quietly
from efficientvision.data.photos import MAX_PIXELS

flags.DEFINE_string("data_dir", "", "folder of the data set, or path of its data.yaml")
flags.DEFINE_string("output_dir", "", "folder to write the records to")
flags.DEFINE_bool("background", False, "keep photos without labels as backgrounds")
flags.DEFINE_float("val_fraction", None, "share (0..1) of the images to hold out as a val part")
flags.DEFINE_integer("split_seed", 0, "random seed of the held-out part")
flags.DEFINE_integer("num_shards", 32, "files per part (never more than there are images)")
flags.DEFINE_bool("skip_bad", False, "skip images that cannot be used; they are counted and listed")
flags.DEFINE_integer("max_pixels", MAX_PIXELS, "reject photos with more pixels (0 = no limit)")
flags.DEFINE_integer("num_threads", None, "parallel processes; by default one per core")
FLAGS = flags.FLAGS


def main(_: list[str]) -> None:
    from efficientvision.data.sources import yolo
    from efficientvision.errors import UserError

    for name in ("data_dir", "output_dir"):
        if not FLAGS[name].value:
            raise UserError(f"--{name} is missing; see --help for an example.")
    load_tensorflow_quietly()
    reports = yolo.convert(
        FLAGS.data_dir,
        FLAGS.output_dir,
        val_fraction=FLAGS.val_fraction,
        split_seed=FLAGS.split_seed,
        background=FLAGS.background,
        skip_bad=FLAGS.skip_bad,
        max_pixels=FLAGS.max_pixels or None,
        num_shards=FLAGS.num_shards,
        num_workers=FLAGS.num_threads,
    )
    for report in reports:
        say(report)


if __name__ == "__main__":
    run_main(main)
