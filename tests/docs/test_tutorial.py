"""The tutorial runs from its first cell to its last, and its detectors agree."""

import json
import os
import sys

import pytest

TUTORIAL = "docs/tutorial.ipynb"
# Added behind the last cell: the exported network finds what the trained one found.
CHECK = """
import numpy as np

again = exported(photo)
assert len(detections) and again.names == detections.names, (detections, again)
np.testing.assert_allclose(again.boxes_yxyx, detections.boxes_yxyx, atol=1)
np.testing.assert_allclose(again.scores, detections.scores, atol=0.01)
"""
# A reader's network sees 6,400 images and is then sure of what it finds; this one need not be.
QUICKER = {
    "num_examples_per_epoch=6400": "num_examples_per_epoch=2560",
    "min_score_thresh=0.4": "min_score_thresh=0.3",
}


def read(repository):
    return json.loads((repository / TUTORIAL).read_text(encoding="utf-8"))


def test_is_a_page_without_outputs(repository):
    """What it prints and draws is the reader's own; a stored output would grow old."""
    cells = read(repository)["cells"]
    assert len(cells) < 20
    for cell in cells:
        if cell["cell_type"] == "code":
            assert not cell["outputs"] and cell["execution_count"] is None


@pytest.mark.slow
def test_runs(repository, tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason="nbclient, of the extra dev, runs notebooks")
    nbclient = pytest.importorskip("nbclient", reason="of the extra dev")
    pytest.importorskip("ipykernel", reason="of the extra dev")
    monkeypatch.setenv("TUTORIAL_OUTPUT", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(repository), *sys.path]))
    notebook = nbformat.read(repository / TUTORIAL, as_version=4)
    for written, quicker in QUICKER.items():
        assert any(written in cell.source for cell in notebook.cells), written
        for cell in notebook.cells:
            cell.source = cell.source.replace(written, quicker)
    notebook.cells.append(nbformat.v4.new_code_cell(CHECK))
    folder = {"metadata": {"path": str(repository / "docs")}}
    nbclient.NotebookClient(notebook, timeout=1200, resources=folder).execute()
    assert (tmp_path / "run" / "report.html").exists()
    assert list((tmp_path / "exports").rglob("*.tflite"))
