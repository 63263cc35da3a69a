"""`ev.push`: what leaves this machine, the model card, and the way back."""

import json
import logging

import numpy as np
import pytest
import yaml

pytest.importorskip("huggingface_hub")

from efficientvision.errors import UserError  # noqa: E402
from efficientvision.runs import push as push_module  # noqa: E402
from efficientvision.runs.push import push  # noqa: E402
from efficientvision.training.checkpoints import Checkpoint, write_checkpoint  # noqa: E402
from efficientvision.weights.checkpoint_reader import open_checkpoint  # noqa: E402
from efficientvision.weights.names import name_from_keras_path  # noqa: E402
from tests.fake_hub import TOKEN, connect, serving  # noqa: E402
from tests.small_networks import CLASS_NAMES, small_classifier  # noqa: E402

METRICS = {"top1": 0.75, "val_loss": 1.5}


@pytest.fixture(scope="module")
def server():
    with serving() as hub:
        yield hub


@pytest.fixture
def hub(server, tmp_path, monkeypatch):
    connect(server, tmp_path / "cache", monkeypatch)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return server


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with its best checkpoint at step 2 of 4, which has averages."""
    loaded, folder = small_classifier(), tmp_path_factory.mktemp("run")
    weights = {v.path: np.array(v) for v in loaded.model.weights}
    raw = {path: value + 1 for path, value in weights.items()}
    (folder / "archive").mkdir()
    write_checkpoint(folder / "archive" / "ckpt-2.npz", Checkpoint(raw, 2, ema=weights))
    write_checkpoint(folder / "ckpt-4.npz", Checkpoint(raw, 4))
    config = {**loaded.config.as_dict(), "label_map": str(folder / "my names.yaml")}
    (folder / "config.yaml").write_text(yaml.safe_dump(_plain(config)))
    best = {"step": 2, "images": 40, **METRICS}
    for name, content in {
        "labels.json": CLASS_NAMES,
        "archive/best_eval.txt": best,
        "evaluation.json": {"step": 4, "images": 40, "metrics": {"top1": 0.5}},
        "run.json": {"examples_per_epoch": 160, "training_files": str(folder / "a.tfrecord")},
        "data.json": {"data_dir": str(folder)},
    }.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "per_class.csv").write_text("id,class,images\n1,ant,7\n")
    (folder / "command.txt").write_text("efficientvision train secret\n")
    (folder / "val_predictions.jpg").write_bytes(b"photo")
    (folder / "mistakes.jpg").write_bytes(b"photo")
    return folder


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value


@pytest.fixture
def no_network(monkeypatch):
    """Nor built again: this one has fewer layers than the network of its name."""
    monkeypatch.setattr(push_module, "load_model", lambda path: small_classifier())


def test_there_and_back(hub, run, caplog, no_network):
    """The averaged weights of the best checkpoint come back from the hub."""
    caplog.set_level(logging.INFO)
    done = push(run, "user/ants", license="apache-2.0", datasets="user/ant-photos")
    files = hub.repos["user/ants"]["main"]
    assert done.address == "hf://user/ants" and done.url.endswith(hub.commit("user/ants", "main"))
    assert (
        set(files)
        == set(done.files)
        == {*("README.md", "config.yaml", "evaluation.json", "labels.json", "model.safetensors")}
    )
    assert "Uploading 5 files" in caplog.text and "per_class.csv is left out" in caplog.text
    assert all(str(run).encode() not in content for content in files.values())
    card = files["README.md"].decode()
    front, text = card.removeprefix("---\n").split("\n---\n", 1)
    front = yaml.safe_load(front)
    assert front["license"] == "apache-2.0" and front["datasets"] == ["user/ant-photos"]
    assert (front["library_name"], front["pipeline_tag"]) == (
        *("efficientvision", "image-classification"),
    )
    measured = front["model-index"][0]["results"][0]["metrics"]
    assert [(one["type"], one["value"]) for one in measured] == [("top1", 0.75)]
    assert "| 75.0 |" in text and "On 40 held-out photos" in text and "| photos | 160 |" in text
    assert 'ev.load("hf://user/ants")' in text and "50.0" not in text and "secret" not in text
    reader = open_checkpoint("hf://user/ants")
    for variable in small_classifier().model.weights:
        name = name_from_keras_path(variable.path)
        np.testing.assert_array_equal(reader.read(name), np.array(variable))


def test_options_of_the_repository(hub, run, no_network):
    push(run, "hf://user/a", private=True, revision="v2", message="Second", pictures=True)
    assert set(hub.repos["user/a"]) == {"main", "v2"} and hub.messages == ["Second"]
    assert {"val_predictions.jpg", "mistakes.jpg"} <= set(hub.repos["user/a"]["v2"])
    assert "user/a" in hub.private
    hub.add("user/open", README__md=b"old")
    with pytest.raises(UserError, match="hf://user/open exists and is public, but `private`"):
        push(run, "user/open", private=True)
    assert hub.repos["user/open"]["main"] == {"README.md": b"old"}


def test_the_latest_checkpoint_and_its_table(run, tmp_path, no_network):
    push(run, "user/a", last=True, dry_run=True, folder=str(tmp_path / "card"))
    assert (tmp_path / "card" / "per_class.csv").exists()
    assert "| ant |" in (tmp_path / "card" / "README.md").read_text()
    facts = json.loads((tmp_path / "card" / "evaluation.json").read_text())
    assert facts == {"step": 4, "images": 40, "metrics": {"top1": 0.5}}


def test_exports_of_a_folder(run, tmp_path, no_network):
    exports = tmp_path / "exports"
    (exports / "saved_model" / "variables").mkdir(parents=True)
    for name in ("a.tflite", "a.json", "notes.txt", "saved_model/saved_model.pb"):
        (exports / name).write_bytes(b"1")
    folder = str(tmp_path / "card")
    done = push(run, "user/a", exports=str(exports), dry_run=True, folder=folder)
    assert {name for name in done.files if name.startswith("exports/")} == {
        *("exports/a.tflite", "exports/a.json", "exports/saved_model/saved_model.pb")
    }
    assert "| `exports/a.tflite` |" in (tmp_path / "card" / "README.md").read_text()


def test_a_path_of_this_machine_stops_everything(hub, run, tmp_path, no_network):
    exports = tmp_path / "exports"
    exports.mkdir()
    (exports / "a.onnx").write_bytes(b"made in " + str(run).encode())
    with pytest.raises(UserError, match="exports/a.onnx was not uploaded, .* contains the path"):
        push(run, "user/a", exports=str(exports), folder=str(tmp_path / "card"))
    assert not hub.repos and not (tmp_path / "card").exists()


@pytest.mark.parametrize(
    ("repo", "options", "message"),
    [
        ("user/a/b", {}, "names a file: a model is published as a repository"),
        ("user", {}, "expected hf://user/repo"),
        ("user/a@v1", {"revision": "v2"}, "both name a branch"),
        ("user/a", {"license": "My Own"}, "expected a name as the hub writes it"),
        ("user/a", {"licence": "mit"}, "Unknown option licence. .*license"),
        ("user/a", {"formats": "tflite"}, "`formats=tflite`: unknown"),
        ("user/a", {"dry_run": True}, "`dry_run` needs `folder`"),
        ("user/a", {"exports": "none"}, "none is not a folder"),
    ],
)
def test_mistakes(run, repo, options, message, no_network):
    with pytest.raises(UserError, match=message):
        push(run, repo, **options)


def test_refusals_of_the_hub(hub, run, no_network, monkeypatch, tmp_path):
    with pytest.raises(UserError, match="is not a run's folder"):
        push(tmp_path, "user/a")
    monkeypatch.setenv("HF_TOKEN", "hf_reader")
    with pytest.raises(UserError, match=r"does not let you write to hf://user/a \(HTTP 403\)"):
        push(run, "user/a")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UserError, match="hf://user/a cannot be written: you are not logged in"):
        push(run, "user/a")
    assert not hub.repos
