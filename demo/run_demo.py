"""Trains a detector from pictures to export, with the project's own command lines.

    python demo/run_demo.py --output_dir=demo_output

generates a data set of shapes, converts it, evaluates an untrained network, trains it, exports it
and detects shapes in new pictures. Every run starts from scratch.
"""

import argparse
import csv
import dataclasses
import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import time

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
MODEL = "efficientdet-d0"
HPARAMS = "hparams/demo.yaml"
BATCH_SIZE = 4
# Number of images and seed of each split. Validation, test and training have different seeds.
SPLITS = {"train": (800, 1), "val": (100, 2), "test": (12, 3)}
# Minimum score of the boxes that are drawn.
SCORE = 0.3
# Marks a folder that was created by this script and may be removed.
_MARKER = ".made_by_run_demo"
# Messages of TensorFlow's C++ code at every start, before its log level applies.
_NOISE = re.compile(r"WARNING: All log messages before absl|[IW]0000 |E0000 .*cuInit")


@dataclasses.dataclass(frozen=True)
class Step:
    """One command of the demo, with its title."""

    title: str
    command: list[str]


class StepFailed(RuntimeError):
    """A command of the demo ended with an error."""


def _show(line: bytes) -> str:
    """Prints a line or a state of a progress bar, unless it is noise; returns it."""
    text = line.decode(errors="replace")
    if not _NOISE.match(text):
        sys.stdout.write(text)
        sys.stdout.flush()
    return text


def run_step(step: Step, number: int, total: int, log_path: pathlib.Path) -> str:
    """Runs a command in the repository and shows its output immediately.

    Returns:
        The output.

    Raises:
        StepFailed: The exit status is not 0.
    """
    shown = shlex.join(["python", *step.command[1:]])
    print(f"\n[{number}/{total}] {step.title}\n  {shown}", flush=True)
    started = time.monotonic()
    process = subprocess.Popen(
        step.command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    printed, rest = [], b""
    with process:
        while chunk := process.stdout.read1():
            *pieces, rest = re.split(rb"(?<=[\r\n])", rest + chunk)
            printed += [_show(piece) for piece in pieces]
    printed.append(_show(rest))
    text = "".join(printed)
    with log_path.open("a") as log:
        log.write(f"$ {shown}\n{text}\n")
    if process.returncode:
        raise StepFailed(f"'{step.title}' failed (exit status {process.returncode}): {shown}")
    print(f"  ({time.monotonic() - started:.0f} s)")
    return text


def story(folder: pathlib.Path) -> list[Step]:
    """The commands in order; all output goes to `folder`."""
    python = sys.executable
    data, records, run = folder / "data", folder / "tfrecord", folder / "run"
    truth = data / "annotations" / "instances_val.json"
    steps = []
    for split, (count, seed) in SPLITS.items():
        command = [python, "demo/make_shapes.py", f"--output_dir={data}", f"--split={split}"]
        command += [f"--num_images={count}", f"--seed={seed}"]
        steps.append(Step(f"Drawing {count} pictures ({split}, seed {seed})", command))
    for split in ("train", "val"):
        command = [python, "dataset/create_coco_tfrecord.py", f"--image_dir={data / split}"]
        command += [f"--object_annotations_file={data}/annotations/instances_{split}.json"]
        command += [f"--output_file_prefix={records / split}", "--num_shards=4"]
        steps.append(Step(f"Converting {split} to TFRecords", command))
    untrained = folder / "untrained"
    model = [f"--model_name={MODEL}", f"--hparams={HPARAMS}"]
    validation = [f"--val_file_pattern={records}/val*.tfrecord", f"--val_json_file={truth}"]
    validation += ["--eval_batch_size=10", f"--eval_samples={SPLITS['val'][0]}"]
    steps.append(
        Step(
            "Saving the untrained network",
            [python, "model_inspect.py", "--runmode=dry", *model] + [f"--logdir={untrained}"],
        )
    )
    steps.append(
        Step(
            "Evaluating it",
            [python, "main.py", "--mode=eval", *model, f"--model_dir={untrained}", *validation],
        )
    )
    steps.append(
        Step(
            "Training",
            [python, "main.py", "--mode=train_and_eval", *model, f"--model_dir={run}"]
            + [f"--train_file_pattern={records}/train*.tfrecord", *validation]
            + [f"--train_batch_size={BATCH_SIZE}"]
            + [f"--num_examples_per_epoch={SPLITS['train'][0]}"],
        )
    )
    exported = folder / "saved_model"
    steps.append(
        Step(
            "Exporting the trained network as a SavedModel",
            [python, "model_inspect.py", "--runmode=saved_model", f"--model_name={MODEL}"]
            + [
                f"--ckpt_path={run}",
                f"--saved_model_dir={exported}",
                f"--min_score_thresh={SCORE}",
            ],
        )
    )
    steps.append(
        Step(
            f"Detecting shapes in {SPLITS['test'][0]} new pictures",
            [python, "model_inspect.py", "--runmode=saved_model_infer", f"--model_name={MODEL}"]
            + [f"--saved_model_dir={exported}", f"--input_image={data}/test/*.jpg"]
            + [f"--output_image_dir={folder / 'pictures'}", f"--min_score_thresh={SCORE}"],
        )
    )
    return steps


def prepare(folder: pathlib.Path) -> None:
    """Creates an empty folder; removes an earlier demo, but nothing else.

    Raises:
        StepFailed: The folder contains other files.
    """
    if folder.exists() and any(folder.iterdir()):
        if not (folder / _MARKER).exists():
            raise StepFailed(f"{folder} contains other files; choose another --output_dir.")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARKER).touch()


