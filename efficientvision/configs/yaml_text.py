"""Reads and writes all YAML: hyper-parameters, recipes and class names.

PyYAML implements YAML 1.1, which turns into numbers what most people mean as text or as other
numbers: 010 is 8 and 1:30 is 90. Such numbers, and duplicate keys, are rejected.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from efficientvision.errors import UserError

_FLOAT = (
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)
_MERGE = "tag:yaml.org,2002:merge"
_PLAIN_INTEGER = re.compile(r"[-+]?(0|[1-9]\d*)")
_SHOWN = 60
# Values that aliases may multiply a text to: a few kilobytes can stand for billions.
_MOST_VALUES = 100_000


class UnclearYaml(yaml.YAMLError):
    """Valid YAML that does not mean what it seems to; the message has no full stop."""


class _Loader(yaml.SafeLoader):
    """Reads `8e-3` and `1e-4` as floats, as YAML 1.2 does (in YAML 1.1 they are text)."""

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            counts: dict[int, int] = {}
            total = _count(node, counts)
            if total > max(_MOST_VALUES, len(counts)):
                raise UnclearYaml(f"its aliases (*name) stand for {total:,} values: write them out")
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        if isinstance(node, yaml.MappingNode):
            seen: set[Any] = set()
            for key_node, _ in node.value:
                # Keys merged with << may be overridden; YAML itself rejects invalid keys.
                if key_node.tag == _MERGE or not isinstance(key_node, yaml.ScalarNode):
                    continue
                key = self.construct_object(key_node)
                if key in seen:
                    raise UnclearYaml(f"{_place(key_node)}: duplicate key {_cut(key_node)}")
                seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_integer(self, node: yaml.ScalarNode) -> int:
        return self._clear(node, super().construct_yaml_int(node), _PLAIN_INTEGER)

    def construct_float(self, node: yaml.ScalarNode) -> float:
        return self._clear(node, super().construct_yaml_float(node), re.compile(r"[^:_]*"))

    def _clear(self, node: yaml.ScalarNode, value: Any, clear: re.Pattern) -> Any:
        if not clear.fullmatch(node.value):
            try:
                number = str(value)
            except ValueError:  # Python does not print numbers of over 4,300 digits.
                number = "many digits"
            raise UnclearYaml(
                f"{_place(node)}: YAML reads {_cut(node)} as the number {number[:_SHOWN]}: write "
                "that number, or put quotes around it if it is text"
            )
        return value


_Loader.add_implicit_resolver(*_FLOAT)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_float)


class _Dumper(yaml.SafeDumper):
    """Quotes text that the loader would read as a number."""


_Dumper.add_implicit_resolver(*_FLOAT)


def _count(node: yaml.Node, counts: dict[int, int]) -> int:
    """Number of values that a node stands for, each alias counted as what it repeats.

    Args:
        node: The node.
        counts: Identity of a node -> its count; filled. 0: the node is being counted.

    Raises:
        UnclearYaml: A node contains itself.
    """
    known = counts.get(id(node))
    if known == 0:
        raise UnclearYaml(f"{_place(node)}: an alias is within what it stands for")
    if known is None:
        counts[id(node)] = 0
        inner = node.value if isinstance(node, yaml.CollectionNode) else ()
        parts = [part for item in inner for part in (item if isinstance(item, tuple) else (item,))]
        counts[id(node)] = known = 1 + sum(_count(part, counts) for part in parts)
    return known


def _place(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"


def _cut(node: yaml.ScalarNode) -> str:
    return node.value if len(node.value) <= _SHOWN else f"{node.value[:_SHOWN]}..."


def load_yaml(text: str) -> Any:
    """Parses YAML text.

    Raises:
        UnclearYaml: A key is duplicated, YAML 1.1 reads a number differently than written, or
            aliases stand for too many values.
        yaml.YAMLError: The text is not valid YAML.
        ValueError, ArithmeticError, RecursionError: It contains numbers of 5,000 digits,
            impossible dates, or lists nested very deeply.
    """
    return yaml.load(text, Loader=_Loader)


def dump_yaml(content: Any) -> str:
    """Returns YAML text that `load_yaml` can read back."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=True, allow_unicode=True)


def text_of_name(key: Any, name: Any, source: str) -> str:
    """Returns the name of a class as text.

    Args:
        key: The class, for the error.
        name: The value that YAML or JSON gave for it.
        source: Where it comes from, for the error.

    Raises:
        UserError: The value is not text or an integer: YAML reads `yes` as True and `1e3` as
            1000.0.
    """
    if name is None or isinstance(name, (bool, float)):
        raise UserError(
            f"{source}: the name of class {key!r} is read as {name!r}, which is not text: put "
            "quotes around it."
        )
    return str(name)
