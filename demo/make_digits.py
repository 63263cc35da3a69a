"""Writes scikit-learn's handwritten digits as PNG files, one folder per class.

  PYTHONPATH=".:$PYTHONPATH" python demo/make_digits.py --output_dir=digits
  PYTHONPATH=".:$PYTHONPATH" python dataset/create_imagenet_tfrecord.py \\
      --data_dir=digits --val_fraction=0.2 --output_dir=digits/tfrecord

1,797 digits of 8x8 pixels and 17 grey levels (UCI's "Optical Recognition of Handwritten Digits"),
enlarged. They are part of scikit-learn: nothing is downloaded.
"""

import os

import numpy as np
from absl import flags
from PIL import Image

from efficientvision.cli import run_main
from efficientvision.errors import UserError

flags.DEFINE_string("output_dir", None, "folder to write: <output_dir>/<digit>/<number>.png")
flags.DEFINE_integer("size", 64, "side of the images, pixels")
FLAGS = flags.FLAGS


def write_digits(folder: str, size: int) -> int:
    """Writes the images; returns their number.

    Raises:
        UserError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise UserError(
            "The digits are part of scikit-learn, which is not installed: pip install scikit-learn."
        ) from error
    data = load_digits()
    for number, (pixels, digit) in enumerate(zip(data.images, data.target, strict=True)):
        place = os.path.join(folder, str(digit))
        os.makedirs(place, exist_ok=True)
        grey = np.round(pixels * (255 / 16)).astype(np.uint8)
        image = Image.fromarray(grey).resize((size, size), Image.Resampling.BICUBIC)
        image.save(os.path.join(place, f"{number:04d}.png"))
    return len(data.images)


def main(_: list[str]) -> None:
    if not FLAGS.output_dir:
        raise UserError("--output_dir is missing; see --help for an example.")
    count = write_digits(FLAGS.output_dir, FLAGS.size)
    print(f"{count} digits of {FLAGS.size}x{FLAGS.size} pixels in {FLAGS.output_dir}.")


if __name__ == "__main__":
    run_main(main)
