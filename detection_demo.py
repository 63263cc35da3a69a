"""Detects objects in photos: the demonstration of EdgeNets' README, with its flags.

  python detection_demo.py --model espnetv2 --s 2.0 --dataset coco --im-dir photos
  python detection_demo.py --weights-test runs/cells --im-dir cells --conf-threshold 0.5
  python detection_demo.py --live

The photos are written with their boxes to <save-dir>/0.jpg, 1.jpg, ... The weights are
--weights-test (a published file, a run's folder, any detector), or else the published file for
--model, --s, --dataset and --im-size, if it is here or where EdgeNets keep it
(model/detection/model_zoo). Without that file, a small demo network is shown that only knows
synthetic shapes. The equivalent command of model_inspect.py, which has more options, is printed.
"""

from absl import flags

from efficientvision.cli import run_main
from efficientvision.cli.compat.demos import DETECTION, edgenets_spelling


def main(argv):
    """Runs the demonstration."""
    return DETECTION.main(argv, flags.FLAGS)


if __name__ == "__main__":
    DETECTION.define_flags()
    run_main(main, translate=edgenets_spelling)
