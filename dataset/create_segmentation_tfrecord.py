"""The converter `efficientvision convert segmentation` under its original name; see --help."""

from absl import flags

from efficientvision.cli import run_main
from efficientvision.cli.convert import masks

__doc__ = masks.__doc__
masks.define_flags()
FLAGS = flags.FLAGS


def main(_: list[str]) -> None:
    masks.run(FLAGS)


if __name__ == "__main__":
    run_main(main)
