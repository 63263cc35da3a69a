"""Inspects, times, exports and runs a model: python model_inspect.py --runmode=... (see --help)."""

from efficientvision.cli import run_main
from efficientvision.cli.flags import define_inspect_flags
from efficientvision.cli.inspect import main

if __name__ == "__main__":
    define_inspect_flags()
    run_main(main)
