"""Checks TFRecords before training: prints a report and draws what the network will see.

  python dataset/inspect_tfrecords.py \\
      --file_pattern='tfrecord/train-*.tfrecord' --model_name=efficientdet-d0 \\
      --hparams="num_classes=3" --save_samples_dir=/tmp/samples

Recognises records of objects, of images with classes and of masks by their features.
Prints  counts, image sizes, classes, and problems: damaged images, repeated image ids, unknown
        classes; degenerate or outside boxes; masks of another size than their image.
Writes  <save_samples_dir>/sample0.jpg ..., images with their boxes, class or mask after the
        training augmentation (--eval: without it), and contact_sheet.jpg with all of them.
"""

from absl import flags

from efficientvision.cli import run_main
from efficientvision.cli.tensorflow_start import load_tensorflow_quietly

flags.DEFINE_string("save_samples_dir", "tfrecord_samples", "folder for the pictures")
flags.DEFINE_string(
    "model_name",
    None,
    "model, for its input size; by default one for the labels of the records",
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
    from efficientvision.runs.inspect_data import inspect_data

    inspect_data(
        FLAGS.file_pattern,
        model_name=FLAGS.model_name,
        hparams=FLAGS.hparams,
        samples=FLAGS.samples,
        folder=FLAGS.save_samples_dir,
        training=not FLAGS.eval,
    )


if __name__ == "__main__":
    run_main(main)
