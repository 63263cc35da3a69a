"""Checks a results file before it goes to the COCO test server.

  PYTHONPATH=".:$PYTHONPATH" python dataset/check_coco_results.py \\
      --results_file=testdev_output/detections_test-dev2017_test_results.json \\
      --image_info_file=annotations/image_info_test-dev2017.json

Refuses a file whose image ids are not exactly those of the info file, or whose entries are not
{image_id, category_id, bbox: [x, y, width, height], score} with the info file's categories.
`main.py --mode=eval --testdev_info_file=...` does the same with what it writes.
"""

from absl import flags

from efficientvision.cli import run_main

flags.DEFINE_string("results_file", None, "JSON file of detections")
flags.DEFINE_string("image_info_file", None, "JSON file that lists the images (test-dev)")
FLAGS = flags.FLAGS


def main(_: list[str]) -> None:
    from efficientvision.errors import UserError
    from efficientvision.tasks.detection.coco_results import check_results_file

    for name in ("results_file", "image_info_file"):
        if not FLAGS[name].value:
            raise UserError(f"--{name} is missing; see --help for an example.")
    rows, images = check_results_file(FLAGS.results_file, FLAGS.image_info_file)
    print(f"{FLAGS.results_file}: {rows} detections in {images} images, in the server's format.")


if __name__ == "__main__":
    run_main(main)
