"""What an exported model says about itself."""

import dataclasses
import importlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from efficientvision.errors import UserError
from efficientvision.registry import TASKS
from efficientvision.tasks.metadata_checks import Check, checked_facts

# Letters of a reason: a stranger's file may hold names of any length.
_MAX_REASON = 200


@dataclass(frozen=True)
class ModelMetadata:
    """Facts that travel with a SavedModel (`metadata.json`) and inside every exported file.

    Attributes:
        model_name: e.g. `efficientdet-d0`.
        image_hw: input size of the network, (height, width) in pixels.
        num_classes: K, without background; of a segmenter, its outputs.
        class_names: class number (1..K; of a segmenter 0..K-1) -> name.
        batch_size: images in a batch, None: any number.
        precision: of the weights: float32, float16 or int8.
        contract: of a portable file: what programs without this library must know, see
            `contract.contract_of`.
        format: kind of these facts, and their version.
        result_name: of the tensor that is served.
        task: as in configurations.
        kind: what it is, for sentences.
        python_class: of this library, that runs it.
        checks: what a file's facts must be.
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
        """Returns a JSON text that `metadata_from_json` reads."""
        return json.dumps({"format": self.format, **dataclasses.asdict(self)}, indent=2)

    def check(self) -> None:  # noqa: B027
        """Raises ValueError where facts do not fit each other."""

    def check_portable(self) -> None:  # noqa: B027
        """Raises ValueError where what must be done around a portable file is not said."""

    def resize_facts(self) -> dict[str, Any]:
        """How a photo is brought to the input's size, for programs without this library.

        `stretch`: to height and width, whatever its shape. `cover`: until it covers the input's
        sides divided by `crop_fraction`, then the middle. `fit`: until it fits, in the top left
        corner, the rest is `fill_rgb`.
        """
        height, width = self.image_hw
        facts = {"method": "stretch", "height": height, "width": width, "filter": "bilinear"}
        return facts | {"antialias": True, "rounded": True}

    def output_facts(self) -> dict[str, Any]:
        """What is left to do with the outputs, for programs without this library."""
        return {}


Metadata = TypeVar("Metadata", bound=ModelMetadata)


def check_kind(metadata: ModelMetadata | None, wanted: type[Metadata], origin: Any) -> Metadata:
    """Makes sure that an exported model is of the wanted kind.

    Args:
        metadata: of the model; None: it has none of ours.
        wanted: the kind.
        origin: of the model, for the error.

    Returns:
        The metadata.

    Raises:
        UserError: it is of another kind.
    """
    if isinstance(metadata, wanted):
        return metadata
    other = wanted.kind.replace("a ", "no ")
    if metadata is None:
        raise UserError(f"{origin} is no model of ours, which is {other}")
    raise UserError(
        f"{origin} is {metadata.model_name}, which is {other}: use {metadata.python_class} for it"
    )


def _classes() -> dict[str, type[ModelMetadata]]:
    """Format -> class, of every task."""
    modules = (importlib.import_module(f"{entry.package}.metadata") for entry in TASKS.values())
    return {module.METADATA.format: module.METADATA for module in modules}


def metadata_from_json(text: str, origin: str) -> ModelMetadata:
    """Reads what `to_json` wrote, of any kind.

    Args:
        text: the JSON.
        origin: where it comes from, for the error message.

    Raises:
        UserError: it is something else.
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
    """Holds the facts of a portable file against its graph, and what must be done around that.

    Args:
        metadata: the facts.
        input_shape: of the graph, [N, h, w, 3], None for what it leaves open; None: not known.
        origin: of the model, for the error.

    Raises:
        UserError: the file is of another shape, or does not say enough.
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
    """Holds the batch size of the facts against that of a graph, None where that leaves it open.

    Raises:
        UserError: the facts state another.
    """
    if metadata is not None and number is not None and metadata.batch_size != number:
        raise _unreadable(
            origin, f"it states a batch_size of {metadata.batch_size}, and the model takes {number}"
        )


def _unreadable(origin: str, reason: str) -> UserError:
    reason = "".join(c if c.isprintable() else "?" for c in reason[:_MAX_REASON])
    return UserError(f"the metadata of {origin} cannot be read ({reason}): export the model again")
