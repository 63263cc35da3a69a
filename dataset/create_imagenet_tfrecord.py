"""The converter `efficientvision convert imagenet` under its original name; see --help."""

from absl import flags

from efficientvision.cli import run_main
from efficientvision.cli.convert import classes

__doc__ = classes.__doc__
classes.define_flags()
FLAGS = flags.FLAGS


def main(_: list[str]) -> None:
    classes.run(FLAGS)


if __name__ == "__main__":
    run_main(main)
