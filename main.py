"""Trains and evaluates detectors: --mode=train, eval or train_and_eval (see --help)."""

from efficientvision.cli import run_main
from efficientvision.cli.flags import define_train_flags


def main(argv):
    """Runs the mode that the flags ask for."""
    from efficientvision.cli import train

    return train.main(argv)


if __name__ == "__main__":
    define_train_flags()
    run_main(main)
