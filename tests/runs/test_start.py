"""Option `start_from`: what a file becomes, what it excludes, what a resumed run notes."""

import pytest

from efficientvision.configs.run_options import options_from
from efficientvision.errors import UserError
from efficientvision.runs import start
from efficientvision.weights.identify import Identified

LITE0, B0 = "efficientnet-lite0", "efficientnet-b0"
CLASSIFIER = Identified(LITE0, (LITE0,), LITE0, num_classes=1000)
ESPNET = Identified("espnetv2_s_1.0", ("espnetv2_s_1.0",), "espnetv2_s_1.0", task="classification")


def detector(name, backbone):
    return Identified(name, (name,), backbone, fpn_name="bifpn", num_classes=90)


def ssd(backbone):
    return Identified(backbone, (backbone,), backbone, task="detection", num_classes=21)


def options(model, tmp_path, **more):
    return options_from({"model_name": model, "model_dir": str(tmp_path / "run"), **more})


@pytest.fixture
def files(monkeypatch):
    """Files by name, and the ImageNet weights that are "installed"."""
    known = {"imagenet.pth": CLASSIFIER}
    monkeypatch.setattr(start, "identify", known.__getitem__)
    for name in ("find_imagenet", "installed_imagenet"):
        monkeypatch.setattr(start, name, {LITE0: "imagenet.pth"}.get)
    return known


@pytest.mark.parametrize(
    ("model", "task", "found", "used"),
    [
        ("efficientdet-lite0", None, CLASSIFIER, "backbone_ckpt"),
        ("efficientdet-lite0", None, detector("efficientdet-lite0", LITE0), "ckpt"),
        ("efficientdet-lite0", None, ssd(LITE0), "backbone_ckpt"),
        (LITE0, "detection", ssd(LITE0), "ckpt"),
        (LITE0, "detection", detector("efficientdet-lite0", LITE0), "backbone_ckpt"),
        (LITE0, "classification", CLASSIFIER, "ckpt"),
        (LITE0, "classification", detector("efficientdet-lite0", LITE0), "backbone_ckpt"),
        ("espnetv2_s_1.0", "classification", ESPNET, "ckpt"),
        ("espnetv2_s_1.0", "segmentation", ESPNET, "backbone_ckpt"),
        ("efficientdet-d0", "segmentation", detector("efficientdet-d0", B0), "ckpt"),
        ("efficientdet-d0", "segmentation", Identified(B0, (B0,), B0), "backbone_ckpt"),
    ],
)
def test_the_file_decides(files, tmp_path, model, task, found, used):
    files["own"] = found
    got = start.resolve(options(model, tmp_path, task=task, start_from="own"))
    assert {"ckpt": got.ckpt or "", "backbone_ckpt": got.backbone_ckpt} == {
        "ckpt": "", "backbone_ckpt": "", used: "own"
    }  # fmt: skip


def test_another_network_is_refused_by_name(files, tmp_path):
    files["own"] = detector("efficientdet-d1", "efficientnet-b1")
    asked = options("efficientdet-d0", tmp_path, start_from="own")
    with pytest.raises(UserError, match="has efficientdet-d1 with 90 classes on efficientnet-b1"):
        start.resolve(asked)
    files["own"] = Identified()
    with pytest.raises(UserError, match="needs a checkpoint of itself or of its backbone"):
        start.resolve(asked)
    with pytest.raises(UserError, match="exported model"):
        start.resolve(asked.replace(start_from="model.onnx"))


def test_imagenet_by_name_and_by_default(files, tmp_path, capsys):
    model = "efficientdet-lite0"
    for more in ({"start_from": "imagenet"}, {"backbone_ckpt": "imagenet"}, {"defaults": "data"}):
        assert start.resolve(options(model, tmp_path, **more)).backbone_ckpt == "imagenet.pth"
    assert "Starting from them by default" in capsys.readouterr().out
    for more in ({}, {"start_from": "none", "defaults": "data"}):
        assert not start.resolve(options(model, tmp_path, **more)).backbone_ckpt
    own = start.resolve(options(model, tmp_path, ckpt="own", defaults="data"))
    assert (own.ckpt, own.backbone_ckpt) == ("own", "")
    other = start.resolve(options("efficientdet-d0", tmp_path, defaults="data"))
    assert not other.backbone_ckpt


def test_two_starts_exclude_each_other(tmp_path):
    for name in ("ckpt", "backbone_ckpt"):
        asked = options("efficientdet-d0", tmp_path, **{"start_from": "a", name: "b"})
        with pytest.raises(UserError, match=f"`start_from=a` and `{name}=b` exclude each other"):
            start.check_options(asked)
    with pytest.raises(UserError, match="is for training"):
        start.check_options(options("efficientdet-d0", tmp_path, mode="eval", start_from="a"))


def test_a_resumed_run_opens_nothing(monkeypatch, tmp_path, capsys):
    began = options("efficientdet-d0", tmp_path, start_from="gone", backbone_ckpt="gone")
    (tmp_path / "run").mkdir()
    start.write(began.model_dir, began)
    monkeypatch.setattr(start, "latest_checkpoint", lambda folder: "ckpt-3.npz")
    for asked in ("", "gone"):
        again = start.resolve(options("efficientdet-d0", tmp_path, start_from=asked))
        assert (again.start_from, again.backbone_ckpt, again.ckpt) == ("gone", "gone", None)
    assert capsys.readouterr().out == ""
    start.resolve(options("efficientdet-d0", tmp_path, start_from="imagenet"))
    assert "has no effect" in capsys.readouterr().out
