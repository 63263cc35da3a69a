"""The options of exports, benchmarks and predictions: `model_inspect.py`, `ev.export`."""

from dataclasses import dataclass
from typing import Any

from efficientvision.configs.kinds import parse_image_size
from efficientvision.errors import UserError

# Of --input_image_size: each photo's own size.
PHOTO = "photo"


@dataclass(frozen=True)
class InspectSettings:
    """The flags of model_inspect.py under their own names, plain values.

    Attributes:
        model_name: None where the user named none.
        task: "detection", "classification" or "segmentation"; None: as the checkpoint, else the
            model's name says.
        ckpt_path: None: random weights.
        hparams: overrides as text.
        batch_size: None: dynamic.
        nms_method, min_score_thresh, max_boxes_to_draw: of a detector; become part of the network's
            postprocessing; None: as `nms_configs` in the hyper-parameters says, or the published
            program's hard, 0.4, 100. The score is of a classifier, too: the least probability.
        line_thickness: pixels, None: grows with the picture.
        threads: of a benchmark, 0 = runtime default.
        trust: run an exported TensorFlow graph even if it may do more than compute.
        live_port: of the live page, 0: any free one; None: none was named.
        tile, tile_overlap, segmentation_output, raw_maps: of a segmenter.
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
    trust: bool = False
    tflite_path: str | None = None
    raw_maps: bool = False
    tile: str | None = None
    tile_overlap: int | None = None
    segmentation_output: str | None = None

    @property
    def at_photo_size(self) -> bool:
        """Whether each photo keeps its size, for a segmenter."""
        return self.input_image_size == PHOTO

    @property
    def tile_hw(self) -> tuple[int, int] | None:
        """Height and width of the tiles; None: none were asked for.

        Raises:
            UserError: the flag is no size.
        """
        return parse_image_size(self.tile) if self.tile else None

    def need(self, flag: str, runmode: str) -> Any:
        """The value of a flag without which a runmode can do nothing.

        Raises:
            UserError: it is not set.
        """
        value = getattr(self, flag)
        if not value:
            raise UserError(f"`runmode={runmode}` needs `{flag}`")
        return value
