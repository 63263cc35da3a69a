"""What the runmodes of model_inspect.py are told."""

from dataclasses import dataclass
from typing import Any

from efficientvision.configs import DetectionConfig
from efficientvision.configs.overrides import read_overrides
from efficientvision.errors import UserError
from efficientvision.export.load_export import is_export
from efficientvision.loading import LoadedModel, load_model

DEFAULT_MIN_SCORE = 0.4
DEFAULT_NMS_METHOD = "hard"
_DETECTORS_ONLY = (
    "nms",
    "nms_method",
    "max_boxes_to_draw",
    "line_thickness",
    "val_json_file",
)


@dataclass(frozen=True)
class InspectSettings:
    """The flags of model_inspect.py under their own names, plain values.

    Attributes:
        model_name: None where the user named none.
        task: "detection" or "classification"; None: as the model's name says.
        ckpt_path: None: random weights.
        hparams: overrides as text.
        batch_size: None: dynamic.
        nms_method, min_score_thresh, max_boxes_to_draw: of a detector; become part of the network's
            postprocessing; None: as `nms_configs` in the hyper-parameters says, or the published
            program's hard, 0.4, 100. The score is of a classifier, too: the least probability.
        line_thickness: pixels, None: grows with the picture.
        threads: of a benchmark, 0: as the runtime likes.
        live_port: of the live page, 0: any free one; None: none was named.
    """

    model_name: str | None = None
    task: str | None = None
    ckpt_path: str | None = None
    hparams: str | None = None
    input_image_size: str | None = None
    batch_size: int | None = 1
    nms_method: str | None = None
    min_score_thresh: float | None = None
    max_boxes_to_draw: int | None = None
    line_thickness: int | None = None
    input_image: str | None = None
    output_image_dir: str | None = None
    input_video: str | None = None
    output_video: str | None = None
    live_port: int | None = None
    saved_model_dir: str = "/tmp/saved_model"
    logdir: str = "/tmp/deff/"
    delete_logdir: bool = True
    export_ckpt: str | None = None
    bm_runs: int = 10
    bm_runs_warmup: int = 5
    use_xla: bool = False
    trace_filename: str | None = None
    formats: tuple[str, ...] = ()
    nms: str | None = None
    calibration_file_pattern: str | None = None
    val_file_pattern: str | None = None
    val_json_file: str | None = None
    threads: int = 0
    tflite_path: str | None = None

    def load(self) -> LoadedModel:
        """Builds the network and loads its checkpoint; the flags decide a detector's NMS."""
        overrides: dict[str, Any] = {}
        if self.input_image_size:
            overrides["image_size"] = self.input_image_size
        loaded = load_model(
            self.ckpt_path, self.model_name, self.hparams, task=self.task, **overrides
        )
        if isinstance(loaded.config, DetectionConfig):
            loaded.config.override({"nms_configs": self._nms(loaded.config)})
        else:
            self.say_detectors_only()
        return loaded

    def _nms(self, config: DetectionConfig) -> dict[str, Any]:
        """What the flags change in `nms_configs`."""
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

    def say_detectors_only(self) -> None:
        """Names the given flags that mean nothing to a classifier."""
        for name in _DETECTORS_ONLY:
            if getattr(self, name) is not None:
                print(f"Flag --{name} has no effect: the model is a classifier")

    def need(self, flag: str, runmode: str) -> Any:
        """The value of a flag without which a runmode can do nothing.

        Raises:
            UserError: it is not set.
        """
        value = getattr(self, flag)
        if not value:
            raise UserError(f"--runmode={runmode} needs --{flag}")
        return value

    def need_export(self, otherwise: str = "") -> None:
        """Makes sure that --saved_model_dir is an exported model.

        Args:
            otherwise: what else the user may do, for the error.

        Raises:
            UserError: it is not.
        """
        if not is_export(self.saved_model_dir):
            raise UserError(
                f"--saved_model_dir={self.saved_model_dir} is no SavedModel folder and no exported "
                "file (_frozen.pb, .onnx, .xml, .tflite): write one with "
                f"--runmode=saved_model or --runmode=export{otherwise}"
            )


def _sets_nms_method(hparams: str | None) -> bool:
    return any("method" in (part.get("nms_configs") or {}) for part in read_overrides(hparams))
