"""Reads `data.yaml` and its relatives: the places of the photos, and the names of the classes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from efficientvision import files
from efficientvision.configs.yaml_text import UnclearYaml, load_yaml, text_of_name
from efficientvision.data.json_values import short
from efficientvision.data.names import class_name, spellings
from efficientvision.data.part_names import PART_OF, PARTS
from efficientvision.data.picture_folders import is_hidden
from efficientvision.data.sources.listed_photos import components
from efficientvision.errors import UserError

SUFFIXES = (".yaml", ".yml")
# If a folder has several such files, these come first.
_USUAL = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_MOST_CLASSES = 10_000
_DARKNET = re.compile(rb"^\s*(train|valid)\s*=", re.MULTILINE)


@dataclass
class DataFile:
    """Content of a `data.yaml`, or of darknet's `obj.data`.

    Attributes:
        path: Path of the file.
        places: Part -> folders of photos and lists of photos that exist.
        names: Class id from 0 -> name; empty if the file names none.
        num_classes: `nc`; None if not stated.
        keypoint_numbers: Numbers of a label line that describe keypoints; 0 if there are none.
        inputs: Paths of the other files that it was read from.
        lines: Lines to print.
        roots: Folders that names in lists of photos may be relative to.
    """

    path: str
    places: dict[str, list[str]] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    num_classes: int | None = None
    keypoint_numbers: int = 0
    inputs: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    roots: list[str] = field(default_factory=list)


def find_yaml(folder: str) -> str | None:
    """Returns the path of the file that describes a YOLO data set in a folder; None if none does.

    Raises:
        UserError: Several do, or the one with the usual name is not valid.
    """
    found = []
    for name in files.list_names(folder):
        path = os.path.join(folder, name)
        if not name.lower().endswith(SUFFIXES) or is_hidden(name) or not files.is_file(path):
            continue
        try:
            if _describes_data(_content(path)):
                found.append(path)
        except UserError:
            if name.lower() in _USUAL:
                raise
    usual = [path for path in found if os.path.basename(path).lower() in _USUAL]
    named = [p for p in found if _stem(p) == os.path.basename(os.path.abspath(folder))]
    chosen = usual[:1] or named[:1] or found
    if chosen[1:]:
        raise UserError(
            f"{' and '.join(chosen[:3])} could each describe the data: name the file to use "
            "instead of the folder."
        )
    return chosen[0] if chosen else None


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]


def _content(path: str) -> Any:
    try:
        return load_yaml(files.read_text(path))
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    except UserError:
        raise
    except UnclearYaml as error:
        raise UserError(f"{path}, {error}.") from error
    except (ValueError, ArithmeticError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from error


def _describes_data(content: Any) -> bool:
    if not isinstance(content, Mapping):
        return False
    has_place = any(isinstance(value, (str, list)) and value for _, value in _part_values(content))
    return has_place and ("names" in content or "nc" in content)


def _part_values(content: Mapping) -> Iterator[tuple[str, Any]]:
    """Yields the key and value of each part that a file names."""
    for key, value in content.items():
        if isinstance(key, str) and key.lower() in PART_OF:
            yield key, value


def read_yaml(path: str) -> DataFile:
    """Reads a `data.yaml` and finds its places.

    Raises:
        UserError: It is of another kind, or a place of its train or val photos does not exist.
    """
    content = _content(path)
    if not _describes_data(content):
        raise UserError(
            f"{path} does not describe a YOLO data set: it needs train and val (folders or lists "
            "of photos) and names (the classes)."
        )
    data = DataFile(path, keypoint_numbers=_keypoint_numbers(content, path))
    data.names, data.num_classes = _names(content, path, data.lines)
    folder = os.path.dirname(path) or "."
    root = content.get("path")
    if root is not None and not isinstance(root, str):
        raise UserError(f"{path}: path must be the path of a folder, got {short(root)}.")
    data.roots = _roots(folder, root or "")
    if root and os.path.normpath(os.path.join(folder, root)) != os.path.normpath(data.roots[0]):
        data.lines.append(
            f"{path}: its path {root!r} does not exist here; {data.roots[0]} is taken instead"
        )
    _find_places(data, _part_values(content))
    return data


def read_class_names(folder: str, lines: list[str]) -> tuple[str, dict[int, str]] | None:
    """Reads the names of a `data.yaml` that names classes but no photos.

    Args:
        folder: The data set, of folders `images/` and `labels/`.
        lines: Receives a line to print.

    Returns:
        (path of the file, class id from 0 -> name); None if there is no such file.

    Raises:
        UserError: The file or a name is not valid.
    """
    for name in sorted(files.list_names(folder)):
        path = os.path.join(folder, name)
        if name.lower() not in _USUAL or not files.is_file(path):
            continue
        content = _content(path)
        if isinstance(content, Mapping) and content.get("names"):
            lines.append(f"the names of the classes are those of {path}")
            return path, _names(content, path, lines)[0]
    return None


def is_darknet(path: str) -> bool:
    """Whether a file is darknet's `obj.data`, whatever its name: it has a line `train = ...`."""
    try:
        with files.reading(path) as file:
            return _DARKNET.search(file.read(1 << 12)) is not None
    except OSError:
        return False


