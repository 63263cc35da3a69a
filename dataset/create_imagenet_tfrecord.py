"""Converts class folders, or a list of labelled images, to TFRecords.

  PYTHONPATH=".:$PYTHONPATH" python dataset/create_imagenet_tfrecord.py \\
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
"""

from absl import flags

from efficientvision.cli import run_main
from efficientvision.cli.convert import classes

classes.define_flags()
FLAGS = flags.FLAGS


def main(_: list[str]) -> None:
    classes.run(FLAGS)


if __name__ == "__main__":
    run_main(main)
