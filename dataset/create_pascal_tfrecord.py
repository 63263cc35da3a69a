"""Converts a PASCAL VOC data set, or your own in its format, to TFRecords.

  PYTHONPATH=".:$PYTHONPATH" python dataset/create_pascal_tfrecord.py \\
      --data_dir=VOCdevkit --year=VOC2012 --set=train --output_path=tfrecord/pascal

Reads   <data_dir>/<year>/Annotations/*.xml, JPEGImages/* (JPEG or PNG) and the list of images
        ImageSets/Main/<set>.txt, or else all of ImageSets/Main/*_<set>.txt together.
Writes  <output_path>-00000-of-00100.tfrecord ...
        json_<name>.json beside them: the ground truth in COCO format (--val_json_file of main.py)
        labels.json beside them: the class names

        A folder of photos and XML files, as LabelImg leaves it, will do: --data_dir=DIR --year=.
        (without lists all of it is taken, whatever --set says; --val_fraction holds out a share).
The photo of an XML file is the one of its name, else the one that its <filename> names.
Every photo is decoded and stored the right way up with 8 bits a channel; boxes follow the size that
the XML states, and are cut at its edge. Whatever is changed or left out is counted.
Classes are VOC's 1..20 if all names of the annotations are VOC's; otherwise the names found in the
annotations, numbered from 1 in alphabetical order; or what --label_map_json_path says.
"""

from absl import flags

from efficientvision.cli import run_main
from efficientvision.cli.console import say
from efficientvision.cli.tensorflow_start import load_tensorflow_quietly
from efficientvision.data.photos import MAX_PIXELS

flags.DEFINE_string("data_dir", "", "folder that holds the year's folder, such as VOCdevkit")
flags.DEFINE_string("set", "train", "list of images: train, val, trainval, test or one of your own")
flags.DEFINE_string("annotations_dir", "Annotations", "folder of the XML files inside the year's")
flags.DEFINE_string("year", "VOC2007", "folder in --data_dir; merged: VOC2007 and VOC2012 together")
flags.DEFINE_string("output_path", "", "path prefix of the files to write")
flags.DEFINE_string(
    "label_map_json_path", None, 'JSON file with the class ids, {"name": 1, ...} or {"1": "name"}'
)
flags.DEFINE_bool("ignore_difficult_instances", False, "leave out objects marked difficult")
flags.DEFINE_integer("num_shards", 100, "files to write (never more than there are images)")
flags.DEFINE_integer("num_images", None, "convert only the first so many images")
flags.DEFINE_bool("skip_bad", False, "leave out images that cannot be used, count and list them")
flags.DEFINE_float("val_fraction", None, "share (0..1) of the images to hold out as a val part")
flags.DEFINE_integer("split_seed", 0, "seed of what is held out")
flags.DEFINE_integer("max_pixels", MAX_PIXELS, "refuse larger photos; 0: no limit")
flags.DEFINE_integer("num_threads", None, "parallel processes; by default one per core")
FLAGS = flags.FLAGS


def main(_: list[str]) -> None:
    from efficientvision.data import pascal
    from efficientvision.errors import UserError

    for name in ("data_dir", "output_path"):
        if not FLAGS[name].value:
            raise UserError(f"--{name} is missing; see --help for an example.")
    load_tensorflow_quietly()
    reports = pascal.convert(
        FLAGS.data_dir,
        FLAGS.year,
        FLAGS.set,
        FLAGS.output_path,
        annotations_dir=FLAGS.annotations_dir,
        label_map_json_path=FLAGS.label_map_json_path,
        ignore_difficult=FLAGS.ignore_difficult_instances,
        skip_bad=FLAGS.skip_bad,
        max_pixels=FLAGS.max_pixels or None,
        val_fraction=FLAGS.val_fraction,
        split_seed=FLAGS.split_seed,
        num_shards=FLAGS.num_shards,
        num_images=FLAGS.num_images,
        num_workers=FLAGS.num_threads,
    )
    for report in reports:
        say(report)


if __name__ == "__main__":
    run_main(main)
