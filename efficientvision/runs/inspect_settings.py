"""The settings of a runmode of model_inspect.py."""

import logging
from dataclasses import dataclass
from typing import Any

from efficientvision.configs import DetectorConfig, parse_image_size
from efficientvision.configs.overrides import read_overrides
from efficientvision.errors import UserError
from efficientvision.exports.load_export import is_export
from efficientvision.loading import LoadedModel, load_model
from efficientvision.runs.inspect_options import InspectOptions
from efficientvision.runs.options import option_fields
from efficientvision.segmenter import DEFAULT_OVERLAP

log = logging.getLogger(__name__)

DEFAULT_MIN_SCORE = 0.4
DEFAULT_NMS_METHOD = "hard"
_KINDS = {
    "detection": "a detector",
    "classification": "a classifier",
    "segmentation": "a segmenter",
}
# The value of `input_image_size` for each photo's own size.
_PHOTO = "photo"


@dataclass(frozen=True, kw_only=True)
class InspectSettings(InspectOptions):
    """The options of a runmode, and what follows from them.

    `ckpt_path` None stands for random weights, `batch_size` None for any number of images.
    """

    @property
    def formats(self) -> tuple[str, ...]:
        """The names in `format`."""
        return tuple(name.strip() for name in self.format.split(",") if name.strip())

    @property
    def at_photo_size(self) -> bool:
        """Whether a segmenter runs at each photo's own size."""
        return self.input_image_size == _PHOTO

    @property
    def tile_hw(self) -> tuple[int, int] | None:
        """Height and width of the tiles; None without tiles.

        Raises:
            UserError: `tile` is not a size.
        """
        return parse_image_size(self.tile) if self.tile else None

    @property
    def overlap(self) -> int:
        """Pixels by which neighbouring tiles overlap."""
        return DEFAULT_OVERLAP if self.tile_overlap is None else self.tile_overlap

    def load_for_export(self) -> LoadedModel:
        """`load` for exports and benchmarks, whose input size is fixed.

        Raises:
            UserError: The size is to be each photo's own.
        """
        if self.at_photo_size:
            raise UserError(
                f"`input_image_size={_PHOTO}` is for photos and videos: exports and benchmarks "
                "need one fixed size, such as 512 or 512x256"
            )
        return self.load()

    def load(self) -> LoadedModel:
        """Builds the network and loads its checkpoint; the settings override a detector's NMS.

        With tiles, a segmenter's input has their size.
        """
        overrides: dict[str, Any] = {}
        if self.input_image_size and not self.at_photo_size:
            overrides["image_size"] = self.input_image_size
        if self.tile_hw:
            if self.input_image_size:
                raise UserError(
                    f"`tile={self.tile}` sets the network's input size: remove `input_image_size`"
                )
            overrides["image_size"] = self.tile_hw
        elif self.tile_overlap is not None:
            raise UserError("`tile_overlap` needs `tile`")
        loaded = load_model(
            self.ckpt_path, self.model_name, self.hparams, task=self.task, **overrides
        )
        if isinstance(loaded.config, DetectorConfig):
            loaded.config.override({"nms_configs": self._nms(loaded.config)})
        self.say_other_tasks(loaded.config.task)
        return loaded

    def serving_options(self, task: str) -> dict[str, Any]:
        """The settings of an export's results, for `build_serving` and the metadata."""
        if task != "segmentation" or self.segmentation_output is None:
            return {}
        return {"result": self.segmentation_output}

    def _nms(self, config: DetectorConfig) -> dict[str, Any]:
        """Overrides of `nms_configs`."""
        nms: dict[str, Any] = {}
        if self.nms_method is not None or not _sets_nms_method(self.hparams):
            nms["method"] = self.nms_method or DEFAULT_NMS_METHOD
        if self.min_score_thresh is not None or not config.nms_configs.score_thresh:
            nms["score_thresh"] = (
                DEFAULT_MIN_SCORE if self.min_score_thresh is None else self.min_score_thresh
            )
        if self.max_boxes_to_draw is not None:
            nms["max_output_size"] = self.max_boxes_to_draw
        return nms

    def say_other_tasks(self, task: str) -> None:
        """Logs which settings have no effect on a model of this task.

        Raises:
            UserError: Tiles or the photo's own size are set, but it is not a segmenter.
        """
        for field in option_fields(InspectOptions):
            used = task in field.metadata.get("tasks", (task,))
            if not used and getattr(self, field.name) not in (None, False):
                log.info(f"`{field.name}` has no effect: the model is {_KINDS[task]}")
        refused = f"`input_image_size={_PHOTO}`" if self.at_photo_size else f"`tile={self.tile}`"
        if task != "segmentation" and (self.at_photo_size or self.tile):
            raise UserError(f"{refused} is only for segmenters, but the model is {_KINDS[task]}")

    def need(self, flag: str, runmode: str) -> Any:
        """The value of a setting that a runmode requires.

        Raises:
            UserError: It is not set.
        """
        value = getattr(self, flag)
        if not value:
            raise UserError(f"`runmode={runmode}` needs `{flag}`")
        return value

    def need_export(self, otherwise: str = "") -> None:
        """Checks that `saved_model_dir` is an exported model.

        Args:
            otherwise: Appended to the error: what else the user can do.

        Raises:
            UserError: It is not.
        """
        if not is_export(self.saved_model_dir):
            raise UserError(
                f"`saved_model_dir={self.saved_model_dir}` is neither a SavedModel folder nor an "
                "exported file (_frozen.pb, .onnx, .xml, .tflite): write one with "
                f"`runmode=saved_model` or `runmode=export`{otherwise}"
            )


def _sets_nms_method(hparams: str | None) -> bool:
    return any("method" in (part.get("nms_configs") or {}) for part in read_overrides(hparams))
