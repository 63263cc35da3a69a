"""The demo's own code: what it reads from the command lines, and what it never removes."""

import sys

import numpy as np
import pytest

from demo import run_demo
from efficientvision.tasks.detection.coco import format_metrics


def test_reads_ap50_from_the_evaluation_table():
    metrics = dict.fromkeys(
        ("AP", "AP75", "APs", "APm", "APl", "ARmax1", "ARmax10", "ARmax100", "ARs", "ARm", "ARl"),
        0.25,
    ) | {"AP50": 0.731, "AP_/circle": 0.3, "AP50_/circle": 0.9}
    assert run_demo.printed_ap50("evaluating ...\n" + format_metrics(metrics)) == 0.731


def test_an_evaluation_without_a_table_is_an_error():
    with pytest.raises(run_demo.StepFailed, match="printed no line"):
        run_demo.printed_ap50("error: something else")


def test_an_earlier_demo_is_replaced(tmp_path):
    folder = tmp_path / "demo_output"
    run_demo.prepare(folder)
    (folder / "metrics.json").write_text("{}")
    run_demo.prepare(folder)
    assert [p.name for p in folder.iterdir()] == [".made_by_run_demo"]


def test_a_folder_of_other_files_is_refused_and_kept(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(run_demo.StepFailed, match="choose another --output_dir"):
        run_demo.prepare(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_every_command_is_a_script_that_exists(tmp_path):
    for step in run_demo.story(tmp_path):
        assert (run_demo.REPOSITORY / step.command[1]).is_file()
    assert (run_demo.REPOSITORY / run_demo.HPARAMS).is_file()


def test_training_validation_and_test_pictures_have_different_seeds():
    seeds = [seed for _, seed in run_demo.SPLITS.values()]
    assert len(set(seeds)) == len(seeds) == 3


def test_a_failing_command_ends_the_demo(tmp_path):
    step = run_demo.Step("Breaking", [sys.executable, "-c", "raise SystemExit('no luck')"])
    with pytest.raises(run_demo.StepFailed, match="'Breaking' failed"):
        run_demo.run_step(step, 1, 1, tmp_path / "log.txt")
    assert "no luck" in (tmp_path / "log.txt").read_text()


def test_curves_and_contact_sheet(tmp_path):
    pytest.importorskip("matplotlib")
    from PIL import Image

    rows = [
        {"step": 10.0, "cls_loss": 1.0, "box_loss": 0.01, "AP": 0.1, "AP50": 0.3},
        {"step": 20.0, "cls_loss": 0.5, "box_loss": 0.005, "AP": 0.3, "AP50": 0.6},
    ]
    run_demo.draw_curves(rows, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as curves:
        assert curves.size == (1000, 400)
        assert np.asarray(curves.convert("L")).std() > 5
    pictures = []
    for i, color in enumerate(["red", "green", "blue"]):
        pictures.append(tmp_path / f"{i}.png")
        Image.new("RGB", (8, 6), color).save(pictures[-1])
    run_demo.contact_sheet(pictures, tmp_path / "sheet.png", columns=2)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (16, 12)
        assert sheet.getpixel((12, 3)) == (0, 128, 0) and sheet.getpixel((3, 9)) == (0, 0, 255)
