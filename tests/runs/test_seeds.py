"""Several seeds of one training: their folders, what is written of them, and what is refused."""

import json
import pathlib
import shutil

import pytest

import efficientvision as ev
from efficientvision.configs.run_options import RunOptions
from efficientvision.errors import UserError
from efficientvision.loading import load_model
from efficientvision.runs import seeds
from efficientvision.runs.calls import finished_seeds
from efficientvision.runs.seed_checks import check_seeds
from efficientvision.tasks.choice import get_config
from efficientvision.training.tables import read_table, write_table
from efficientvision.weights.hub import local_path
from tests.trained_runs import data_folder, eagerly

_VALUES = (0.5, 0.7, 0.6)


def _options(folder, **more):
    given = {"model_name": "efficientdet-d0", "model_dir": str(folder), "mode": "train_and_eval"}
    given |= {"seeds": 3, **more}
    return RunOptions(**given, written=frozenset(given))


def _trained(options):
    """Leaves what a training would: one evaluation, of the value of its seed."""
    folder = options.model_dir
    config = get_config(options.model_name, {"seed": options.seed, "num_classes": 2})
    files = pathlib.Path(folder)
    (files / "archive").mkdir(parents=True)
    (files / "config.yaml").write_text(config.to_yaml())
    value = _VALUES[options.seed - 4]
    best = {"step": 10, "images": 8, "AP": value, "APs": -1.0, "AP_/cat": value}
    (files / "archive" / "best_eval.txt").write_text(json.dumps(best))
    write_table(folder, "results.csv", [{"step": 10, "loss": 1.0, "AP": value}])
    write_table(folder, "per_class.csv", [{"id": 1, "class": "cat", "AP": value}])
    return 0


@pytest.fixture
def folder(tmp_path):
    assert seeds.train_seeds(_options(tmp_path / "run", seed=4), _trained) == 0
    return tmp_path / "run"


@pytest.fixture
def pageless(tmp_path, monkeypatch):
    """The same without the page, whose plots take seconds."""
    monkeypatch.setattr(seeds, "write_seeds_page", lambda *_: "report.html")
    assert seeds.train_seeds(_options(tmp_path / "run", seed=4), _trained) == 0
    return tmp_path / "run"


def test_mean_spread_and_best(folder):
    table = json.loads((folder / "seeds.json").read_text())
    assert table["seeds"] == [4, 5, 6] and table["best"] == "seed-1" and table["metric"] == "AP"
    assert table["mean"]["AP"] == pytest.approx(0.6) and "APs" not in table["mean"]
    assert table["standard_deviation"]["AP"] == pytest.approx(0.1)
    rows = read_table(folder, "seeds.csv")
    assert [(row["run"], row["seed"], row["AP"]) for row in rows] == [
        ("seed-0", "4", "0.5"),
        ("seed-1", "5", "0.7"),
        ("seed-2", "6", "0.6"),
    ]
    page = (folder / "report.html").read_text()
    assert 'href="seed-2/report.html"' in page and "60.0 ± 10.0" in page
    found = finished_seeds(folder)
    assert found.best is found.runs[1] and found.spread["AP"] == pytest.approx(0.1)
    message = seeds.sum_up(str(folder))
    assert "AP 60.0 ± 10.0" in message and "Best: seed-1" in message and "optimistic" in message


def test_the_folder_stands_for_its_best_run(folder):
    assert local_path(folder) == str(folder / "seed-1" / "best")
    assert local_path(folder / "seed-0") == str(folder / "seed-0")
    (folder / "seeds.json").write_text('{"seeds": [0], "best": null}')
    with pytest.raises(UserError, match=r"none was evaluated: name one of them.*seed-0"):
        local_path(folder)
    (folder / "seeds.json").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        local_path(folder)


def test_runs_of_other_settings_are_told(pageless, caplog):
    """As after a repeated command that changed them: finished runs keep theirs."""
    folder = pageless
    seeds.sum_up(str(folder))
    assert "differ" not in caplog.text
    config = folder / "seed-2" / "config.yaml"
    config.write_text(config.read_text().replace("learning_rate: 0.08", "learning_rate: 0.01"))
    seeds.sum_up(str(folder))
    assert "learning_rate is 0.08 in seed-0 and 0.01 in seed-2" in caplog.text


def test_runs_that_lack_are_counted(pageless):
    shutil.rmtree(pageless / "seed-1")
    message = seeds.sum_up(str(pageless))
    assert message.startswith("2 of 3 seeds (others: not evaluated): AP 55.0")


def test_repeating_the_command_mends_a_damaged_table(pageless):
    folder = pageless
    (folder / "seeds.json").write_text("{")
    assert seeds.train_seeds(_options(folder, seed=4), lambda options: 0) == 0
    assert json.loads((folder / "seeds.json").read_text())["best"] == "seed-1"


def test_an_interrupted_run_ends_all_and_repeating_goes_on(tmp_path):
    asked = []

    def train_one(options):
        asked.append((options.model_dir[-6:], options.seed, options.seeds))
        return 130 if len(asked) == 2 else _trained(options) if len(asked) != 3 else 0

    options = _options(tmp_path, seed=4)
    assert seeds.train_seeds(options, train_one) == 130
    assert seeds.train_seeds(options, train_one) == 0
    first, second, third = (("seed-0", 4, 1), ("seed-1", 5, 1), ("seed-2", 6, 1))
    assert asked == [first, second, first, second, third]
    with pytest.raises(UserError, match="began with `seed=4`, not 7"):
        seeds.train_seeds(_options(tmp_path, seed=7), train_one)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"seeds": 0}, "at least 1"),
        ({"mode": "eval"}, "is for training"),
        ({"strategy": "multi_worker"}, "several workers"),
    ],
)
def test_refused(tmp_path, more, message):
    with pytest.raises(UserError, match=message):
        check_seeds(_options(tmp_path, **more))


def test_one_run_and_several_do_not_share_a_folder(folder):
    check_seeds(_options(folder))
    with pytest.raises(UserError, match="has runs of several seeds"):
        check_seeds(_options(folder, seeds=1))
    with pytest.raises(UserError, match="is the folder of one run"):
        check_seeds(_options(folder / "seed-0"))


@pytest.mark.slow
def test_a_seed_of_several_is_the_run_of_that_seed(tmp_path):
    """Trained, loaded, evaluated and repeated; bit for bit as alone."""
    call = {"data": data_folder("classification"), "num_epochs": 1, "image_size": 32, "seed": 3}
    name = "shufflenetv2_s_0.1"
    with eagerly():
        found = ev.train(name, model_dir=tmp_path / "all", seeds=2, **call)
        again = ev.train(name, model_dir=tmp_path / "all", seeds=2, **call)
        alone = ev.train(name, model_dir=tmp_path / "one", **{**call, "seed": 4})
        assert again == found and found.runs[1].metrics == alone.metrics
        assert found.runs[0].metrics != alone.metrics
        values = ev.evaluate(tmp_path / "all", call["data"])
        compared = ev.compare(tmp_path / "all", tmp_path / "one", call["data"])
    assert compared.runs == (2, 1) and compared.metric == "top1"
    assert compared.differences["top1"].second == pytest.approx(alone.metrics["top1"], abs=1e-6)
    assert values["top1"] == pytest.approx(found.best.metrics["top1"], abs=1e-6)
    model = load_model(tmp_path / "all").model
    assert model.count_params() > 0
