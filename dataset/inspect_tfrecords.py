"""Checks TFRecords before training: prints a report and draws what the network will see.

  PYTHONPATH=".:$PYTHONPATH" python dataset/inspect_tfrecords.py \\
      --file_pattern='tfrecord/train-*.tfrecord' --model_name=efficientdet-d0 \\
      --hparams="num_classes=3" --save_samples_dir=/tmp/samples

Recognises records of objects, of images with classes and of masks by their features.
Prints  counts, image sizes, classes, and problems: damaged images, repeated image ids, unknown
        classes; degenerate or outside boxes; masks of another size than their image.
Writes  <save_samples_dir>/sample0.jpg ..., images with their boxes, class or mask after the
        training augmentation (--eval: without it), and contact_sheet.jpg with all of them.
"""

import itertools
import os

from absl import flags

from efficientvision import files
from efficientvision.cli import run_main
from efficientvision.cli.tensorflow_start import load_tensorflow_quietly

# Of what records are -> the task of their networks.
TASK_OF = {"boxes": "detection", "classes": "classification", "masks": "segmentation"}
# Task -> the model whose defaults serve where none is named.
MODELS = {
    "detection": "efficientdet-d0",
    "classification": "efficientnet-b0",
    "segmentation": "espnetv2_s_2.0",
}

flags.DEFINE_string("save_samples_dir", "tfrecord_samples", "folder for the pictures")
flags.DEFINE_string(
    "model_name",
    None,
    "model, for its input size; by default one of the records' task: " + ", ".join(MODELS.values()),
)
flags.DEFINE_string("hparams", "", 'hyper-parameters, "num_classes=20,image_size=640", or a .yaml')
flags.DEFINE_integer("samples", 10, "images to draw; with objects: images that have boxes")
flags.DEFINE_string("file_pattern", None, "glob of the TFRecords")
flags.DEFINE_bool("eval", False, "show images as in evaluation, without augmentation")
FLAGS = flags.FLAGS


def main(_: list[str]) -> None:
    from efficientvision.errors import UserError

    if not FLAGS.file_pattern:
        raise UserError("--file_pattern is missing; see --help for an example.")
    load_tensorflow_quietly()
    from efficientvision.data.inspection.boxes import BoxReport
    from efficientvision.data.inspection.classes import ClassReport
    from efficientvision.data.inspection.masks import MaskReport
    from efficientvision.data.inspection.report import inspect_records, record_kind
    from efficientvision.data.labels import find_labels, resolve_label_map
    from efficientvision.tasks.choice import get_config, task_of_config
    from efficientvision.visualize.draw import contact_sheet

    kind = TASK_OF[record_kind(FLAGS.file_pattern)]
    config = get_config(FLAGS.model_name or MODELS[kind], FLAGS.hparams, task=kind)
    of_masks = kind == "segmentation"
    labels = (
        resolve_label_map(config.label_map, of_masks=of_masks)
        or find_labels(FLAGS.file_pattern, of_masks=of_masks)
        or {}
    )
    if kind == "detection":
        report = BoxReport(
            labels,
            num_classes=config.num_classes,
            max_instances_per_image=config.max_instances_per_image,
        )
    else:
        report = MaskReport(labels) if of_masks else ClassReport(labels)
    print(f"records        {kind}")
    print(inspect_records(FLAGS.file_pattern, report))
    names = labels or {number: f"class {number}" for number in report.class_ids()}
    task = task_of_config(config)
    found = task.sample_pictures(FLAGS.file_pattern, config, names, training=not FLAGS.eval)
    pictures = list(itertools.islice(found, FLAGS.samples))
    if not pictures:
        print("No image has boxes, so no pictures were written.")
        return
    folder = files.as_text(FLAGS.save_samples_dir)
    os.makedirs(folder, exist_ok=True)
    for index, picture in enumerate(pictures):
        picture.save(os.path.join(folder, f"sample{index}.jpg"))
    sheet = os.path.join(folder, "contact_sheet.jpg")
    contact_sheet(pictures).save(sheet)
    print(f"{len(pictures)} pictures and {sheet}")


if __name__ == "__main__":
    run_main(main)
