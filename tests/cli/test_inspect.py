"""model_inspect.py: its runmodes on a small detector, and what it says to bad input."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from efficientvision.cli.flags import RUNMODES
from efficientvision.cli.inspect import command_of
from efficientvision.exports.frozen_graph import graph_function, read_frozen_graph
from efficientvision.tasks.detection.predictor import Detector
from efficientvision.weights.checkpoint_reader import open_checkpoint
from tests.filled_detector import (
    filled_detector,
    textured_photo,
    values_of,
    write_filled_checkpoint,
)
from tests.programs import inspect
from tests.small_networks import DETECTOR_HW, OBJECT_NAMES, exported, small_detector
from tests.small_networks import small_networks_instead as small_networks_instead
from tests.store import stored

# The shallow detector of three classes at 128 pixels, for which the checkpoint below is.
MODEL = "--model_name=efficientdet-d0"
HPARAMS = "--hparams=image_size=128,fpn_cell_repeats=1,box_class_repeats=1"
SMALL = "--ckpt_path=detector"


@pytest.fixture(scope="module")
def checkpoint():
    def write(folder):
        write_filled_checkpoint(folder / "run", shallow=True)

    return stored("detector_checkpoint", write) / "run"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for index, hw in enumerate([(100, 140), (180, 90)]):
        Image.fromarray(textured_photo(*hw, seed=index)).save(folder / f"{'ba'[index]}.png")
    return folder


def assert_pictures(folder, photos, number):
    """0.jpg, 1.jpg, ... show the sorted photos, with boxes of the classes' colours."""
    assert sorted(p.name for p in folder.iterdir()) == [f"{i}.jpg" for i in range(number)]
    for index, photo in enumerate(sorted(photos.iterdir())[:number]):
        picture = np.asarray(Image.open(folder / f"{index}.jpg")).astype(int)
        original = np.asarray(Image.open(photo)).astype(int)
        assert picture.shape == original.shape
        strongly_changed = np.abs(picture - original).max(axis=-1) > 60
        assert 0.005 < strongly_changed.mean() < 0.9


def test_every_runmode_has_its_function():
    assert all(callable(command_of(runmode)) for runmode in RUNMODES)


def test_infer(checkpoint, photos, tmp_path, capsys):
    code = inspect(
        "--runmode=infer", MODEL, HPARAMS, f"--ckpt_path={checkpoint}",
        f"--input_image={photos}/*.png", f"--output_image_dir={tmp_path}/out",
        "--min_score_thresh=0.6",
    )  # fmt: skip
    assert code == 0
    assert_pictures(tmp_path / "out", photos, 2)
    printed = capsys.readouterr().out
    assert "fpn_name=bifpn" in printed and "loaded" in printed
    assert "a.png" in printed.splitlines()[-2] and "1.jpg" in printed.splitlines()[-1]


@pytest.mark.usefixtures("small_networks_instead")
def test_a_folder_goes_through_the_network_in_batches(tmp_path, monkeypatch):
    sizes = []

    def detect(self, images):
        sizes.append(len(images))
        rows = np.zeros((len(images), 1, 7), np.float32)
        rows[:, 0] = (0, 10, 10, 80, 80, 0.9, 1)
        return rows

    monkeypatch.setattr(Detector, "detect_batch", detect)
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(5):
        Image.fromarray(textured_photo(100, 140, seed=index)).save(folder / f"{index}.png")
    code = inspect(
        "--runmode=infer", SMALL, f"--input_image={folder}", f"--output_image_dir={tmp_path}/out",
        "--batch_size=2",
    )  # fmt: skip
    assert code == 0 and sizes == [2, 2, 1]
    assert_pictures(tmp_path / "out", folder, 5)


