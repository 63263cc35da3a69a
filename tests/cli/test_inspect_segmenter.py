"""model_inspect.py with segmenters: its runmodes, its table, and what it says to bad input."""

import shutil

import numpy as np
import pytest
from PIL import Image

from efficientvision.tasks.segmentation.predictor import Segmenter
from tests.filled_detector import textured_photo
from tests.filled_segmenter import segmenter_run
from tests.made_class_records import write_class_records
from tests.made_mask_records import encoded, made_mask_record
from tests.programs import inspect
from tests.small_networks import PIXEL_NAMES as NAMES
from tests.small_networks import SEGMENTER as MODEL
from tests.small_networks import exported, small_segmenter
from tests.small_networks import small_networks_instead as small_networks_instead

SIZES = [(100, 140), (180, 90), (64, 64)]
SMALL = "--ckpt_path=segmenter"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for index, hw in enumerate(SIZES):
        Image.fromarray(textured_photo(*hw, seed=index)).save(folder / f"{index}.png")
    return folder


def assert_class_maps(folder, photos, segmenter, share=0.0):
    """<i>_classes.png are what the segmenter says, in colours; <i>.jpg are there."""
    for index, photo in enumerate(sorted(photos.iterdir())):
        raw = Image.open(folder / f"{index}_classes.png")
        assert raw.mode == "P" and raw.size == Image.open(photo).size
        assert (np.asarray(raw) != segmenter.predict(photo)).mean() <= share
        assert Image.open(folder / f"{index}.jpg").height >= raw.height


@pytest.mark.usefixtures("small_networks_instead")
def test_infer_with_class_maps(photos, tmp_path, capsys):
    code = inspect(
        "--runmode=infer", SMALL, f"--input_image={photos}/*.png",
        f"--output_image_dir={tmp_path}/out", "--raw_maps", "--nms_method=hard", "--batch_size=2",
    )  # fmt: skip
    printed = capsys.readouterr().out
    assert code == 0
    assert "--nms_method has no effect: the model is a segmenter" in printed
    segmenter = Segmenter.from_loaded(small_segmenter())
    assert_class_maps(tmp_path / "out", photos, segmenter)
    shares = np.bincount(segmenter.predict(photos / "0.png").ravel(), minlength=5) / (100 * 140)
    line = next(line for line in printed.splitlines() if "0.png -> " in line)
    for index, name in NAMES.items():
        assert (f"{name} {shares[index]:.1%}" in line) == (shares[index] >= 5e-4)


@pytest.mark.parametrize(
    ("flags", "options"),
    [
        (["--tile=96x64", "--tile_overlap=24"], {"overlap": 24}),
        (["--input_image_size=photo"], {"at_photo_size": True}),
    ],
)
@pytest.mark.usefixtures("small_networks_instead")
def test_infer_by_tiles_and_at_the_photos_size(photos, tmp_path, flags, options):
    (tmp_path / "in").mkdir()
    shutil.copy(photos / "0.png", tmp_path / "in")
    code = inspect(
        "--runmode=infer", SMALL, f"--input_image={tmp_path}/in",
        f"--output_image_dir={tmp_path}/out", "--raw_maps", *flags,
    )  # fmt: skip
    assert code == 0
    segmenter = Segmenter.from_loaded(small_segmenter(), **options)
    assert_class_maps(tmp_path / "out", tmp_path / "in", segmenter)


def test_saved_model_infer_by_tiles(photos, tmp_path):
    folder = exported("segmenter", result="logits")
    code = inspect(
        "--runmode=saved_model_infer", f"--saved_model_dir={folder}", f"--input_image={photos}",
        f"--output_image_dir={tmp_path}/out", "--raw_maps", "--tile=96x64", "--tile_overlap=24",
    )  # fmt: skip
    assert code == 0
    segmenter = Segmenter.from_loaded(small_segmenter(), overlap=24)
    assert_class_maps(tmp_path / "out", photos, segmenter, share=1e-3)


@pytest.mark.usefixtures("small_networks_instead")
def test_saved_model_and_benchmark(tmp_path, capsys):
    target = tmp_path / "export"
    code = inspect(
        "--runmode=saved_model", SMALL, f"--saved_model_dir={target}", "--batch_size=0",
        "--segmentation_output=logits",
    )  # fmt: skip
    assert code == 0
    metadata = Segmenter.from_checkpoint(target).metadata
    assert (metadata.batch_size, metadata.result, metadata.class_names) == (None, "logits", NAMES)
    code = inspect(
        "--runmode=saved_model_benchmark", f"--saved_model_dir={target}", "--bm_runs=2",
        "--batch_size=3",
    )  # fmt: skip
    printed = capsys.readouterr().out
    assert code == 0 and "FPS:" in printed and "batch 3" in printed


@pytest.mark.usefixtures("small_networks_instead")
def test_dry_counts_parts(tmp_path, capsys):
    assert inspect("--runmode=dry", SMALL, f"--logdir={tmp_path}") == 0
    printed = capsys.readouterr().out
    rows = {line[:20].strip(): line[20:].replace(",", "").split() for line in printed.splitlines()}
    parts = [np.array(rows[name], np.int64) for name in ("decoder", "backbone")]
    assert np.array_equal(sum(parts), np.array(rows["whole network"], np.int64))
    assert parts[0][:2].tolist() == [96 * 5 + 5] * 2
    assert parts[0][2] == pytest.approx(8 * 12 * 5 * (96 + 0.5), abs=1)  # A bias is half of one.


