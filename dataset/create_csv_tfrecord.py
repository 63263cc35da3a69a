"""Converts CSV files of boxes to TFRecords.

  PYTHONPATH=".:$PYTHONPATH" python dataset/create_csv_tfrecord.py \\
      --data_dir=cells --output_dir=cells/tfrecord

Reads   <data_dir>/*.csv, or those in train/, valid/ and test/, or one file as --data_dir; names
        such as train.csv and val_labels.csv, or a column `split`, name the parts. Otherwise
        --val_fraction=0.1 holds out a tenth. One row per box; the heading tells the order:
        path,xmin,ymin,xmax,ymax,class; filename,width,height,class,xmin,ymin,xmax,ymax; x,y,width,
        height; OpenImages' ImageID,...,XMin,XMax,YMin,YMax. Without a heading: RetinaNet's
        path,x1,y1,x2,y2,class (path,,,,, is a background) and AutoML's set,path,label and corners.
        Beside them: classes.csv (name,id), class-descriptions*.csv (OpenImages' names).
Writes  <output_dir>/train-00000-of-00032.tfrecord ..., val-..., test-...
        json_val.json beside them: the ground truth in COCO format (--val_json_file of main.py)
        labels.json beside them: the class names
Photos are found relative to the list, in images/ beside it, or by the end of a path that does not
exist here. Classes are the names found, in alphabetical order from 1, or those of classes.csv.
Every photo is decoded and stored upright with 8 bits a channel, and boxes are clipped to it.
Everything changed or left out is counted.
"""

from absl import flags

from efficientvision.cli import run_main
from efficientvision.cli.console import say
from efficientvision.cli.tensorflow_start import load_tensorflow_quietly
from efficientvision.data.photos import MAX_PIXELS

flags.DEFINE_string("data_dir", "", "folder of the data set, or path of a CSV file")
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
    from efficientvision.data.sources import csv_boxes
    from efficientvision.errors import UserError

    for name in ("data_dir", "output_dir"):
        if not FLAGS[name].value:
            raise UserError(f"--{name} is missing; see --help for an example.")
    load_tensorflow_quietly()
    reports = csv_boxes.convert(
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
