"""`python -m efficientvision.weights`: see `efficientvision.cli.weights_command`."""

from efficientvision.cli import run_main
from efficientvision.cli.weights_command import define_flags, main

define_flags()
run_main(main, takes_arguments=True)
