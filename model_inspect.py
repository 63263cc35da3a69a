"""Look at, time, export and run a detector: python model_inspect.py --runmode=... (see --help)."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from efficientvision.cli import run_main  # noqa: E402
from efficientvision.cli.inspect import define_flags, main  # noqa: E402

if __name__ == "__main__":
    define_flags()
    run_main(main)
