"""The converter `efficientvision convert yolo` under its original name; see --help."""

from absl import flags

from efficientvision.cli import run_main
from efficientvision.cli.convert import yolo

__doc__ = yolo.__doc__
yolo.define_flags()
FLAGS = flags.FLAGS


def main(_: list[str]) -> None:
    yolo.run(FLAGS)


if __name__ == "__main__":
    run_main(main)