def read_darknet(path: str) -> DataFile:
    """Reads darknet's `obj.data` (`classes = 2`, `train = data/train.txt`, `names = ...`).

    Raises:
        UserError: A list of its train or valid photos, or its file of names, does not exist.
    """
    pairs = (line.split("=", 1) for line in files.read_text(path).splitlines() if "=" in line)
    content = {key.strip(): value.strip() for key, value in pairs}
    folder = os.path.dirname(path) or "."
    data = DataFile(path, roots=_roots(folder, ""))
    _find_places(data, _part_values(content))
    if content.get("names"):
        names, as_stated = _existing(content["names"], data.roots)
        if names is None:
            raise UserError(
                f"{path} says that the names of the classes are in {content['names']}, which does "
                "not exist: correct `names` in it."
            )
        if not as_stated:
            data.lines.append(f"{path}: names = {content['names']}, taken from {names}")
        data.inputs.append(names)
        data.names = read_names(names)
    if content.get("classes", "").isdecimal():
        data.num_classes = int(content["classes"])
        _compare_number(data.num_classes, data.names, path, "classes", data.lines)
    return data


def read_names(path: str) -> dict[int, str]:
    """Reads `classes.txt` or `obj.names`: one name on each line, in the order of the class ids."""
    lines = [class_name(line) for line in files.read_text(path).splitlines()]
    return {k: name for k, name in enumerate(lines) if name}


def _keypoint_numbers(content: Mapping, path: str) -> int:
    shape = content.get("kpt_shape")
    if shape is None:
        return 0
    if (
        isinstance(shape, list)
        and len(shape) == 2
        and all(isinstance(n, int) and 0 < n < _MOST_CLASSES for n in shape)
    ):
        return shape[0] * shape[1]
    raise UserError(f"{path}: kpt_shape must be two numbers such as [17, 3], got {short(shape)}.")


def _names(content: Mapping, path: str, lines: list[str]) -> tuple[dict[int, str], int | None]:
    """Returns the names by class id, and `nc`."""
    given = content.get("names")
    if given is None:
        given = []
    if isinstance(given, list):
        given = dict(enumerate(given))
    if not isinstance(given, Mapping):
        raise UserError(
            f"{path}: names must be a list of names or a mapping of ids to names, got "
            f"{short(given)}."
        )
    names = {}
    for key, name in given.items():
        number = int(key) if isinstance(key, str) and key.isdecimal() else key
        if type(number) is not int or not 0 <= number < _MOST_CLASSES or number in names:
            raise UserError(
                f"{path}: the keys of names must be class ids 0, 1, 2 ..., got {short(key)}."
            )
        if isinstance(name, (list, Mapping)):
            raise UserError(f"{path}: the name of class {number} must be text, got {short(name)}.")
        text = class_name(text_of_name(key, name, path))
        if text:
            names[number] = text
    count = content.get("nc")
    if count is None:
        return names, None
    if type(count) is not int or not 0 < count <= _MOST_CLASSES:
        raise UserError(f"{path}: nc must be the number of classes, got {short(count)}.")
    _compare_number(count, names, path, "nc", lines)
    return names, count


