"""Initial weights of a run: its own, a checkpoint's, a classifier's, or random ones."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from efficientvision.api import load_weights
from efficientvision.configs import TrainingConfig
from efficientvision.configs.run_options import RunOptions
from efficientvision.errors import UserError
from efficientvision.loading import checkpoint_class_names, checkpoint_preprocessing
from efficientvision.tasks.choice import task_of_config
from efficientvision.training.trainer import Trainer
from efficientvision.weights.class_head import ClassMatch, match_classes
from efficientvision.weights.names import BACKBONE, part_of
from efficientvision.weights.preprocessing import follow_preprocessing

log = logging.getLogger(__name__)


def fit_to_start(config: TrainingConfig, options: RunOptions) -> list[str]:
    """Takes hyper-parameters that the user did not set from the checkpoint that a run starts from.

    Args:
        config: Changed in place.
        options: Options of the run.

    Returns:
        One line per change, and a warning if the user's normalisation is not the checkpoint's.
    """
    start = options.ckpt or options.backbone_ckpt
    if not start:
        return []
    lines = task_of_config(config).fit_to_checkpoint(config, start) if options.ckpt else []
    return [*lines, *follow_preprocessing(config, checkpoint_preprocessing(start), start)]


def initialize(
    trainer: Trainer,
    options: RunOptions,
    config: TrainingConfig,
    names: Mapping[int, str],
) -> None:
    """Initialises the network's weights.

    In this order: the newest checkpoint of this run in `model_dir`; else `ckpt`; else the backbone
    from `backbone_ckpt`; else random weights. (`runs.start` has turned `start_from` into one of
    them.)

    Raises:
        UserError: A checkpoint cannot be read or does not fit, or a frozen part would be random.
    """
    step = trainer.resume()
    if step:
        log.info(f"Resuming from step {step} of {trainer.plan.total_steps} in {options.model_dir}.")
        return
    loaded: list[str] = []
    if options.ckpt:
        loaded = load_weights(
            trainer.model,
            options.ckpt,
            exclude=config.var_exclude_expr,
            allow_class_head_mismatch=config.skip_mismatch,
            classes=_same_classes(options.ckpt, config, names),
        ).loaded
    elif options.backbone_ckpt:
        loaded = load_weights(trainer.model, options.backbone_ckpt, parts=["backbone"]).loaded
    else:
        log.info("Training from scratch: neither `start_from` nor a checkpoint is set.")
    loaded_parts = set(map(part_of, loaded))
    random_parts = [part for part in config.freeze if part not in loaded_parts]
    if random_parts:
        raise UserError(
            f"freeze={'+'.join(config.freeze)} would freeze random weights in "
            f"{' and '.join(random_parts)}: start from a detector with `ckpt` (for the backbone "
            "alone, from a classifier with `backbone_ckpt`), or remove freeze."
        )
    if config.backbone_bn != "follow" and BACKBONE not in loaded_parts:
        raise UserError(
            f"backbone_bn={config.backbone_bn} would freeze the statistics of random weights: set "
            "`start_from=imagenet` or a checkpoint, or remove backbone_bn."
        )
    trainer.state.averages.reset()


def _same_classes(ckpt: str, config: TrainingConfig, names: Mapping[int, str]) -> ClassMatch | None:
    """Matches the classes of the run and the checkpoint by name; None if they already agree.

    Also None if the names of one side are unknown, if the configuration disables matching, and for
    the segmentation head of an EfficientDet, which is loaded as is.
    """
    task = task_of_config(config)
    if not task.matches_classes(config):
        return None
    theirs = checkpoint_class_names(ckpt) if config.match_classes_by_name and names else {}
    if not theirs:
        return None
    first = 0 if task.of_masks else 1
    names, theirs = ({i + 1 - first: n for i, n in own.items()} for own in (names, theirs))
    match = match_classes({i: n for i, n in names.items() if i <= config.num_classes}, theirs)
    in_place = all(ours == other for ours, other in match.pairs.items())
    return None if in_place and len(match.pairs) == len(names) == len(theirs) else match
