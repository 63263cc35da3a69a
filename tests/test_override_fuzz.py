"""Overrides and YAML files of any content: a configuration, or one sentence."""

import random

import pytest

from efficientvision.configs.field_types import shown
from efficientvision.errors import UserError
from efficientvision.tasks.choice import config_from_yaml, get_config

MODELS = (
    ("efficientdet-d0", None),
    ("efficientnet-b0", None),
    ("espnetv2_s_1.0", "segmentation"),
    ("espnetv2_s_2.0", "detection"),
)


def outcome(override, model="efficientdet-d0", task=None):
    """Whether an override is taken; else the sentence that refuses it."""
    try:
        get_config(model, override, task=task).as_dict()
    except UserError as error:
        sentence = str(error)
        assert "\n" not in sentence and len(sentence) < 2000, sentence[:3000]
        return sentence
    return None


@pytest.mark.parametrize(
    "override, says",
    [
        ("num_classes=1e999", "num_classes must be a whole number.*; got inf"),
        ("num_classes=-1e999", "num_classes must be"),
        ("num_classes=1e999*2", "num_classes must be"),
        ("image_size=1e999", "image_size must be"),
        ("heads=[[object_detection]]", "heads must be a list of heads"),
        ("heads=7", "heads must be"),
        ("heads=[7]", "heads must be"),
        ("heads={a: 1}", "heads must be"),
        ("num_classes=" + "-" * 3000 + "1", "num_classes must be"),
        ("num_classes=" + "9" * 5000, "num_classes must be"),
        ("num_classes=[" + "9" * 5000 + "]", "num_classes must be"),
        ("num_classes=" + "[" * 3000 + "]" * 3000, "num_classes must be"),
        ("num_classes=" + "(" * 300 + ")" * 300, "num_classes must be"),
        (".".join("a" * 5000) + "=1", "parts; at most 20 are allowed"),
        ("aspect_ratios=1e999", "aspect_ratios must be"),
        ("mean_rgb=[1, 2, {}]", "mean_rgb must be"),
        ("mixed_precision=[]", "mixed_precision must be"),
        ("label_map={1e999: cat}", "label_map must be"),
        ("label_map={1: yes, 2: no}", "name of class 1 is read as True.*put quotes around it"),
        ("label_map={1: a, 1: b}", "duplicate key 1"),
        ("label_map={1: 'a', 1: 'b'}", "has the key 1 twice"),
        ("label_map={1: 010}", "010 as the number 8"),
        ("learning_rate=2020-99-99", "learning_rate must be"),
    ],
)
def test_values_of_no_use_are_one_sentence(override, says):
    sentence = outcome(override)
    assert sentence is not None
    pytest.raises(UserError, get_config, "efficientdet-d0", override).match(says)


YAMLS = [
    ("num_classes: .inf", "num_classes must be a whole number.*; got inf"),
    ("num_classes: .nan", "num_classes must be a whole number.*; got nan"),
    ("num_classes: " + "9" * 5000, "not valid YAML"),
    ("num_classes: 0x" + "f" * 5000, "as the number many digits"),
    (
        "num_classes: 010",
        "line 1: YAML reads 010 as the number 8: write that number, or put quotes",
    ),
    ("num_classes: 1:30", "1:30 as the number 90"),
    ("learning_rate: 1:30.5", "1:30.5 as the number 90.5"),
    ("seed: 1\nlearning_rate: 0.1\nlearning_rate: 0.5", "line 3: duplicate key learning_rate"),
    ("nms_configs: {sigma: 0.1, sigma: 0.2}", "duplicate key sigma"),
    ("label_map: {1: a, 1: b}", "line 1: duplicate key 1"),
    ("label_map: {1: a, '1': b}", "two names have the same class id"),
    ("label_map: {1: yes, 2: no}", "name of class 1 is read as True.*put quotes around it"),
    ("label_map: {1: a, 2: on}", "name of class 2 is read as True.*put quotes around it"),
    ("label_map: [a, null]", "name of class 2 is read as None"),
    ("label_map: {1: 1e3}", "name of class 1 is read as 1000.0"),
    ("label_map: {1: 007}", "007 as the number 7"),
    ("label_map: {1: 1_000}", "1_000 as the number 1000"),
    ("a: " + "[" * 5000 + "]" * 5000, "not valid YAML"),
    ("a: " + "{a: " * 3000 + "}" * 3000, "not valid YAML"),
    ("learning_rate: 2020-99-99", "not valid YAML"),
    ("? [a, b]\n: 1", "not valid YAML"),
    ("heads: [[object_detection]]", "heads must be"),
    ("num_classes: &a [*a]", "an alias is within what it stands for"),
    (
        "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"
        + "".join(
            f"{chr(100 + i)}: &{chr(100 + i)} [*{chr(99 + i)}, *{chr(99 + i)}]\n" for i in range(20)
        )
        + "num_classes: *w",
        "stand for 50,331,645 values: write them out",
    ),
    ("!!python/object/apply:os.system [ls]", "not valid YAML"),
    ("1: 2", "Unknown hyper-parameter"),
    ("null: 2", "Unknown hyper-parameter"),
    ("num_classes: !!binary aGVsbG8=", "num_classes must be"),
    ("nms_configs: {method: [[]]}", "nms_configs.method must be|method must be"),
    ("nms_configs: [1]", "nms_configs"),
    ("\x00", "save it as UTF-8"),
]


