"""Class names: the ``labels.json`` beside the records, built-in maps, maps from a configuration.

A label map is ``{class id: name}`` with ids 1..K (gaps allowed, as in COCO; 0 is the background and
never in the map). For masks, ids are 0..C-1 (0 is a class like any other; in VOC, the
background). ``labels.json`` is the same with ids as strings, ``{"1": "RBC", ...}``. It is in
the records' folder and applies to every shard there. If a folder contains several data sets
with different classes, each has its own ``labels_<prefix>.json``, which takes precedence.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping
from typing import Any

import yaml

from efficientvision import files
from efficientvision.configs.yaml_text import UnclearYaml, load_yaml, text_of_name
from efficientvision.data.names import class_name, is_utf8
from efficientvision.data.record_files import (
    FilePattern,
    iter_records,
    match_files,
    shard_prefix,
)
from efficientvision.errors import UserError

LabelMap = dict[int, str]

_LARGEST_ID = 2**31 - 1  # Records can store larger ids, but arrays of class ids cannot.
_SHOWN = 60
# Usual names for id 0 when no object has it.
_NO_CLASS = re.compile(
    r"background|^_*bg_*$|unlabel|^_*none_*$|^_*void_*$|ignore|^\W*$|^n/?a$|dummy", re.IGNORECASE
)

VOC_NAMES = (
    "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike "
    "person pottedplant sheep sofa train tvmonitor"
).split()
WAYMO_NAMES = ["vehicle", "pedestrian", "cyclist"]
_COCO_GAPS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
COCO_NAMES = (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,"
    "stop sign,parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,"
    "backpack,umbrella,handbag,tie,suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,"
    "baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,cup,fork,knife,spoon,"
    "bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,"
    "potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,"
    "oven,toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush"
).split(",")

BUILTIN: dict[str, LabelMap] = {
    "coco": dict(zip((i for i in range(1, 91) if i not in _COCO_GAPS), COCO_NAMES, strict=True)),
    "voc": dict(enumerate(VOC_NAMES, start=1)),
    "waymo": dict(enumerate(WAYMO_NAMES, start=1)),
}

CITYSCAPES_NAMES = (
    "road,sidewalk,building,wall,fence,pole,traffic light,traffic sign,vegetation,terrain,sky,"
    "person,rider,car,truck,bus,train,motorcycle,bicycle"
).split(",")
# Spelt as in the published segmentation networks.
VOC_MASK_NAMES = (
    "background,aeroplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,diningtable,dog,horse,"
    "motorbike,person,potted-plant,sheep,sofa,train,tv/monitor"
).split(",")
BUILTIN_OF_MASKS: dict[str, LabelMap] = {
    "voc": dict(enumerate(VOC_MASK_NAMES)),
    "cityscapes": dict(enumerate(CITYSCAPES_NAMES)),
}


def label_map_from_mapping(
    mapping: Mapping[Any, Any], source: str, *, of_masks: bool = False
) -> LabelMap:
    """Converts ``{id: name}``, ``{"id": name}`` or the original's ``{name: id}`` to ``{id: name}``.

    Args:
        mapping: A mapping of one of these forms.
        source: Where it comes from, for errors.
        of_masks: Id 0 is a class too; otherwise it is the background and is left out.

    Raises:
        UserError: An id is not a whole number, is negative or is used twice; or there are no
            classes.
    """
    labels: LabelMap = {}
    by_name = bool(mapping) and all(type(v) is int for v in mapping.values())
    pairs = ((v, k) for k, v in mapping.items()) if by_name else mapping.items()
    for key, name in pairs:
        class_id = _class_id(key)
        text = text_of_name(key, name, source)
        if not 0 <= class_id <= _LARGEST_ID or isinstance(name, (dict, list)):
            raise UserError(
                f"{source}: expected {{class id: name}} or {{name: class id}}, "
                f"got {_short(key)}: {_short(name)}."
            )
        if class_id in labels:
            raise UserError(f"{source}: class id {class_id} is used by two names.")
        if not is_utf8(text):
            raise UserError(
                f"{source}: the name of class {class_id}, {_short(text)}, holds half of a "
                "character: write it again."
            )
        labels[class_id] = class_name(text)
    background = None if of_masks else labels.pop(0, None)
    if background is not None and not _NO_CLASS.search(background):
        raise UserError(
            f"{source} gives class id 0 to {background!r}, but ids start at 1, as 0 is the "
            "background: add 1 to each."
        )
    if not labels:
        raise UserError(f"{source} contains no classes.")
    return dict(sorted(labels.items()))


def _class_id(key: Any) -> int:
    """Converts a key of a file to a class id; -1 if it is not one."""
    if isinstance(key, bool) or (isinstance(key, float) and not key.is_integer()):
        return -1
    try:
        return int(key)
    except (TypeError, ValueError, OverflowError):
        return -1


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # A number with more digits than Python will print.
        text = "a number with too many digits to print"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Makes a dict of a JSON object and refuses repeated keys."""
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in mapping if keys.count(key) > 1)
        raise ValueError(f"{_short(twice)} occurs twice")
    return mapping


def read_labels(path: str, *, of_masks: bool = False) -> LabelMap:
    """Reads a label map from a JSON or YAML file; `of_masks` as in `label_map_from_mapping`.

    Raises:
        UserError: The file is missing, unreadable or not a label map.
    """
    try:
        text = files.read_text(path)
        is_json = path.endswith(".json")
        mapping = json.loads(text, object_pairs_hook=_once) if is_json else load_yaml(text)
    except OSError as error:
        raise UserError(f"Cannot read the label map {path}: {error.strerror}.") from error
    except UserError:
        raise
    except RecursionError as error:
        raise UserError(f"The label map {path} is nested too deeply.") from error
    except UnclearYaml as error:
        raise UserError(f"The label map {path}, {error}.") from error
    except (ValueError, yaml.YAMLError) as error:
        raise UserError(f"The label map {path} is not valid: {error}.") from error
    if not isinstance(mapping, dict):
        raise UserError(f"The label map {path} must be a mapping of class ids to names.")
    return label_map_from_mapping(mapping, path, of_masks=of_masks)


