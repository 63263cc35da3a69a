"""The converter `efficientvision convert coco` under its original name; see --help."""

from absl import flags

from efficientvision.cli import run_main
from efficientvision.cli.convert import coco

__doc__ = coco.__doc__
coco.define_flags()
FLAGS = flags.FLAGS


def main(_: list[str]) -> None:
    coco.run(FLAGS)


if __name__ == "__main__":
    run_main(main)
