"""What the pixels of photos show: python segmentation_demo.py --data-path photos (see --help)."""

from efficientvision.cli import run_main
from efficientvision.cli.demonstration import edgenets_spelling
from efficientvision.cli.segmentation_demo import define_demo_flags, main

if __name__ == "__main__":
    define_demo_flags()
    run_main(main, translate=edgenets_spelling)
