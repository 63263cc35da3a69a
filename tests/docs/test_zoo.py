"""The model zoo says what the code builds: page, charts and counts are those of the networks."""

import shlex
import subprocess

import pytest
from PIL import Image

from docs.pictures import digest, digest_of
from docs.zoo.__main__ import PAGE
from docs.zoo.charts import CHARTS, FOLDER, chart_data
from docs.zoo.counts import count, count_missing, read_counts
from docs.zoo.elsewhere import further_sets
from docs.zoo.page import fetch_command, load_command, page
from docs.zoo.rows import TASKS, quantity, rows
from efficientvision.registry import list_models

ROWS = rows()
COUNTS = read_counts()
STALE = "is not what the code says: run `make zoo`"
SMALL = ('classification: build_model("shufflenetv2_s_0.1")',)
# One of each task and family.
MIDDLE = (
    'detection: build_model("efficientdet-d0", fpn_name="qufpn")',
    'detection: build_model("shufflenetv2_s_0.5", task="detection")',
    'classification: build_model("efficientnet-b0")',
    'classification: build_model("dicenet_s_0.2")',
    'segmentation: build_model("espnetv2_s_0.5", task="segmentation", image_size="256x256", '
    "num_classes=21)",
)


@pytest.mark.parametrize("task", TASKS)
def test_every_model_of_the_registry_has_a_row(task):
    assert {row.model for row in ROWS if row.task == task} == set(list_models(task))
    assert len({row.key for row in ROWS}) == len(ROWS)


def test_every_row_was_counted():
    assert list(COUNTS) == [row.key for row in ROWS], f"docs/zoo/counts.json {STALE}"


def test_the_page_is_that_of_the_code():
    assert PAGE.read_text(encoding="utf-8") == page(ROWS, COUNTS), f"{PAGE.name} {STALE}"


@pytest.mark.parametrize("task", TASKS)
def test_the_charts_show_the_rows(task):
    data = chart_data(ROWS, COUNTS, task)
    path = FOLDER / CHARTS[task].file
    assert digest_of(path) == digest(data), f"{path.name} {STALE}"
    with Image.open(path) as image:
        assert image.width > 1000
    plotted = {(name, label) for *_, lines in data for name in lines for label, *_ in lines[name]}
    assert len(plotted) == {"detection": 19, "classification": 27, "segmentation": 40}[task]


@pytest.mark.slow
@pytest.mark.parametrize("key", [*SMALL, *MIDDLE])
def test_counts_are_those_of_the_networks(key):
    row = next(row for row in ROWS if row.key == key)
    assert count(row) == COUNTS[key], f"docs/zoo/counts.json {STALE} --recount"


@pytest.mark.parametrize("row", [row for row in ROWS if row.source], ids=lambda row: row.key)
def test_counts_are_near_the_published_ones(row):
    """Quoted figures are rounded, some cut off; EfficientNet's authors count a little otherwise."""
    counted = COUNTS[row.key]
    name = "convolutions" if row.source == "edgenets" else "multiply_adds"
    for text, number in ((row.parameters, "parameters"), (row.multiply_adds, name)):
        if text and not (row.note and text == row.multiply_adds):
            rounding = 0.5 * 10 ** -len(text[:-1].partition(".")[2]) * quantity(f"1{text[-1]}")
            assert counted[number] == pytest.approx(quantity(text), rel=0.06, abs=rounding)


def test_commands():
    commands = {row.key: (fetch_command(row), load_command(row)) for row in ROWS}
    assert commands['detection: build_model("efficientdet-d1")'] == (
        "dataset/download_efficientdet.sh efficientdet-d1",
        'model = ev.build_model("efficientdet-d1"); ev.load_weights(model, "efficientdet-d1")',
    )
    key = (
        'segmentation: build_model("dicenet_s_1.0", task="segmentation", image_size="1024x512", '
        "num_classes=20)"
    )
    assert commands[key] == (
        "dataset/download_edgenets.sh dicenet_s_1.0_city_1024x512",
        f"model = ev.{key.partition(': ')[2]}; "
        'ev.load_weights(model, "dicenet_s_1.0_city_1024x512.pth")',
    )
    key = 'classification: build_model("dicenet_s_2.4")'
    assert commands[key] == (None, 'model = ev.build_model("dicenet_s_2.4")')


FURTHER = [(s, model, name) for s in further_sets() for model, name, *_ in s.weights]


def test_further_weights_are_of_networks_in_the_registry():
    known = {task: set(list_models(task)) for task in TASKS}
    for further, model, name in FURTHER:
        assert model in known[further.task], name
    assert len({(further.title, name) for further, _, name in FURTHER}) == len(FURTHER)
    assert all(len(row) == 3 + len(s.metrics) for s in further_sets() for row in s.weights)


@pytest.mark.parametrize("script", ["efficientdet", "edgenets", "vfpn", "weights"])
def test_download_scripts_know_what_is_published(script, repository):
    """They refuse an unknown name before they come to `--help`."""
    program = f"dataset/download_{script}.sh"
    commands = [command for row in ROWS if (command := fetch_command(row))]
    commands += [further.commands(model, name)[0] for further, model, name in FURTHER]
    names = [name for command in commands for name in shlex.split(command) if program in command]
    for arguments, accepted in ((set(names) - {program}, True), ({"--efficientdet-d9"}, False)):
        result = subprocess.run(
            ["bash", program, *arguments, "--help"], cwd=repository, capture_output=True
        )
        assert (result.returncode == 0) == accepted, result.stderr.decode()


def test_counting_goes_on_where_it_was(tmp_path, monkeypatch):
    """What is known is not counted again, what is no longer in the zoo goes, order is kept."""
    path = tmp_path / "counts.json"
    asked = []

    def stop_at_third(row):
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(row.key)
        return {"parameters": len(asked)}

    path.write_text('{"an old network": {"parameters": 7}}')
    monkeypatch.setattr("docs.zoo.counts.count", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        count_missing(ROWS[:4], lambda line: None, path)
    assert list(read_counts(path)) == asked == [row.key for row in ROWS[:2]]
    asked.clear()
    counts = count_missing(ROWS[:4], lambda line: None, path)
    assert asked == [row.key for row in ROWS[2:4]]
    assert counts == read_counts(path)
    assert list(counts) == [row.key for row in ROWS[:4]]