@pytest.mark.usefixtures("small_networks_instead")
def test_photos_that_cannot_be_read_are_left_out_and_named(photos, tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    whole = (photos / "a.png").read_bytes()
    for index, content in enumerate((b"", whole, whole[:-900], whole)):
        (folder / f"{index}.png").write_bytes(content)
    code = inspect(
        "--runmode=infer", SMALL, f"--input_image={folder}", f"--output_image_dir={tmp_path}/out",
        "--batch_size=2",
    )  # fmt: skip
    assert code == 1
    # A picture's number is its photo's place in the folder, as when all can be read.
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1.jpg", "3.jpg"]
    told = capsys.readouterr().err
    assert f"2 of 4 photos could not be read: {folder}/0.png, {folder}/2.png." in told


def test_saved_model_infer_with_folder_and_frozen_graph(photos, tmp_path):
    folder = exported("detector")
    for index, path in enumerate([folder, folder / "efficientdet-d0_frozen.pb"]):
        out = tmp_path / f"out{index}"
        code = inspect(
            "--runmode=saved_model_infer", MODEL, f"--saved_model_dir={path}",
            f"--input_image={photos}", f"--output_image_dir={out}",
        )  # fmt: skip
        assert code == 0
        assert_pictures(out, photos, 2)
    one, two = (np.asarray(Image.open(tmp_path / f"out{i}" / "0.jpg")) for i in (0, 1))
    assert np.array_equal(one, two)


@pytest.mark.usefixtures("small_networks_instead")
def test_saved_model_bakes_the_flags_in(tmp_path, capsys):
    code = inspect(
        "--runmode=saved_model", SMALL, f"--saved_model_dir={tmp_path}/export",
        "--min_score_thresh=0.55", "--max_boxes_to_draw=7", "--nms_method=gaussian",
        "--batch_size=0",
    )  # fmt: skip
    assert code == 0 and "SavedModel: " in capsys.readouterr().out.splitlines()[-1]
    metadata = json.loads((tmp_path / "export" / "metadata.json").read_text())
    assert metadata["nms"]["method"] == "gaussian"
    assert metadata["nms"]["score_thresh"] == 0.55 and metadata["batch_size"] is None
    assert metadata["class_names"] == {str(k): v for k, v in OBJECT_NAMES.items()}
    loaded = tf.saved_model.load(str(tmp_path / "export"))
    photo = textured_photo(100, 100)
    rows = loaded.signatures["serving_default"](image_arrays=tf.constant(photo[None]))
    rows = rows["detections"].numpy()
    assert rows.shape == (1, 7, 7) and rows[0, 0, 5] > 0.55
    assert ((rows[..., 5] == 0) | (rows[..., 5] > 0.55)).all()


def test_ckpt_writes_what_it_loaded_and_adds_up(checkpoint, tmp_path, capsys):
    code = inspect(
        "--runmode=ckpt", MODEL, "--input_image_size=128", HPARAMS, f"--ckpt_path={checkpoint}",
        f"--export_ckpt={tmp_path}/copy/model",
    )  # fmt: skip
    printed = capsys.readouterr().out
    assert code == 0 and "export model to" in printed
    reader = open_checkpoint(tmp_path / "copy")
    expected = values_of(filled_detector().model)
    assert set(reader.names()) == set(expected)
    for name in ("class_net/class-predict/bias", "efficientnet-b0/blocks_0/se/conv2d/kernel"):
        np.testing.assert_array_equal(reader.read(name), expected[name])

    lines = printed.splitlines()
    rows = {line[:20].strip(): line[20:].replace(",", "").split() for line in lines}
    heads = [i for i, line in enumerate(lines) if line.startswith(("part", "whole network"))]
    start, end = heads[-2] + 1, heads[-1]
    parts = np.array([line[20:].replace(",", "").split() for line in lines[start:end]], np.int64)
    whole = np.array(rows["whole network"], np.int64)
    assert np.array_equal(parts.sum(axis=0), whole)
    model = filled_detector().model
    assert whole[1] == model.count_params()
    assert int(rows["class head"][1]) == model.get_layer("class_net").count_params()


@pytest.mark.usefixtures("small_networks_instead")
def test_dry_counts_parts_and_writes_the_weights(tmp_path, capsys):
    code = inspect("--runmode=dry", SMALL, f"--logdir={tmp_path}")
    assert code == 0
    printed = capsys.readouterr().out
    rows = {line[:20].strip(): line[20:].replace(",", "").split() for line in printed.splitlines()}
    # By hand: a 3x3 convolution of 96 channels on 12x16, 6x8 and 3x4 cells.
    for part, channels in (("class head", 27), ("box head", 36)):
        weights, cells = 9 * 96 * channels, 12 * 16 + 6 * 8 + 3 * 4
        assert [int(cell) for cell in rows[part][:2]] == [weights + channels] * 2
        # A bias is an addition for each value: half a multiply-add.
        assert int(rows[part][2]) == pytest.approx(cells * (weights + channels / 2), abs=1)
    trainable, total = (int(cell) for cell in rows["whole network"][:2])
    model = small_detector().model
    assert total == model.count_params()
    assert total - trainable == sum(w.shape[0] for w in model.non_trainable_weights)
    assert set(open_checkpoint(tmp_path / "efficientdet-d0").names()) >= {"class_net/kernel"}


@pytest.mark.usefixtures("small_networks_instead")
def test_freeze(tmp_path):
    (tmp_path / "efficientdet-d7_frozen.pb").write_bytes(b"of an earlier run")
    assert inspect("--runmode=freeze", SMALL, f"--logdir={tmp_path}") == 0
    assert {p.name for p in tmp_path.iterdir()} == {"efficientdet-d0_frozen.pb", "savedmodel"}
    graph = read_frozen_graph(tmp_path / "efficientdet-d0_frozen.pb")
    run = graph_function(graph, ["input:0"], ["class_net/class-predict/BiasAdd:0"])
    images = np.ones((1, *DETECTOR_HW, 3), np.float32)
    expected = small_detector().model(images)[0][0]
    np.testing.assert_allclose(run(images)[0], expected, atol=1e-3 * np.abs(expected).max())


@pytest.mark.usefixtures("small_networks_instead")
def test_benchmarks_print_the_published_lines(tmp_path, capsys):
    assert inspect("--runmode=bm", SMALL, "--bm_runs=3") == 0
    printed = capsys.readouterr().out
    assert "runs total=3" in printed and "p90" in printed
    per_batch, fps = printed.splitlines()[-2:]
    seconds = float(per_batch.removeprefix("Per batch inference time:"))
    assert float(fps.removeprefix("FPS:")) == pytest.approx(1 / seconds)
    trace = tmp_path / "whole.json"
    code = inspect(
        "--runmode=saved_model_benchmark",
        f"--saved_model_dir={exported('detector')}",
        "--bm_runs=2",
        "--bm_runs_warmup=1",
        f"--trace_filename={trace}",
    )
    printed = capsys.readouterr().out
    assert code == 0 and "FPS:" in printed
    assert printed.count("Warm up:") == 1
    names = {event.get("name") for event in json.loads(trace.read_text())["traceEvents"]}
    assert "NonMaxSuppressionV5" in names


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--runmode=infr"], "infer"),
        (["--runmode=saved_model_video"], "--input_video"),
        (["--runmode=saved_model_video", "--input_video=x", "--saved_model_dir=no"], "--ckpt_path"),
        (["--model_name=efficientdet-d9"], "efficientdet-d7"),
        (["--tensorrt=FP16"], "trtexec"),
        (["--runmode=export", "--format=onyx", "--input_image={png}"], "onnx"),
        (["--runmode=export", "--format=onnx"], "needs --input_image"),
        (["--bm_runs=0"], "bm_runs"),
        (["--min_score_thresh=40"], "min_score_thresh"),
        (["--runmode=infer"], "--ckpt_path"),
        (["--runmode=infer", "--ckpt_path=x"], "--input_image"),
        (["--runmode=infer", "--ckpt_path={tmp}/no", "--input_image={png}"], "--output_image_dir"),
        (["--runmode=infer", "--ckpt_path={tmp}/no", "--input_image={tmp}/*.x"], "no file"),
        (["--runmode=infer", "--ckpt_path={tmp}/no", "--input_image={text}"], "not a picture"),
        (["--runmode=infer", "--ckpt_path={tmp}/no", "--input_image={cut}"], "cut short"),
        (["--runmode=infer", "--ckpt_path={tmp}/no", "--input_image={png}"], "{tmp}/no"),
        (["--runmode=infer", "--ckpt_path={ckpt}", "--input_image={png}"], "cut short"),
        (["--runmode=dry", "--hparams=image_sise=3"], "image_size"),
        (["--runmode=saved_model", "--saved_model_dir={full}"], "diary.txt"),
        (
            ["--runmode=saved_model", "--saved_model_dir={png}/x"],
            "saved_model_dir={png}/x cannot be written to: Not a directory",
        ),
        (
            ["--runmode=export", "--input_image={png}", "--saved_model_dir={png}/x"],
            "saved_model_dir={png}/x cannot be written to: Not a directory",
        ),
        (
            ["--runmode=infer", "--ckpt_path={tmp}/no", "--input_image={png}"]
            + ["--output_image_dir={png}/x"],
            "--output_image_dir={png}/x cannot be written to: Not a directory",
        ),
        (
            ["--runmode=saved_model_infer", "--saved_model_dir={tmp}/no"],
            "is neither a SavedModel folder nor",
        ),
        (["--runmode=saved_model_infer", "--saved_model_dir={pb}"], "cut short"),
    ],
)
def test_bad_input_gets_one_sentence(arguments, complaint, checkpoint, photos, tmp_path, capsys):
    names = {
        "tmp": tmp_path / "in",
        "png": photos / "a.png",
        "text": tmp_path / "in" / "text.jpg",
        "cut": tmp_path / "in" / "cut.png",
        "ckpt": tmp_path / "in" / "ckpt" / "model",
        "pb": tmp_path / "in" / "x_frozen.pb",
        "full": tmp_path / "in" / "full",
    }
    for folder in ("ckpt", "full"):
        (tmp_path / "in" / folder).mkdir(parents=True)
    names["text"].write_text("no picture")
    names["cut"].write_bytes((photos / "a.png").read_bytes()[:-900])
    names["pb"].write_bytes(
        (exported("detector") / "efficientdet-d0_frozen.pb").read_bytes()[:9999]
    )
    (names["full"] / "diary.txt").write_text("rain")
    for part in checkpoint.glob("model.*"):
        cut = part.read_bytes()
        cut = cut if part.suffix == ".index" else cut[: len(cut) // 2]
        (names["ckpt"].parent / part.name).write_bytes(cut)
    out = tmp_path / "out"
    wants_out = arguments[0].endswith("infer") and "--output_image_dir" not in complaint
    arguments = [a.format(**names) for a in arguments]
    if wants_out:
        arguments += [f"--output_image_dir={out}", HPARAMS, MODEL]
    if arguments[0] == "--runmode=saved_model_infer":
        arguments.append(f"--input_image={photos / 'a.png'}")
    assert inspect(*arguments) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and complaint.format(**names) in error
    assert "Traceback" not in error and not out.exists()
