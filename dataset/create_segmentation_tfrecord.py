"""Converts images with label maps to TFRecords for semantic segmentation.

  PYTHONPATH=".:$PYTHONPATH" python dataset/create_segmentation_tfrecord.py \\
      --images_dir=camvid/images --masks_dir=camvid/labels --ignore_label=11 \\
      --class_names=camvid/classes.txt --val_fraction=0.2 --output_dir=camvid/tfrecord

Reads one of
  --voc_dir=VOCdevkit/VOC2012       PASCAL VOC: SegmentationClass by ImageSets/Segmentation, or by
                                    list/train_aug.txt if that exists (the masks of SBD)
  --cityscapes_dir=cityscapes       leftImg8bit and gtFine (labelIds or labelTrainIds); --coarse
                                    for gtCoarse too
  --coco_images=train2017 --coco_annotations=instances_train2017.json
                                    COCO's objects as VOC's 21 classes
  --images_dir=a --masks_dir=b      images and masks of the same names, directly or in train/, val/
                                    and test/ (also training, valid ...); both may be one folder
  --list_file=train.txt             lines of: image, mask
Writes  <output_dir>/train-00000-of-00032.tfrecord ..., val-...; coarse-..., coco_train2017-...
        labels.json beside them: the class names, from 0
Masks are PNGs with one channel or a palette whose values are the classes from 0; or, with
--palette, in colours or greys. 255 is ignored. Photos are stored upright with 8 bits a channel.
Everything is checked before anything is written, and everything changed or left out is counted.
"""

from absl import flags

from efficientvision.cli import run_main
from efficientvision.cli.convert import masks

masks.define_flags()
FLAGS = flags.FLAGS


def main(_: list[str]) -> None:
    masks.run(FLAGS)


if __name__ == "__main__":
    run_main(main)
