"""Segments photos: the demonstration of EdgeNets' README, with its flags.

  python segmentation_demo.py --model espnetv2 --s 2.0 --dataset pascal --data-path photos
  python segmentation_demo.py --weights-test espnetv2_s_2.0_city_1024x512.pth --data-path street.jpg
  python segmentation_demo.py --live

Each photo is segmented at its own size, rounded down to multiples of 32, and written with its
classes in colour to <savedir>/0.jpg, 1.jpg, ... The weights are --weights-test, or else the
published file for --model, --s, --dataset and --im-size, if it is here or where EdgeNets keep it
(model/segmentation/model_zoo). Without that file, a small demo network is shown that only knows
synthetic shapes. The equivalent command of model_inspect.py, which has more options, is printed.
"""

from absl import flags

from efficientvision.cli import run_main
from efficientvision.cli.compat.demos import SEGMENTATION, edgenets_spelling


def main(argv):
    """Runs the demonstration."""
    return SEGMENTATION.main(argv, flags.FLAGS)


if __name__ == "__main__":
    SEGMENTATION.define_flags()
    run_main(main, translate=edgenets_spelling)
