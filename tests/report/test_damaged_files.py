"""The report of a folder in which any file is damaged: drawn without it, said in a line."""

import json
import shutil

import pytest

from efficientvision.errors import UserError
from efficientvision.report import build as build_module
from efficientvision.report.build import build_report
from efficientvision.report.evaluation_files import add_evaluation
from efficientvision.report.history import LossHistory
from efficientvision.report.observer import said_in_a_line
from efficientvision.report.run_files import SOURCES
from tests.programs import train_program
from tests.report.made_run import write_made_run

JSON = ("run.json", "evaluation.json", "archive/best_eval.txt")


def _wrong_types(content):
    """JSON whose values are all of another kind."""
    values = json.loads(content)
    return json.dumps(dict.fromkeys(values, ["x"])).encode()


DAMAGES = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "zeros": lambda content: bytes(len(content)),
    "noise": lambda content: bytes(range(256)) * 4,
    "other text": lambda content: b"a,b\n1,2,3\n- {x: [1\n",
    "a list": lambda content: b"[1, 2]",
    "wrong types": lambda content: content,
    "other columns": lambda content: b"step,class,truth\nx,y,z\n5\n",
}


def _damaged(name, content, damage):
    if damage == "wrong types":
        if name in JSON:
            return _wrong_types(content)
        if name == "config.yaml":
            return b"name: [1]\nnum_classes: {}\ntask: [x]\nlearning_rate: fast\noptimizer: sgd\n"
        return content.replace(b"0", b"zero")
    return DAMAGES[damage](content)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = write_made_run(tmp_path_factory.mktemp("whole"))
    add_evaluation(folder, 300, {"AP": 0.25})
    return folder


def _look(whole, folder, name, damage):
    shutil.copytree(whole, folder)
    path = folder / name
    path.write_bytes(_damaged(name, path.read_bytes(), damage))
    said = []
    try:
        page = build_report(folder, said.append)
    except UserError as error:
        assert "\n" not in error.sentence and "damaged" in error.sentence
        return
    text = open(page, encoding="utf8").read()
    assert "</html>" in text
    assert len(said) <= 1
    for line in said:
        assert str(path) in line and "damaged" in line and "\n" not in line
    if damage in ("zeros", "noise"):
        assert said, f"{name}: {damage} is not said"


@pytest.mark.parametrize("name", SOURCES)
def test_any_one_file(whole, tmp_path, name, monkeypatch):
    monkeypatch.setattr(build_module, "can_plot", lambda: False)
    of_picture = name.endswith(".jpg")  # Plots have nothing of it.
    for damage in DAMAGES if of_picture else ("noise", "wrong types"):
        _look(whole, tmp_path / damage, name, damage)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SOURCES if not name.endswith(".jpg")])
def test_any_one_file_with_plots(whole, tmp_path, name, monkeypatch):
    """Plots take seconds: they are drawn for the damages that leave something to read."""
    drawn = ("cut", "wrong types") if name.endswith(".csv") else ("wrong types",)
    for damage in drawn:
        _look(whole, tmp_path / damage, name, damage)
    monkeypatch.setattr(build_module, "can_plot", lambda: False)
    for damage in DAMAGES.keys() - set(drawn):
        _look(whole, tmp_path / damage, name, damage)


def test_several_files_at_once(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(build_module, "can_plot", lambda: False)
    folder = shutil.copytree(whole, tmp_path / "run")
    names = ["run.json", "per_class.csv", "train_batch.jpg"]
    for name in names:
        (folder / name).write_bytes(b"\xff[")
    said = []
    build_report(folder, said.append)
    assert [any(name in line for line in said) for name in names] == [True] * 3
    assert len(said) == 3


def test_rows_without_a_step_are_counted(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(build_module, "can_plot", lambda: False)
    folder = shutil.copytree(whole, tmp_path / "run")
    with open(folder / "losses.csv", "a") as file:
        file.write("x,50,1\n,,\n")
    said = []
    build_report(folder, said.append)
    assert said == [f"{folder / 'losses.csv'}: 2 damaged rows are not in the report."]


def test_the_command_ends_well(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(build_module, "can_plot", lambda: False)
    folder = shutil.copytree(whole, tmp_path / "run")
    (folder / "run.json").write_text("[")
    done = train_program("--mode=report", f"--model_dir={folder}")
    assert done.code == 0 and "run.json is damaged and not in the report" in done.stdout
    for path in folder.iterdir():
        if path.is_file() and path.suffix in (".csv", ".json", ".yaml"):
            path.write_bytes(b"\xff\x00[")
    done = train_program("--mode=report", f"--model_dir={folder}")
    assert done.code == 0, done.stderr
    assert done.stdout.count("is damaged and not in the report") >= 7


def test_losses_of_before_that_are_damaged(tmp_path, capsys):
    (tmp_path / "losses.csv").write_bytes(b"\xff\x00")
    history = LossHistory(tmp_path, 5)
    history.add(6, 1, 0.5, {"loss": 1.0})
    history.write()
    assert "losses.csv.damaged" in capsys.readouterr().out
    (tmp_path / "losses.csv").write_text("step,steps,loss\n2,2,x\nx,1,2\n4,,1\n5,1,3\n")
    LossHistory(tmp_path, 5).write()
    assert (tmp_path / "losses.csv").read_text() == "step,steps,loss\n2,2,\n5,1,3\n"


@pytest.mark.parametrize("error", [UserError("a"), UnicodeDecodeError("utf8", b"", 0, 1, "b")])
def test_whatever_fails_of_a_page_does_not_end_a_training(error, capsys):
    with said_in_a_line("report.html"):
        raise error
    assert "Could not write report.html" in capsys.readouterr().out
