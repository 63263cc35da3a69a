"""The converter `efficientvision convert pascal` under its original name; see --help."""

from absl import flags

from efficientvision.cli import run_main
from efficientvision.cli.convert import pascal

__doc__ = pascal.__doc__
pascal.define_flags()
FLAGS = flags.FLAGS


def main(_: list[str]) -> None:
    pascal.run(FLAGS)


if __name__ == "__main__":
    run_main(main)