def printed_ap50(evaluation: str) -> float:
    """AP at IoU .50, 0..1, from the table that `main.py --mode=eval` prints in percent."""
    found = re.findall(r"^AP +IoU \.50 +([\d.]+) *$", evaluation, re.MULTILINE)
    if not found:
        raise StepFailed("The evaluation printed no line 'AP IoU .50'.")
    return float(found[-1]) / 100


def read_results(run: pathlib.Path) -> list[dict[str, float]]:
    """Reads a run's results.csv, which has one row per epoch."""
    with (run / "results.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


def draw_curves(rows: list[dict[str, float]], path: pathlib.Path) -> None:
    """Draws losses and AP by step."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    steps = [row["step"] for row in rows]
    left.plot(steps, [row["cls_loss"] for row in rows], marker="o", label="class loss")
    box = [50 * row["box_loss"] for row in rows]
    left.plot(steps, box, marker="o", label="box loss x 50")
    for name in ("AP50", "AP"):
        right.plot([0, *steps], [0, *(row[name] for row in rows)], marker="o", label=name)
    left.set(title="Losses (training)", xlabel="step", ylim=(0, None))
    right.set(title="Average precision (validation)", xlabel="step", ylim=(0, 1))
    for axes in (left, right):
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def contact_sheet(pictures: list[pathlib.Path], path: pathlib.Path, columns: int = 4) -> None:
    """Combines all pictures into one."""
    from PIL import Image

    images = [Image.open(picture).convert("RGB") for picture in pictures]
    width, height = images[0].size
    sheet = Image.new("RGB", (columns * width, -(-len(images) // columns) * height), "white")
    for i, image in enumerate(images):
        sheet.paste(image, (i % columns * width, i // columns * height))
    sheet.save(path, quality=85)


def tell(folder: pathlib.Path) -> None:
    """Runs the demo and prints a summary."""
    started = time.monotonic()
    prepare(folder)
    steps = story(folder)
    printed = {}
    for number, step in enumerate(steps, start=1):
        printed[step.title] = run_step(step, number, len(steps), folder / "log.txt")
    rows = read_results(folder / "run")
    before = printed_ap50(printed["Evaluating it"])
    pictures = sorted((folder / "pictures").glob("*.jpg"), key=lambda p: int(p.stem))
    draw_curves(rows, folder / "curves.png")
    contact_sheet(pictures, folder / "contact_sheet.jpg")
    metrics = {"AP50_untrained": before, "trained": rows[-1]}
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    print(
        f"\n{MODEL} on {SPLITS['val'][0]} pictures it was not trained on:\n\n"
        f"             before   after {rows[-1]['step']:.0f} steps\n"
        f"  AP50       {before:6.3f}   {rows[-1]['AP50']:6.3f}\n"
        f"  AP                  {rows[-1]['AP']:6.3f}\n\n"
        f"In {folder}:\n"
        f"  contact_sheet.jpg  {len(pictures)} new pictures with their detections\n"
        f"  pictures/          the same as single files\n"
        f"  curves.png         losses and AP by step\n"
        f"  metrics.json       the COCO metrics\n"
        f"  run/               checkpoints; saved_model/ the exported network\n"
        f"\nDone in {minutes} min {seconds} s."
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output_dir", default="demo_output")
    arguments = parser.parse_args()
    try:
        tell(pathlib.Path(arguments.output_dir).resolve())
    except StepFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
