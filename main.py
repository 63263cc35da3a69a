"""Trains and evaluates detectors: --mode=train, eval or train_and_eval (see --help)."""

import os

from efficientvision.cli import run_main
from efficientvision.cli.flags import define_train_flags


def main(argv):
    """Runs the mode that the flags ask for."""
    # TensorFlow's remarks on its own build would drown what the run has to say.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from efficientvision.cli import train

    return train.main(argv)


if __name__ == "__main__":
    define_train_flags()
    run_main(main)
