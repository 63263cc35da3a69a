"""`--testdev_dir` and `--test_*`: what is refused before an evaluation, and what is said."""

import json

import pytest

from efficientvision.errors import UserError
from efficientvision.runs import evaluate, run_setup
from efficientvision.tasks.choice import get_config, task_of_config
from efficientvision.tasks.detection import testdev
from tests.made_records import write_made_records
from tests.programs import run_options

IMAGES = 4


def _given(*more, mode="eval"):
    return run_options(f"--mode={mode}", "--model_dir=run", "--val_file_pattern=val*", *more)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--testdev_info_file=a.json"], "also set `testdev_dir`"),
        (
            ["--testdev_dir=out", "--val_json_file=a.json"],
            "cannot be combined with `val_json_file`",
        ),
        (["--test_merge=nms"], "`test_merge` has nothing to merge"),
        (["--test_scales=1.5", "--test_iou_thresh=0.6"], "`test_iou_thresh` has nothing to merge"),
        (["--test_flip", "--test_merge=nms", "--test_iou_thresh=0.6"], "nms_configs.iou_thresh"),
        (["--test_scales=1,big"], "`test_scales=1,big` is not a list of factors"),
        (["--test_scales=0"], "not a list of factors"),
        (["--test_scales="], "not a list of factors"),
    ],
)
def test_flags_that_cannot_be_honoured(arguments, fault):
    with pytest.raises(UserError, match=fault):
        run_setup.check_options(_given(*arguments))


def test_a_training_has_no_views_and_no_results():
    info = ("--testdev_dir=out", "--testdev_info_file=a.json")
    given = _given("--train_file_pattern=train*", *info, mode="train_and_eval")
    with pytest.raises(UserError, match="`testdev_info_file` only works with `mode=eval`"):
        run_setup.check_options(given)
    given = _given("--train_file_pattern=train*", "--test_flip", mode="train_and_eval")
    with pytest.raises(UserError, match="`test_flip` only works with `mode=eval`"):
        run_setup.check_options(given)


def test_views_are_said(capsys):
    given = _given("--test_flip", "--test_scales=0.5,1", "--test_iou_thresh=0.7")
    run_setup.check_options(given)
    config = get_config(
        "efficientdet-d0",
        "image_size=128x64,fpn_cell_repeats=1,box_class_repeats=0,num_classes=1",
    )
    tta = task_of_config(config).tta(given, config)
    assert tta.sizes == [((64, 128), (64, 128)), ((64, 128), (32, 64))]
    printed = capsys.readouterr().out
    assert "64x32, 64x32 mirrored, 128x64, 128x64 mirrored; merged by weighted box" in printed
    assert task_of_config(config).tta(_given(), config) is None


@pytest.fixture
def records(tmp_path):
    return str(write_made_records(tmp_path / "testdev.tfrecord", IMAGES))


@pytest.fixture
def info(tmp_path):
    """Writes an image info file with the given ids; returns its path."""

    def write(ids):
        path = tmp_path / "info.json"
        content = {"images": [{"id": i} for i in ids], "categories": [{"id": 1, "name": "a"}]}
        path.write_text(json.dumps(content))
        return path

    return write


def _check(tmp_path, records, info_file, *more, score_thresh=0.0, **changes):
    given = _given(
        f"--testdev_dir={tmp_path}/out",
        f"--testdev_info_file={info_file}",
        f"--val_file_pattern={records}",
        *more,
    )
    testdev.check_before(given, score_thresh=score_thresh, **changes)


def test_ids_of_records_must_be_those_of_the_info_file(tmp_path, records, info):
    _check(tmp_path, records, info([1, 2, 3, 4]))
    _check(tmp_path, records, info([4, 2, 3, 1]), "--eval_samples=20288")
    with pytest.raises(UserError, match=r"1 of 5 images of .*info\.json are missing \(ids 9\)"):
        _check(tmp_path, records, info([1, 2, 3, 4, 9]))
    with pytest.raises(UserError, match=r"2 of 4 images are not in .*info\.json \(ids 3, 4\)"):
        _check(tmp_path, records, info([1, 2]))
    with pytest.raises(UserError, match=r"eval_samples=3`\): 1 of 4 images of .*\(ids 4\)"):
        _check(tmp_path, records, info([1, 2, 3, 4]), "--eval_samples=3")
    assert not (tmp_path / "out").exists()


def test_what_could_leave_images_out_is_refused(tmp_path, records, info):
    with pytest.raises(UserError, match="score_thresh=0.4 can leave images"):
        _check(tmp_path, records, info([1]), score_thresh=0.4)
    with pytest.raises(UserError, match="regenerate_source_id"):
        _check(tmp_path, records, info([1]), ids_are_regenerated=True)
    with pytest.raises(UserError, match="Cannot read .*absent.json: No such file"):
        _check(tmp_path, records, tmp_path / "absent.json")


def test_a_folder_that_cannot_be_written_to(tmp_path, records, info):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UserError, match=r"`testdev_dir=.*/out` cannot be written to: .*choose"):
        _check(tmp_path, records, info([1, 2, 3, 4]))


@pytest.mark.parametrize(
    ("option", "line"),
    [
        (["--eval_samples=20288"], "`eval_samples=20288`, but only 4 images exist: evaluating all"),
        (["--eval_samples=3"], "Evaluating 3 of 4 images (`eval_samples=3`)."),
        ([], ""),
    ],
)
def test_another_number_of_images_is_said(records, capsys, option, line):
    evaluate.tell_images(_given(f"--val_file_pattern={records}", *option))
    printed = capsys.readouterr().out
    assert line in printed and len(printed.splitlines()) == bool(line)
