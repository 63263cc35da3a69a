"""Trains the small network that `detection_demo.py` uses without published weights.

    python demo/train_detection_demo.py --output_dir=testdata/shapes_detector

An SSD is trained from scratch to detect generated shapes (`demo/make_shapes.py`), in 19 minutes of
CPU time, and evaluated on pictures with another seed: AP 65.0, AP50 91.8. The folder contains
weights, `config.yaml` and `labels.json`, and loads like any run.
"""

import argparse
import pathlib
import sys
import tempfile

from run_demo import Step, StepFailed, run_step
from small_network import write_small_network

from efficientvision.configs import read_yaml
from efficientvision.loading import load_model

MODEL = "shufflenetv2_s_0.5"
HPARAMS = "hparams/shapes_ssd.yaml"
IMAGE_SIZE = "640x480"
BATCH = 16
# Number of images and seed of each split.
SPLITS = {"train": (1000, 21), "val": (100, 22)}
# Hyper-parameters of the recipe that define the architecture.
NETWORK = ("num_classes", "label_map", "image_size", "prior_min_scale", "prior_max_scale")


def preparation(folder: pathlib.Path) -> list[Step]:
    """The commands that generate pictures and records."""
    steps = []
    for split, (count, seed) in SPLITS.items():
        draw = [sys.executable, "demo/make_shapes.py", f"--output_dir={folder}"]
        draw += [f"--split={split}", f"--num_images={count}", f"--seed={seed}"]
        steps.append(Step(f"Drawing {count} pictures", [*draw, f"--image_size={IMAGE_SIZE}"]))
        convert = [sys.executable, "dataset/create_coco_tfrecord.py", "--num_shards=4"]
        convert += [f"--image_dir={folder / split}"]
        convert += [f"--object_annotations_file={folder}/annotations/instances_{split}.json"]
        convert += [f"--output_file_prefix={folder}/tfrecord/{split}"]
        steps.append(Step("Converting them to TFRecords", convert))
    return steps


def training(folder: pathlib.Path) -> Step:
    """The command that trains in `folder/run`."""
    command = [sys.executable, "main.py", "--mode=train", "--task=detection"]
    command += [f"--model_name={MODEL}", f"--model_dir={folder}/run", f"--hparams={HPARAMS}"]
    command += [f"--train_file_pattern={folder}/tfrecord/train*", f"--train_batch_size={BATCH}"]
    return Step("Training", [*command, f"--num_examples_per_epoch={SPLITS['train'][0]}"])


def evaluation(folder: pathlib.Path, network: str) -> Step:
    """The command that evaluates the network in a folder."""
    command = [sys.executable, "main.py", "--mode=eval", f"--model_dir={network}"]
    command += [f"--val_file_pattern={folder}/tfrecord/val*", "--eval_batch_size=20"]
    truth = folder / "annotations" / "instances_val.json"
    return Step("Evaluating", [*command, f"--val_json_file={truth}"])


def pack(run: pathlib.Path, output_dir: str) -> None:
    """Writes the network of a run, as an evaluation sees it."""
    loaded = load_model(run)
    recipe = read_yaml(HPARAMS)
    facts = {"name": MODEL, "task": "detection", **{name: recipe[name] for name in NETWORK}}
    write_small_network(output_dir, loaded.model, facts, loaded.class_names)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output_dir", required=True, help="folder of the trained network")
    output_dir = str(pathlib.Path(parser.parse_args().output_dir).resolve())
    with tempfile.TemporaryDirectory() as unfinished:
        folder = pathlib.Path(unfinished)
        steps = [*preparation(folder), training(folder), evaluation(folder, output_dir)]
        try:
            for number, step in enumerate(steps, start=1):
                if number == len(steps):
                    pack(folder / "run", output_dir)
                run_step(step, number, len(steps), folder / "log.txt")
        except StepFailed as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