@pytest.mark.parametrize("content, says", YAMLS, ids=range(len(YAMLS)))
def test_yaml_of_no_use_is_one_sentence(tmp_path, content, says):
    path = tmp_path / "h.yaml"
    path.write_text(content)
    assert outcome(str(path)) is not None
    pytest.raises(UserError, get_config, "efficientdet-d0", str(path)).match(says)


def test_a_value_is_shown_short():
    doubled = ["x"]
    for _ in range(60):
        doubled = [doubled, doubled]
    assert len(shown(doubled)) < 2000
    assert len(shown("x" * 10_000)) < 100
    assert shown(0.5) == "0.5" and shown("a b") == "'a b'" and shown([1, 2]) == "[1, 2]"


# Mutations.

_PIECES = (
    *("1e999", ".inf", "-.nan", "nan", "0x7fffffffffffffffffff", "9" * 400, "-" * 50 + "1", "''"),
    *(
        '"',
        "'",
        "[",
        "]",
        "{",
        "}",
        "(",
        "*",
        ",",
        ",,",
        "=",
        "==",
        ".",
        "..",
        ":",
        "&a",
        "*a",
        "!!",
    ),
    *(
        "None",
        "true",
        "null",
        "[[1]]",
        "{1: 2}",
        "{a: [b]}",
        "1*2*3",
        "\x00",
        "\n",
        "\t",
        "ä",
        "🙂",
    ),
    *("-1", "0", "1e-400", "1e308", "512x512", "x", "1x", "-5x5", "2020-01-01", "0.1.2", "#", "%"),
    *("nms_configs", "nms_configs.method", "nms_configs.", "heads", "label_map", "freeze", "~"),
)


def mutated(text, chance):
    for _ in range(chance.choice((1, 1, 2, 3))):
        at = chance.randrange(len(text) + 1)
        piece = chance.choice(_PIECES)
        kind = chance.randrange(4)
        if kind == 0:
            text = text[:at] + piece + text[at:]
        elif kind == 1:
            text = text[:at] + piece + text[at + chance.randrange(6) :]
        elif kind == 2:
            key, _, _ = text.partition("=")
            text = f"{key}={piece}"
        else:
            text = text[:at] + text[at + chance.randrange(1, 4) :]
    return text


def fuzz(folder, seed, count):
    """How many overrides and YAML files were taken and refused; anything else is raised."""
    chance = random.Random(seed)
    path = folder / "h.yaml"
    found = {"taken": 0, "refused": 0}
    fields = {key: get_config(key[0], task=key[1]).as_dict() for key in MODELS}
    for number in range(count):
        model, task = chance.choice(MODELS)
        name, value = chance.choice(list(fields[model, task].items()))
        text = mutated(f"{name}={value}", chance)
        if number % 2:
            path.write_text(text.replace("=", ": ", 1), encoding="utf8", errors="replace")
            text = str(path)
        found["refused" if outcome(text, model, task) else "taken"] += 1
    return found


def test_mutated_overrides_are_taken_or_refused(tmp_path):
    found = fuzz(tmp_path, seed=1, count=200)
    assert found["refused"] > 60 and sum(found.values()) == 200


@pytest.mark.slow
def test_many_mutated_overrides_are_taken_or_refused(tmp_path):
    """About 10 seconds."""
    found = fuzz(tmp_path, seed=2, count=3000)
    assert found["refused"] > 1000 and sum(found.values()) == 3000


def test_names_that_look_like_numbers_survive_a_runs_config(tmp_path):
    names = {1: "yes", 2: "007", 3: "1e3", 4: "1:30", 5: "null", 6: "1_000", 7: "2020-01-01"}
    path = tmp_path / "config.yaml"
    path.write_text(get_config("efficientdet-d0", {"label_map": names}).to_yaml())
    assert config_from_yaml(str(path)).label_map == names
