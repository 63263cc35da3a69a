"""The metadata of exported models."""

import dataclasses
import importlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from efficientvision.errors import UserError
from efficientvision.registry import TASKS
from efficientvision.tasks.metadata_checks import Check, checked_facts

# Maximum length of a reason: a foreign file may contain names of any length.
_MAX_REASON = 200


@dataclass(frozen=True)
class ModelMetadata:
    """Metadata stored with a SavedModel (`metadata.json`) and inside every exported file.

    Attributes:
        model_name: e.g. `efficientdet-d0`.
        image_hw: input size of the network, (height, width) in pixels.
        num_classes: K, without background; for a segmenter, its number of outputs.
        class_names: class number (1..K; for a segmenter 0..K-1) -> name.
        batch_size: number of images per batch; None: any.
        precision: precision of the weights: float32, float16 or int8.
        contract: for a portable file: facts for programs without this library, see
            `contract.contract_of`.
        format: kind and version of the metadata.
        result_name: name of the served tensor.
        task: task as in configurations.
        kind: description for messages.
        python_class: class of this library that runs the model.
        checks: validators of the values read from a file.
        takes_nms: whether suppression may be inside a file, or left to the caller.
        axes: meaning of the axes of each output, by its name.
        first_class: the class at position 0 of a class axis.
    """

    format: ClassVar[str]
    result_name: ClassVar[str]
    task: ClassVar[str]
    kind: ClassVar[str]
    python_class: ClassVar[str]
    checks: ClassVar[dict[str, Check]]
    takes_nms: ClassVar[bool] = False
    axes: ClassVar[dict[str, tuple[str, ...]]]
    first_class: ClassVar[int] = 1

    model_name: str
    image_hw: tuple[int, int]
    num_classes: int
    class_names: dict[int, str] = field(default_factory=dict)
    batch_size: int | None = field(default=1, kw_only=True)
    precision: str = field(default="float32", kw_only=True)
    contract: dict[str, Any] = field(default_factory=dict, kw_only=True)

    def to_json(self) -> str:
        """Returns JSON text for `metadata_from_json`."""
        return json.dumps({"format": self.format, **dataclasses.asdict(self)}, indent=2)

    def check(self) -> None:  # noqa: B027
        """Raises ValueError if facts contradict each other."""

    def check_portable(self) -> None:  # noqa: B027
        """Raises ValueError if facts for pre- or postprocessing of a portable file are missing."""

    def resize_facts(self) -> dict[str, Any]:
        """Describes how to resize a photo to the input, for programs without this library.

        `stretch`: to height and width, ignoring the aspect ratio. `cover`: scale until it covers
        the input's sides divided by `crop_fraction`, then crop the centre. `fit`: scale until it
        fits, place it in the top left corner and fill the rest with `fill_rgb`.
        """
        height, width = self.image_hw
        facts = {"method": "stretch", "height": height, "width": width, "filter": "bilinear"}
        return facts | {"antialias": True, "rounded": True}

    def output_facts(self) -> dict[str, Any]:
        """Describes the postprocessing of the outputs, for programs without this library."""
        return {}


Metadata = TypeVar("Metadata", bound=ModelMetadata)


def check_kind(metadata: ModelMetadata | None, wanted: type[Metadata], origin: Any) -> Metadata:
    """Checks that an exported model is of the expected kind.

    Args:
        metadata: metadata of the model; None: it has none.
        wanted: the expected kind.
        origin: path of the model, for the error.

    Returns:
        The metadata.

    Raises:
        UserError: the model is of another kind.
    """
    if isinstance(metadata, wanted):
        return metadata
    if metadata is None:
        raise UserError(
            f"{origin} has no metadata of this library, so it is not known to be {wanted.kind}: "
            "export the model again with model_inspect.py (`runmode=export`)"
        )
    raise UserError(
        f"{origin} is {metadata.model_name}, which is not {wanted.kind}: use "
        f"{metadata.python_class} for it"
    )


def _classes() -> dict[str, type[ModelMetadata]]:
    """Format -> class, of every task."""
    modules = (importlib.import_module(f"{entry.package}.metadata") for entry in TASKS.values())
    return {module.METADATA.format: module.METADATA for module in modules}


def metadata_from_json(text: str, origin: str) -> ModelMetadata:
    """Reads metadata of any kind as written by `to_json`.

    Args:
        text: the JSON.
        origin: where it comes from, for the error message.

    Raises:
        UserError: the text is not valid metadata.
    """
    try:
        values = json.loads(text)
        kind = _classes()[values.pop("format")]
        metadata = kind(**checked_facts(values, kind.checks))
        metadata.check()
        return metadata
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unreadable(origin, str(error)) from error
    except RecursionError as error:
        raise _unreadable(origin, "it is nested too deeply") from error


def check_portable(
    metadata: ModelMetadata, input_shape: Sequence[int | None] | None, origin: str
) -> None:
    """Checks the metadata of a portable file against its graph and for completeness.

    Args:
        metadata: the metadata.
        input_shape: input shape of the graph, [N, h, w, 3], with None for dynamic sizes; None:
            unknown.
        origin: path of the model, for the error.

    Raises:
        UserError: the shapes differ, or the metadata is incomplete.
    """
    stated = (metadata.batch_size or 1, *metadata.image_hw, 3)
    found = stated if input_shape is None else tuple(input_shape)
    if len(found) != 4 or any(f not in (None, s) for f, s in zip(found, stated, strict=True)):
        raise _unreadable(origin, f"it states an input of {stated}, and the model takes {found}")
    try:
        metadata.check_portable()
    except ValueError as error:
        raise _unreadable(origin, str(error)) from error


def check_batch(metadata: ModelMetadata | None, number: int | None, origin: str) -> None:
    """Checks the batch size in the metadata against that of a graph (None: dynamic).

    Raises:
        UserError: the batch sizes differ.
    """
    if metadata is not None and number is not None and metadata.batch_size != number:
        raise _unreadable(
            origin, f"it states a batch_size of {metadata.batch_size}, and the model takes {number}"
        )


def _unreadable(origin: str, reason: str) -> UserError:
    reason = "".join(c if c.isprintable() else "?" for c in reason[:_MAX_REASON])
    return UserError(f"the metadata of {origin} cannot be read ({reason}): export the model again")