def _compare_number(
    count: int, names: Mapping[int, str], path: str, key: str, lines: list[str]
) -> None:
    if names and count != max(names) + 1:
        lines.append(f"{path}: {key} is {count}, but names are given up to class id {max(names)}")


def _tails(path: str) -> Iterator[str]:
    """Yields the ends of a path, the longest first."""
    parts = components(path)
    yield from (os.path.join(*parts[k:]) for k in range(len(parts)))


def _roots(folder: str, stated: str) -> list[str]:
    """Returns the folders that places may be relative to, the one that is meant first.

    Args:
        folder: Folder of the file.
        stated: Its `path`, perhaps of another machine; "": none.
    """
    places = [os.path.join(folder, stated)] if stated else []
    places += [os.path.join(folder, tail) for tail in _tails(stated)]
    # Ultralytics reads lists of photos relative to the working folder, often the one above.
    found = [p for p in places if files.is_folder(p)][:1] + [folder, os.path.join(folder, "..")]
    return list(dict.fromkeys(map(os.path.normpath, found)))


def _existing(value: str, roots: Sequence[str]) -> tuple[str | None, bool]:
    """Returns the path of a file or folder that a file names; whether it is where it says."""
    value = value.strip()
    for spelling in spellings(value):
        path = os.path.join(roots[0], spelling)
        if files.exists(path):
            return os.path.normpath(path), True
    for root in roots[:-1]:
        for tail in _tails(value):
            if files.exists(os.path.join(root, tail)):
                return os.path.normpath(os.path.join(root, tail)), False
    return None, False


def _find_places(data: DataFile, values: Iterator[tuple[str, Any]]) -> None:
    """Fills in the places of the parts, and says which are not where the file says."""
    guessed: dict[str, tuple[str, str]] = {}
    found: dict[str, list[str]] = {}
    for key, value in values:
        part = PART_OF[key.lower()]
        listed = value if isinstance(value, list) else [value]
        listed = [item for item in listed if item not in (None, "")]
        if not listed:
            continue
        if part in found:
            raise UserError(f"{data.path} names the part {part} twice; remove {key} or the other.")
        found[part] = []
        for item in listed:
            if not isinstance(item, str):
                raise UserError(
                    f"{data.path}: {key} must be the path of a folder or of a list of photos, got "
                    f"{short(item)}."
                )
            place, as_stated = _existing(item, data.roots)
            if place is None and part == "test":
                data.lines.append(f"{data.path}: {key} is {item}, which does not exist; left out")
                continue
            if place is None:
                raise UserError(
                    f"{data.path} says that the photos for {key} are in {item}, but neither "
                    f"{os.path.normpath(os.path.join(data.roots[0], item))} nor a folder with the "
                    f"end of this path in {data.roots[0]} exists: correct `{key}` in the file "
                    "(paths may be relative to it)."
                )
            if not as_stated:
                other = guessed.setdefault(place, (key, item))
                if other[1] != item:
                    raise UserError(
                        f"{data.path}: {other[0]} ({other[1]}) and {key} ({item}) both lead to "
                        f"{place}: correct the paths in the file."
                    )
                data.lines.append(f"{data.path}: {key} is {item}, taken from {place}")
            found[part].append(place)
    data.places = {part: found[part] for part in PARTS if found.get(part)}
