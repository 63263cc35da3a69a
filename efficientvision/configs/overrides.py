"""The override grammar: `a=1,b.c=2,image_size=1920x1280`, YAML files, and both together."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

import yaml

from efficientvision import files
from efficientvision.configs.recipes import ENDINGS, find_recipe, recipe_names
from efficientvision.configs.yaml_text import UnclearYaml, load_yaml
from efficientvision.errors import UserError
from efficientvision.registry import nearest_names

# Lists: in `heads=object_detection,segmentation` the bare word continues the list.
LIST_KEYS = frozenset(
    {
        "heads",
        "aspect_ratios",
        "mean_rgb",
        "stddev_rgb",
        "lr_steps",
        "crop_scale",
        "crop_ratio",
        "random_scale",
        "class_weights",
    }
)

# Limits: dotted parts of a key, characters of a YAML error.
_MAX_PARTS = 20
_MAX_REASON = 300
_CLOSERS = {"(": ")", "[": "]", "{": "}"}
_WORDS = {"true": True, "false": False, "none": None, "null": None}


class RawText(str):
    """A value as written, before it is known whether it should become a number or stay text."""

    __slots__ = ()


class Recipe(dict):
    """Changes that come from a file or a data set's name, not written one by one."""


def parse_overrides(text: str) -> dict[str, Any]:
    """Parses `k=v` pairs.

    Dots in a key nest (`nms_configs.score_thresh=0.4`); `1*2*3` and `[1,2,3]` are lists;
    true, false and None may have any case; numbers are written as in Python; all else is text.
    A later value of a key replaces an earlier one.

    Args:
        text: `"a=1,b.c=2"`; may be empty.

    Returns:
        A nested dictionary of plain values.

    Raises:
        UserError: A part is not `key=value`, or brackets or quotes are not closed.
    """
    return _plain(_parse_pairs(_split(text, ",")))


def parse_value(text: str) -> Any:
    """Parses one value in the grammar of `parse_overrides`."""
    text = text.strip()
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if "*" in text and text[0] not in "\"'([{":
        return [parse_value(item) for item in text.split("*")]
    try:
        value = ast.literal_eval(text)
        if isinstance(value, dict):
            _refuse_repeated_keys(text)
    except UserError:
        raise
    # The last two come from very deep nesting of brackets or signs.
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return _flow_value(text)
    return text if isinstance(value, (bytes, complex, set)) else value


def _refuse_repeated_keys(text: str) -> None:
    """Raises UserError for `{1: 'a', 1: 'b'}`, where Python would silently keep the last."""
    for node in ast.walk(ast.parse(text, mode="eval")):
        keys = [ast.literal_eval(k) for k in node.keys if k] if isinstance(node, ast.Dict) else []
        for position, key in enumerate(keys):
            if key in keys[:position]:
                raise UserError(f"The override {text!r} has the key {key!r} twice.")