def resolve_label_map(
    value: None | str | Mapping[Any, Any], *, of_masks: bool = False
) -> LabelMap | None:
    """Resolves a configuration's ``label_map``.

    Args:
        value: None; a built-in name ("coco", "voc", "waymo"; for masks "voc", "cityscapes"); a path
            ending in .json, .yaml or .yml; or a dict.
        of_masks: The classes are those of masks and count from 0.

    Raises:
        UserError: The name is unknown, or the file or dict is invalid.
    """
    if value is None or value == "":
        return None
    builtin = BUILTIN_OF_MASKS if of_masks else BUILTIN
    if isinstance(value, Mapping):
        return label_map_from_mapping(value, "label_map", of_masks=of_masks)
    if value in builtin:
        return dict(builtin[value])
    if str(value).endswith((".json", ".yaml", ".yml")):
        return read_labels(str(value), of_masks=of_masks)
    raise UserError(
        f"Unknown label_map {value!r}: expected one of {', '.join(builtin)}, "
        "a .json or .yaml file, or a dict {id: name}."
    )


def labels_text(labels: Mapping[int, str]) -> str:
    """Content of a ``labels.json`` file."""
    ordered = {str(class_id): labels[class_id] for class_id in sorted(labels)}
    return json.dumps(ordered, indent=1, ensure_ascii=False) + "\n"


def write_labels(output_prefix: str, labels: Mapping[int, str]) -> str:
    """Writes the names beside the records ``<output_prefix>-*.tfrecord``; returns the path.

    The file is ``labels.json``, unless other records of the folder use one with other content.
    """
    labels = {class_id: class_name(name) for class_id, name in labels.items()}
    folder, prefix = os.path.split(files.absolute(output_prefix))
    shared = os.path.join(folder, "labels.json")
    own = os.path.join(folder, f"labels_{prefix}.json")
    text = labels_text(labels)
    others = any(
        name.endswith(".tfrecord") and shard_prefix(name) != prefix
        for name in files.list_names(folder)
    )
    differs = files.exists(shared) and read_labels(shared, of_masks=0 in labels) != labels
    path = own if others and differs else shared
    files.write_text(path, text)
    if path == shared:
        files.remove(own)
    return path


def differing_ids(
    output_prefix: str, labels: Mapping[int, str], written_with: Collection[str] = ()
) -> list[str]:
    """Warns if other records of the folder give a class another id.

    Parts of one data set must agree on the ids; two data sets in one folder need not.

    Args:
        output_prefix: Path prefix of the records.
        labels: Their classes.
        written_with: Prefixes of the same conversion, which may exist from an earlier one.
    """
    folder, prefix = os.path.split(files.absolute(output_prefix))
    ids = {name: class_id for class_id, name in labels.items()}
    others = {shard_prefix(n) for n in files.list_names(folder) if n.endswith(".tfrecord")}
    for other in sorted(others - {prefix, *map(os.path.basename, written_with)}):
        own = os.path.join(folder, f"labels_{other}.json")
        path = own if files.exists(own) else os.path.join(folder, "labels.json")
        if not files.exists(path):
            continue
        theirs = read_labels(path, of_masks=0 in labels)
        wrong = [
            f"{n!r} is {ids[n]} here, {i} there" for i, n in theirs.items() if ids.get(n, i) != i
        ]
        if wrong:
            return [
                f"WARNING: the records {other} beside these number the classes differently "
                f"({'; '.join(wrong[:3])}): if both belong to one data set, convert them with the "
                f"same classes (VOC: `label_map_json_path={path}`; COCO: the same categories in "
                "both files)"
            ]
    return []


def labels_path(record_path: str) -> str | None:
    """Path of the class names beside a record file (its data set's own first); None if none."""
    folder, prefix = os.path.dirname(record_path), shard_prefix(record_path)
    paths = (os.path.join(folder, name) for name in (f"labels_{prefix}.json", "labels.json"))
    return next(filter(files.exists, paths), None)


def _holds_masks(path: str) -> bool:
    """Whether the first record of a file has a mask."""
    from efficientvision.data.record_features import MASK

    first = next(iter_records(path), None)
    return first is not None and MASK.encode() in first


def find_labels(file_pattern: FilePattern, *, of_masks: bool = False) -> LabelMap | None:
    """Reads the class names beside the records of a pattern; None if there are none.

    Args:
        file_pattern: Pattern of the records.
        of_masks: The classes count from 0.

    Raises:
        UserError: Nothing matches, or two data sets of the pattern name their classes differently.
    """
    found: dict[str, LabelMap] = {}
    sets = {(os.path.dirname(p), shard_prefix(p)): p for p in match_files(file_pattern)}
    for _, member in sorted(sets.items()):
        if (path := labels_path(member)) is not None and path not in found:
            try:
                found[path] = read_labels(path, of_masks=of_masks)
            except UserError:
                if not of_masks and _holds_masks(member):
                    raise UserError(
                        f"{member} holds masks, and its class ids start at 0: set `task` to one "
                        "that learns masks, or use records with boxes or classes of images."
                    ) from None
                raise
    maps = list(found.items())
    for path, labels in maps[1:]:
        if labels != maps[0][1]:
            raise UserError(
                f"{maps[0][0]} and {path} name the classes differently; "
                "convert both data sets with the same label map (`label_map_json_path`)."
            )
    return maps[0][1] if maps else None
