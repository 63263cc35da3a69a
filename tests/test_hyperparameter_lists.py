"""Every published hyper-parameter is implemented, obsolete or refused, and none is ignored."""

import json
import pathlib
import re

import pytest

from efficientvision.configs.apply import field_table
from efficientvision.configs.hyperparameter_lists import ALIASES, INVALID, OBSOLETE
from efficientvision.errors import UserError
from efficientvision.tasks.choice import get_config
from efficientvision.tasks.detection.efficientdet_config import EfficientDetConfig

ROOT = pathlib.Path(__file__).parents[1]
GOLDEN = json.loads((pathlib.Path(__file__).parent / "goldens/hparams.json").read_text())
D0 = "efficientdet-d0"
FIELDS = field_table(EfficientDetConfig())


def changed_keys(override):
    before, after = get_config(D0).as_dict(), get_config(D0, override).as_dict()
    return {key: value for key, value in after.items() if value != before[key]}


PUBLISHED_NAMES = sorted(
    set(GOLDEN["default_detection_configs"])
    | {f"nms_configs.{name}" for name in GOLDEN["default_detection_configs"]["nms_configs"]}
    | set().union(*(fork["hparams_defaults"] for fork in GOLDEN["fork"].values()))
    | set(GOLDEN["fork_parent_names"])
)


def _implemented(name):
    if name.startswith("nms_configs."):
        return name.removeprefix("nms_configs.") in field_table(get_config(D0).nms_configs)
    return name in FIELDS or name in ALIASES


@pytest.mark.parametrize("name", PUBLISHED_NAMES)
def test_every_published_hyperparameter_is_in_exactly_one_list(name):
    assert [_implemented(name), name in OBSOLETE, name in INVALID].count(True) == 1


def test_aliases_mean_fields():
    assert set(ALIASES.values()) <= set(FIELDS)
    assert not set(ALIASES) & set(FIELDS)


def test_every_field_is_read_somewhere():
    """A hyper-parameter that no part of the library reads would be silently ignored."""
    package = ROOT / "efficientvision"
    sources = "\n".join(
        path.read_text()
        for path in package.rglob("*.py")
        if "configs" not in path.parts and path.name not in ("registry.py", "flags.py")
    )
    read = set(re.findall(r"\w+", sources))
    assert set(FIELDS) - read == set()


def test_every_field_says_what_it_means():
    for table in (FIELDS, field_table(get_config(D0).nms_configs)):
        for name, field in table.items():
            assert name == "nms_configs" or len(field.metadata["doc"]) >= 8, name


def test_published_defaults_are_accepted(capsys):
    """A dump of the published configuration is a valid override and changes nothing."""
    published = dict(GOLDEN["default_detection_configs"])
    published |= GOLDEN["efficientdet_model_param_dict"][D0]
    assert changed_keys(published) == {}
    notes = capsys.readouterr().out.splitlines()
    assert len(notes) == len({*OBSOLETE} & {*PUBLISHED_NAMES} & {*published, "nms_configs.pyfunc"})


def test_obsolete_names_print_one_line_with_the_reason(capsys):
    get_config(D0, "use_keras_model=true,verbose=0,verbose=2")
    captured = capsys.readouterr()
    lines = (captured.err + captured.out).splitlines()
    assert len(lines) == 2
    assert any("verbose" in line and OBSOLETE["verbose"] in line for line in lines)


@pytest.mark.parametrize("name", sorted(INVALID))
def test_unavailable_names_are_refused_unless_they_ask_for_nothing(name):
    for value in INVALID[name].neutral:
        assert changed_keys({name: value}) == {}
    with pytest.raises(UserError, match=name):
        get_config(D0, {name: "something"})


@pytest.mark.parametrize(
    ("override", "field", "value"),
    [
        ("train_scale_min=0.5", "jitter_min", 0.5),
        ("train_scale_max=1.5", "jitter_max", 1.5),
        ("precision=mixed_bfloat16", "mixed_precision", True),
        ("precision=float32", "mixed_precision", False),
        ("precision=mixed_float16", "mixed_precision", "float16"),
        ("precision=mixed-float16", "mixed_precision", "float16"),
        ("precision=mixed-bfloat16", "mixed_precision", True),
        ("use_bfloat16=true", "mixed_precision", True),
        ("label_id_mapping={1: cat}", "label_map", {1: "cat"}),
    ],
)
def test_names_of_other_versions(override, field, value):
    assert getattr(get_config(D0, override), field) == value
