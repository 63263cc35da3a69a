"""The one reading and writing of YAML: of hyper-parameters, recipes and names of classes.

YAML's older version, which PyYAML reads, makes numbers of what most people write as text or mean
as other numbers: 010 is 8 and 1:30 is 90. Such numbers, and keys that come twice, are refused.
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


class UnclearYaml(yaml.YAMLError):
    """Text that is YAML, and does not mean what it seems to; the sentence has no full stop."""


class _Loader(yaml.SafeLoader):
    """As YAML 1.2, `8e-3` and `1e-4` are floats (in YAML 1.1 they are text)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        if isinstance(node, yaml.MappingNode):
            seen: set[Any] = set()
            for key_node, _ in node.value:
                # What is merged with << may be given anew, and what no key can be says YAML.
                if key_node.tag == _MERGE or not isinstance(key_node, yaml.ScalarNode):
                    continue
                key = self.construct_object(key_node)
                if key in seen:
                    raise UnclearYaml(f"{_place(key_node)}: {_cut(key_node)} is there twice")
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
            except ValueError:  # Python writes no number of over 4,300 digits.
                number = "many digits"
            raise UnclearYaml(
                f"{_place(node)}: {_cut(node)} reads as the number {number[:_SHOWN]}: write that, "
                "or put it into quotes if it is text"
            )
        return value


_Loader.add_implicit_resolver(*_FLOAT)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_float)


class _Dumper(yaml.SafeDumper):
    """Puts quotes around text that the loader would take for a number."""


_Dumper.add_implicit_resolver(*_FLOAT)


def _place(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"


def _cut(node: yaml.ScalarNode) -> str:
    return node.value if len(node.value) <= _SHOWN else f"{node.value[:_SHOWN]}..."


def load_yaml(text: str) -> Any:
    """The content of YAML text.

    Raises:
        UnclearYaml: A key comes twice, or a number is written so that it reads as another one.
        yaml.YAMLError: It is no YAML.
        ValueError, ArithmeticError, RecursionError: It holds numbers of 5,000 digits, dates that
            are none, or lists in lists without end.
    """
    return yaml.load(text, Loader=_Loader)


def dump_yaml(content: Any) -> str:
    """YAML text that `load_yaml` reads back."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=True, allow_unicode=True)


def text_of_name(key: Any, name: Any, source: str) -> str:
    """The name of a class as it was written.

    Args:
        key: Its class, for the error.
        name: What was read for it.
        source: Where it is from, for the error.

    Raises:
        UserError: What was written reads as something else than text: `yes` as True, `1e3` as
            1000.0.
    """
    if name is None or isinstance(name, (bool, float)):
        raise UserError(
            f"{source}: the name of class {key!r} reads as {name!r}, which is no text: put it "
            "into quotes."
        )
    return str(name)
