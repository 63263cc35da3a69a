"""Core ML packages: what they say of themselves; running them needs a Mac."""

import dataclasses
import json
import sys

import pytest

from efficientvision.errors import UserError
from efficientvision.exports import coreml_format
from efficientvision.exports.artifacts import FORMATS
from efficientvision.exports.load_export import load_export
from efficientvision.exports.write_portable import write_portable
from efficientvision.loading import serving_metadata
from efficientvision.tasks.classification.portable import portable_classifier
from efficientvision.tasks.metadata import metadata_from_json
from tests.small_networks import SIDE, small_classifier, small_ssd


def write(loaded, path, name="coreml", batch_size=1):
    metadata = serving_metadata(loaded, batch_size=batch_size)
    write_portable(loaded.model, loaded.config, metadata, FORMATS[name], path)
    return path


@pytest.mark.slow
def test_a_package_takes_a_picture_and_says_what_it_is(tmp_path):
    tools = pytest.importorskip("coremltools")
    path = write(small_classifier(), tmp_path / "c.mlpackage")
    write(small_classifier(), path)  # Again, into the same place.
    package = tools.models.MLModel(str(path), skip_model_load=True)
    (images,) = package.get_spec().description.input
    assert images.name == "images"
    picture = images.type.imageType
    assert (picture.height, picture.width) == (SIDE, SIDE)
    assert picture.colorSpace == picture.RGB
    (output,) = package.get_spec().description.output
    assert output.name == "probabilities"
    assert list(output.type.multiArrayType.shape) == [1, 6]
    inside = package.user_defined_metadata["efficientvision"]
    assert inside == (tmp_path / "c.mlpackage.json").read_text()
    assert json.loads(inside)["contract"]["labels"][0] == "ant"


@pytest.mark.slow
def test_a_detector_leaves_suppression_to_the_app(tmp_path):
    tools = pytest.importorskip("coremltools")
    path = write(small_ssd(), tmp_path / "d.mlpackage", "coreml_fp16")
    package = tools.models.MLModel(str(path), skip_model_load=True)
    names = [output.name for output in package.get_spec().description.output]
    metadata = metadata_from_json(package.user_defined_metadata["efficientvision"], "d")
    assert sorted(names) == ["confidences", "locations"]
    assert [o["name"] for o in metadata.contract["outputs"]] == sorted(names)
    assert not metadata.contract["suppression"]["inside"] and metadata.precision == "float16"


def test_without_coremltools_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "coremltools", None)
    with pytest.raises(UserError, match=r"pip install 'efficientvision\[coreml\]'"):
        write(small_classifier(), tmp_path / "c.mlpackage")


def test_one_picture_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(coreml_format, "need", lambda *_: None)
    loaded = small_classifier()
    function = portable_classifier(loaded.model, loaded.config, batch_size=2)
    with pytest.raises(UserError, match="`batch_size=2` must be 1"):
        coreml_format.write(function, tmp_path / "c.mlpackage", "{}")


@pytest.mark.skipif(sys.platform == "darwin", reason="this system runs Core ML")
def test_running_needs_a_mac(tmp_path):
    (tmp_path / "c.mlpackage").mkdir()
    with pytest.raises(UserError, match="runs on macOS and iOS only"):
        load_export(tmp_path / "c.mlpackage")


def test_apples_formats_are_told_by_name():
    assert {name for name, form in FORMATS.items() if form.apple} == {"coreml", "coreml_fp16"}
    assert dataclasses.replace(FORMATS["litert"], apple=True).runs_here == (
        sys.platform == "darwin"
    )
