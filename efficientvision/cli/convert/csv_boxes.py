"""Converts CSV files of boxes to TFRecords.

  python dataset/create_csv_tfrecord.py \\
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

Without the repository: efficientvision convert csv with the same options.
"""

from __future__ import annotations

from absl import flags

from efficientvision.cli.convert import boxes
from efficientvision.data.sources import csv_boxes as source


def define_flags() -> None:
    """Declares the flags."""
    boxes.define_flags("a CSV file")


def run(values: flags.FlagValues) -> None:
    """Converts what the flags name.

    Raises:
        UserError: A flag is missing, or the data cannot be used.
    """
    boxes.run(values, source.convert)
