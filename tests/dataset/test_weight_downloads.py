"""Downloads of published weights, from a server on this machine."""

import pathlib
import shutil

import pytest

from tests.dataset.download_scripts import run, tar
from tests.dataset.file_server import File, serving

pytestmark = pytest.mark.skipif(
    not (shutil.which("bash") and shutil.which("curl")), reason="needs bash and curl"
)

CONTENT = bytes(range(256))


@pytest.fixture
def server():
    with serving() as running:
        yield running


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (["efficientdet-d0"], "/efficientdet/coco2/efficientdet-d0.tar.gz"),
        (["efficientdet-lite3"], "/efficientdet/coco/efficientdet-lite3.tgz"),
        (["efficientnet-b1"], "/efficientnet/ckptsaug/efficientnet-b1.tar.gz"),
        (
            ["efficientnet-b1", "--variant=noisystudent"],
            "/efficientnet/noisystudent/noisy_student_efficientnet-b1.tar.gz",
        ),
        (["efficientnet-lite0"], "/efficientnet/lite/efficientnet-lite0.tar.gz"),
    ],
)
def test_efficientdet_and_efficientnet(server, tmp_path, arguments, path):
    server.files[path] = File(tar(**{f"{arguments[0]}__checkpoint": b"x"}), publishes_md5=True)
    done = run(
        "download_efficientdet.sh",
        *arguments,
        f"--output_dir={tmp_path}",
        CHECKPOINT_URL=server.url,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / arguments[0] / "checkpoint").exists()


@pytest.mark.parametrize(
    ("arguments", "path", "folder"),
    [
        (
            ["efficientdet-d0-advprop"],
            "/efficientdet/advprop/efficientdet-d0.tar.gz",
            "efficientdet-d0-advprop",
        ),
        (
            ["efficientnet-b1", "--variant=advprop"],
            "/efficientnet/advprop/efficientnet-b1.tar.gz",
            "efficientnet-b1-advprop",
        ),
        (
            ["efficientdet-d2-640"],
            "/efficientdet/coco640/efficientdet-d2-640.tar.gz",
            "efficientdet-d2-640",
        ),
    ],
)
def test_sets_that_only_a_folder_tells_apart(server, tmp_path, arguments, path, folder):
    """Beside the usual checkpoint, whose archive and folder may have the same name."""
    model = arguments[0].removesuffix("-advprop")
    (tmp_path / model).mkdir()
    (tmp_path / model / "usual").touch()
    server.files[path] = File(tar(**{f"{model}__checkpoint": b"x"}))
    given = (*arguments, f"--output_dir={tmp_path}", "--remove_archives")
    done = run("download_efficientdet.sh", *given, CHECKPOINT_URL=server.url)
    assert done.returncode == 0, done.stderr
    assert {p.name for p in tmp_path.iterdir()} == {".unpacked", folder, model}
    assert (tmp_path / folder / "checkpoint").exists() and (tmp_path / model / "usual").exists()


@pytest.mark.parametrize(
    ("name", "path", "file"),
    [
        (
            "effdet:tf_efficientdet_d0_ap",
            "/tf_efficientdet_d0_ap-d0cdbd0a.pth",
            "tf_efficientdet_d0_ap.pth",
        ),
        (
            "timm:tf_efficientnet_b0.ns_jft_in1k",
            "/timm/tf_efficientnet_b0.ns_jft_in1k/resolve/main/model.safetensors",
            "tf_efficientnet_b0.ns_jft_in1k.safetensors",
        ),
    ],
)
def test_weights_of_other_packages(server, tmp_path, name, path, file):
    server.files[path] = File(CONTENT)
    given = (name, f"--output_dir={tmp_path}")
    done = run("download_weights.sh", *given, EFFDET_URL=server.url, HUB_URL=server.url)
    assert done.returncode == 0, done.stderr
    assert [p.name for p in tmp_path.iterdir()] == [file]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("espnetv2_s_2.0", "classification/model_zoo/espnetv2/espnetv2_s_2.0_imagenet_224x224"),
        ("dicenet_s_1.75_city_1024x512", "segmentation/model_zoo/dicenet/{name}"),
        ("espnetv2_s_2.0_pascal_384x384.pth", "segmentation/model_zoo/espnetv2/{name}"),
        ("espnetv2_s_2.0_pascal_300x300", "detection/model_zoo/espnetv2/{name}"),
    ],
)
def test_edgenets(server, tmp_path, name, path):
    path = path.format(name=name.removesuffix(".pth"))
    server.files[f"/model/{path}.pth"] = File(CONTENT)
    done = run("download_edgenets.sh", name, f"--output_dir={tmp_path}", EDGENETS_URL=server.url)
    assert done.returncode == 0, done.stderr
    assert [p.name for p in tmp_path.iterdir()] == [f"{pathlib.PurePath(path).name}.pth"]
