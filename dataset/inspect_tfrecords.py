"""Looks into TFRecords before training: a report, and pictures of what the network will see.

  PYTHONPATH=".:$PYTHONPATH" python dataset/inspect_tfrecords.py \\
      --file_pattern='tfrecord/train-*.tfrecord' --model_name=efficientdet-d0 \\
      --hparams="num_classes=3" --save_samples_dir=/tmp/samples

Prints  counts, image and box sizes, classes, and problems: empty images, degenerate or outside
        boxes, unknown classes, repeated image ids, damaged images.
Writes  <save_samples_dir>/sample0.jpg ..., images with their boxes after the training
        augmentation (--eval: without it), and contact_sheet.jpg with all of them.
"""

import os

from absl import flags

from efficientvision.cli import run_main

flags.DEFINE_string("save_samples_dir", "tfrecord_samples", "folder for the pictures")
flags.DEFINE_string("model_name", "efficientdet-d0", "model, for the size of its input")
flags.DEFINE_string("hparams", "", 'hyper-parameters, "num_classes=20,image_size=640", or a .yaml')
flags.DEFINE_integer("samples", 10, "pictures to write, of images that have boxes")
flags.DEFINE_string("file_pattern", None, "glob of the TFRecords")
flags.DEFINE_bool("eval", False, "show images as in evaluation, without augmentation")
FLAGS = flags.FLAGS


def sample_pictures(config, labels) -> list:
    """Draws the first samples that have boxes, as they come out of the input pipeline."""
    import numpy as np

    from efficientvision.data.checks import iterate
    from efficientvision.data.pipeline import detection_dataset
    from efficientvision.tasks.detection import training_augmentation
    from efficientvision.visualize.draw import draw_detections

    dataset = detection_dataset(
        FLAGS.file_pattern,
        image_hw=config.image_hw,
        batch_size=1,
        training=not FLAGS.eval,
        max_instances_per_image=config.max_instances_per_image,
        augmentation=training_augmentation(config),
        skip_crowd_during_training=config.skip_crowd_during_training,
        num_epochs=1,
    )
    pictures = []
    for batch in iterate(dataset, FLAGS.file_pattern):
        classes = batch["gt_classes"][0].numpy()
        if len(pictures) == FLAGS.samples:
            break
        if (classes < 0).all():
            continue
        image = np.clip(np.round(batch["images"][0].numpy()), 0, 255).astype(np.uint8)
        boxes = batch["gt_boxes_yxyx"][0].numpy()[classes >= 0]
        pictures.append(
            draw_detections(image, boxes, classes[classes >= 0], names=labels, max_boxes_to_draw=0)
        )
    return pictures


def main(_: list[str]) -> None:
    from efficientvision.configs import get_config
    from efficientvision.data.inspection import inspect_records
    from efficientvision.data.labels import find_labels, resolve_label_map
    from efficientvision.errors import UserError
    from efficientvision.visualize.draw import contact_sheet

    if not FLAGS.file_pattern:
        raise UserError("--file_pattern is missing; see --help for an example.")
    config = get_config(FLAGS.model_name, FLAGS.hparams)
    labels = resolve_label_map(config.label_map) or find_labels(FLAGS.file_pattern) or {}
    report = inspect_records(
        FLAGS.file_pattern,
        labels=labels,
        num_classes=config.num_classes,
        max_instances_per_image=config.max_instances_per_image,
    )
    print(report)
    pictures = sample_pictures(config, labels)
    if not pictures:
        print("No image has boxes: no pictures written.")
        return
    os.makedirs(FLAGS.save_samples_dir, exist_ok=True)
    for index, picture in enumerate(pictures):
        picture.save(os.path.join(FLAGS.save_samples_dir, f"sample{index}.jpg"))
    sheet = os.path.join(FLAGS.save_samples_dir, "contact_sheet.jpg")
    contact_sheet(pictures).save(sheet)
    print(f"{len(pictures)} pictures and {sheet}")


if __name__ == "__main__":
    run_main(main)
