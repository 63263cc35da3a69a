"""Look at, time, export and run a detector: python model_inspect.py --runmode=... (see --help)."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from efficientvision.cli import run_main  # noqa: E402
from efficientvision.cli.flags import define_inspect_flags  # noqa: E402
from efficientvision.cli.inspect import main  # noqa: E402

if __name__ == "__main__":
    define_inspect_flags()
    run_main(main)
