"""What an exported detector says about itself."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from efficientvision.errors import UserError

FORMAT = "efficientvision-detector-1"


@dataclass(frozen=True)
class DetectorMetadata:
    """Facts that travel with a SavedModel (`metadata.json`) and inside a frozen graph.

    Attributes:
        model_name: e.g. `efficientdet-d0`.
        image_hw: input size of the network, (height, width) in pixels.
        num_classes: K, without background.
        class_names: class number (1..K) -> name.
        fpn_name: feature fusion: bifpn, qufpn or vfpn.
        nms: settings of the suppression that is part of the file: method, iou_thresh, sigma,
            score_thresh (weaker detections are left out), max_output_size, per_class.
        batch_size: images in a batch, None: any number.
        columns: meaning of the last axis of `detections`.
        precision: of the weights: float32, float16 or int8.
        preprocessing: of a file that takes resized photos: `mean_rgb`, with which they are padded
            at the bottom and the right; it becomes 0 after the normalisation inside.
        anchors: of a file without suppression: arguments of `generate_anchors`.
        min_score_thresh: detections with lower scores are left out unless asked for.
    """

    model_name: str
    image_hw: tuple[int, int]
    num_classes: int
    class_names: dict[int, str] = field(default_factory=dict)
    fpn_name: str | None = None
    nms: dict[str, Any] = field(default_factory=dict)
    batch_size: int | None = 1
    columns: tuple[str, ...] = ("image_id", "ymin", "xmin", "ymax", "xmax", "score", "class")
    precision: str = "float32"
    preprocessing: dict[str, Any] = field(default_factory=dict)
    anchors: dict[str, Any] = field(default_factory=dict)
    min_score_thresh: float = 0.0

    def to_json(self) -> str:
        """Returns a JSON text that `from_json` reads."""
        return json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, indent=2)

    @classmethod
    def from_json(cls, text: str, origin: str) -> "DetectorMetadata":
        """Reads what `to_json` wrote.

        Args:
            text: the JSON.
            origin: where it comes from, for the error message.

        Raises:
            UserError: it is something else.
        """
        try:
            values = json.loads(text)
            if values.pop("format") != FORMAT:
                raise ValueError("another format")
            values["image_hw"] = tuple(values["image_hw"])
            values["columns"] = tuple(values["columns"])
            values["class_names"] = {int(k): v for k, v in values["class_names"].items()}
            return cls(**values)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"the metadata of {origin} cannot be read ({error}): export the model again"
            ) from error
