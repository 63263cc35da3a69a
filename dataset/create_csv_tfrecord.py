"""The converter `efficientvision convert csv` under its original name; see --help."""

from absl import flags

from efficientvision.cli import run_main
from efficientvision.cli.convert import csv_boxes

__doc__ = csv_boxes.__doc__
csv_boxes.define_flags()
FLAGS = flags.FLAGS


def main(_: list[str]) -> None:
    csv_boxes.run(FLAGS)


if __name__ == "__main__":
    run_main(main)
