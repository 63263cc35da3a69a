"""Trains and evaluates detectors: --mode=train, eval or train_and_eval (see --help)."""

from efficientvision.cli import run_main
from efficientvision.cli.flags import define_train_flags
from efficientvision.cli.quiet_tensorflow import load_tensorflow_quietly


def main(argv):
    """Runs the mode that the flags ask for."""
    load_tensorflow_quietly()
    from efficientvision.cli import train

    return train.main(argv)


if __name__ == "__main__":
    define_train_flags()
    run_main(main)