@pytest.mark.slow
@pytest.mark.published_depth
def test_dry_counts_as_published(tmp_path, capsys):
    code = inspect(
        "--runmode=dry", f"--model_name={MODEL}", "--task=segmentation", f"--logdir={tmp_path}",
        "--input_image_size=384", "--hparams=num_classes=21",
    )  # fmt: skip
    assert code == 0
    printed = capsys.readouterr().out
    lines = [line.replace(",", "") for line in printed.splitlines()]
    rows = {line[:20].strip(): line[20:].split() for line in lines}
    # Published: 0.08 million parameters, to the unit as the original counts them, 168.46M.
    assert rows["whole network"][0] == "80353"
    parts = np.array([rows["decoder"], rows["backbone"]], np.int64)
    assert parts.sum(axis=0).tolist() == [int(cell) for cell in rows["whole network"]]
    alone = float(printed.split("as EdgeNets count: ")[1].split("M")[0])
    assert alone == pytest.approx(168.46, rel=1e-3)


@pytest.mark.slow
@pytest.mark.usefixtures("small_networks_instead")
def test_export_compares_and_measures(photos, tmp_path, capsys):
    pytest.importorskip("ai_edge_litert")
    segmenter = Segmenter.from_loaded(small_segmenter())
    records = []
    for index, path in enumerate(sorted(photos.iterdir())):
        photo = np.asarray(Image.open(path))
        truth = segmenter.predict(photo)
        if index == 0:
            truth = np.where(truth == 1, 255, truth).astype(np.uint8)  # Ignored, not wrong.
        records.append(made_mask_record(index, photo.shape[:2], mask=truth, encoded=encoded(photo)))
    write_class_records(tmp_path / "val.tfrecord", records)
    formats = "saved_model,frozen,litert"
    code = inspect(
        "--runmode=export", SMALL, f"--saved_model_dir={tmp_path}/out", f"--format={formats}",
        f"--input_image={photos}", "--bm_runs=1",
        f"--val_file_pattern={tmp_path}/val.tfrecord", "--nms=none",
    )  # fmt: skip
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert "--nms has no effect: the model is a segmenter" in printed
    header, *lines = printed[printed.index("format ") :].splitlines()
    assert header.split() == "format file MB other class ms mIoU".split()
    table = {line.split()[0]: line.split() for line in lines}
    network = table.pop("network")
    assert list(table) == formats.split(",")
    for cells in table.values():
        assert float(cells[3].rstrip("%")) < 0.1 and cells[4:6] == ["of", "pixels"]
        assert float(cells[-2]) > 97 and cells[-2:] == [*network[1:], "ok"]


def test_a_video_with_classes(tmp_path, capsys):
    pytest.importorskip("av")
    from tests.video.made_video import read_video, write_video

    folder = exported("segmenter", result="class_map")
    write_video(tmp_path / "v.mp4", frames=4, size_hw=(192, 256))
    code = inspect(
        "--runmode=saved_model_video", f"--saved_model_dir={folder}",
        f"--input_video={tmp_path}/v.mp4", f"--output_video={tmp_path}/out.mp4",
    )  # fmt: skip
    printed = capsys.readouterr().out
    assert code == 0 and "Frames with each class: " in printed
    before, after = read_video(tmp_path / "v.mp4"), read_video(tmp_path / "out.mp4")
    assert after.pictures[0].shape == before.pictures[0].shape and len(after.pictures) == 4
    # The legend is inside: frames keep their size.
    changed = np.abs(after.pictures[2].astype(int) - before.pictures[2]).max(axis=-1) > 60
    assert changed[-30:, :100].mean() > 0.5


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--tile=96x64", "--input_image_size=64"], "remove --input_image_size"),
        (["--tile=96"], "tile_overlap=128 must be at least 0 and less than"),
        (["--tile_overlap=8"], "--tile_overlap needs --tile"),
        (["--tile=wide"], "wide"),
        (["--task=detection"], "is a run of segmentation, not of detection"),
    ],
)
def test_bad_input_gets_one_sentence(arguments, complaint, request, photos, tmp_path, capsys):
    if any("tile" in argument for argument in arguments):
        request.getfixturevalue("small_networks_instead")
        model = SMALL
    else:
        model = f"--ckpt_path={segmenter_run()}"
    code = inspect(
        "--runmode=infer", model, f"--input_image={photos}", f"--output_image_dir={tmp_path}/out",
        *arguments,
    )  # fmt: skip
    assert code == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and complaint in error
    assert not (tmp_path / "out").exists()


def test_exports_have_one_size(tmp_path, capsys):
    code = inspect(
        "--runmode=saved_model", "--ckpt_path=never_read", f"--saved_model_dir={tmp_path}/out",
        "--input_image_size=photo",
    )  # fmt: skip
    assert code == 1 and "exports and benchmarks need one fixed size" in capsys.readouterr().err