def read_overrides(override: str | Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Splits one override into successive changes.

    Args:
        override: A dictionary; a string `"a=1"`, `"file.yaml"`, `"file.yaml,a=1"`, or the name of
            a recipe of the package instead of the file; None or `""` for no change.

    Returns:
        Nested dictionaries, to be applied in order; those from files are `Recipe`. Values from
        strings are `RawText`, to be parsed by `parse_value` or, if text is expected, kept as is.

    Raises:
        UserError: The text is malformed, or a file is missing or is not a YAML mapping.
    """
    if override is None:
        return []
    if isinstance(override, Recipe):
        return [Recipe(_nested(override))]
    if isinstance(override, Mapping):
        return [_nested(override)]
    if not isinstance(override, str):
        raise UserError(
            f"An override must be text, a dictionary or None; got {type(override).__name__}."
        )
    changes: list[dict[str, Any]] = []
    pairs: list[str] = []
    for part in _split(override, ","):
        path = _recipe_file(part, pairs)
        if path is None:
            pairs.append(part)
            continue
        changes += [_parse_pairs(pairs), Recipe(_nested(read_yaml(path)))]
        pairs = []
    changes.append(_parse_pairs(pairs))
    return [change for change in changes if change]


def read_yaml(path: str) -> dict[str, Any]:
    """Reads a YAML file of hyper-parameters.

    Raises:
        UserError: The file is missing, is not valid YAML, or its top level is not a mapping.
    """
    try:
        content = load_yaml(files.read_text(path))
    except OSError as error:
        raise UserError(f"Cannot read the configuration file {path}: {error.strerror}.") from None
    except UnclearYaml as error:
        raise UserError(f"The configuration file {path}, {error}.") from None
    # Numbers of 5,000 digits, impossible dates, lists nested very deeply.
    except (yaml.YAMLError, ValueError, ArithmeticError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        reason = " ".join(str(error).split())[:_MAX_REASON]
        raise UserError(f"The configuration file {path} is not valid YAML: {reason}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(
            f"The configuration file {path} must contain lines `name: value`; its top level is "
            f"a {type(content).__name__}."
        )
    return content


def _recipe_file(part: str, before: list[str]) -> str | None:
    """Returns the YAML file that a part names; None if it is a pair, or a pair's last word.

    Args:
        part: `hparams/mine.yaml`, or the name of a recipe of the package.
        before: The pairs before it.
    """
    if part.endswith(ENDINGS):
        # `label_map=names.yaml` is a pair, unless a file has exactly that name or the key is a
        # path.
        if "=" in part and not files.is_file(part) and "/" not in part.split("=")[0]:
            return None
        return part if files.is_file(part) else find_recipe(part) or part
    continues_list = bool(before) and before[-1].split("=")[0].strip() in LIST_KEYS
    if "=" in part or continues_list:
        return None
    return find_recipe(part)


def _split(text: str, separator: str) -> list[str]:
    """Splits at separators outside brackets and quotes; drops empty parts."""
    parts, start, closers, quote = [], 0, [], ""
    for position, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in _CLOSERS:
            closers.append(_CLOSERS[char])
        elif closers and char == closers[-1]:
            closers.pop()
        elif char == separator and not closers:
            parts.append(text[start:position])
            start = position + 1
    if quote or closers:
        raise UserError(f"Missing {quote or closers[-1]!r} in the override {text!r}.")
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def _parse_pairs(parts: list[str]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    pairs: list[list[str]] = []
    for part in parts:
        pieces = [piece.strip() for piece in _split_equals(part)]
        if len(pieces) == 1 and pairs and pairs[-1][0] in LIST_KEYS:
            pairs[-1][1] += "*" + pieces[0]
        elif len(pieces) == 2 and pieces[0]:
            pairs.append(pieces)
        else:
            raise UserError(
                f"Cannot read the override {part!r}: expected name=value (several with commas "
                "between), the path of a .yaml file, or the name of a recipe. "
                f"{nearest_names(part, recipe_names())}"
            )
    for key, value in pairs:
        path = key.split(".")
        if len(path) > _MAX_PARTS:
            raise UserError(
                f"The override {key[:40]!r}... has {len(path)} parts; at most {_MAX_PARTS} are "
                "allowed."
            )
        _set_nested(result, path, RawText(value))
    return result


def _split_equals(part: str) -> list[str]:
    """Splits at equals signs: `a="x=y"` has one separator; empty values count."""
    key, equals, value = part.partition("=")
    if not equals:
        return [part]
    return [key, value] if value[:1] in ("'", '"') else part.split("=")


def _set_nested(target: dict[str, Any], path: list[str], value: Any) -> None:
    for key in path[:-1]:
        if not isinstance(target.get(key), dict):
            target[key] = {}
        target = target[key]
    target[path[-1]] = value


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Nests a dictionary by the dots in its top-level keys, as in text."""
    result: dict[str, Any] = {}
    for key, value in flat.items():
        path = key.split(".") if isinstance(key, str) else [key]
        already = result.get(key)
        if isinstance(already, dict) and isinstance(value, dict):
            already.update(value)
        else:
            _set_nested(result, path, dict(value) if isinstance(value, dict) else value)
    return result


def _plain(tree: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _plain(value) if isinstance(value, dict) else parse_value(value)
        for key, value in tree.items()
    }


def _flow_value(text: str) -> Any:
    """Parses `{1: cat, 2: dog}` and `[a, b]` as YAML, without quotes; else returns the text."""
    if text[:1] not in ("{", "["):
        return text
    try:
        return load_yaml(text)
    except UnclearYaml as error:
        raise UserError(f"The override {text!r}, {error}.") from None
    except (yaml.YAMLError, ValueError, ArithmeticError, RecursionError):
        return text
