"""Trains and evaluates detectors, classifiers and segmentation networks: --mode=train, eval or
train_and_eval.

The flags of EdgeNets' scripts are accepted too, in their original spelling: --model espnetv2
--s 2.0 --crop-size 512 256 (see the tables in docs/edgenets.md).
"""

from absl import flags

from efficientvision.cli import run_main, supervise
from efficientvision.cli.compat import edgenets
from efficientvision.cli.flags import define_train_flags, options_of
from efficientvision.cli.tensorflow_start import load_tensorflow_quietly


def main(argv):
    """Runs `--mode`, in a child process where it is supervised."""
    code = supervise.run_as_parent(options_of(flags.FLAGS))
    if code is not None:
        return code
    load_tensorflow_quietly()
    from efficientvision.cli import train
    from efficientvision.runs.devices import grow_gpu_memory

    grow_gpu_memory()
    with supervise.ending_for_parent():
        return train.main(argv)


if __name__ == "__main__":
    define_train_flags()
    run_main(main, translate=edgenets.translate)
