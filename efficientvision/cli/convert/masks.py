"""Converts images with label maps to TFRecords for semantic segmentation.

  python dataset/create_segmentation_tfrecord.py \\
      --images_dir=camvid/images --masks_dir=camvid/labels --ignore_label=11 \\
      --class_names=camvid/classes.txt --val_fraction=0.2 --output_dir=camvid/tfrecord

Reads one of
  --voc_dir=VOCdevkit/VOC2012       PASCAL VOC: SegmentationClass by ImageSets/Segmentation, or by
                                    list/train_aug.txt if that exists (the masks of SBD)
  --cityscapes_dir=cityscapes       leftImg8bit and gtFine (labelIds or labelTrainIds); --coarse
                                    for gtCoarse too
  --coco_images=train2017 --coco_annotations=instances_train2017.json
                                    COCO's objects as VOC's 21 classes
  --images_dir=a --masks_dir=b      images and masks of the same names, directly or in train/, val/
                                    and test/ (also training, valid ...); both may be one folder
  --list_file=train.txt             lines of: image, mask
Writes  <output_dir>/train-00000-of-00032.tfrecord ..., val-...; coarse-..., coco_train2017-...
        labels.json beside them: the class names, from 0
Masks are PNGs with one channel or a palette whose values are the classes from 0; or, with
--palette, in colours or greys. 255 is ignored. Photos are stored upright with 8 bits a channel.
Everything is checked before anything is written, and everything changed or left out is counted.

Without the repository: efficientvision convert segmentation with the same options.
"""

from __future__ import annotations

from absl import flags

from efficientvision.cli.console import say
from efficientvision.cli.tensorflow_start import load_tensorflow_quietly
from efficientvision.data.masks import cityscapes, coco, convert, folders, mask_files, voc
from efficientvision.data.masks.folders import Found
from efficientvision.data.masks.mask_files import MaskFiles
from efficientvision.data.masks.nearest_colors import TOLERANCE
from efficientvision.data.photos import MAX_PIXELS
from efficientvision.errors import UserError

_OF_OWN_PICTURES = (
    "masks_dir",
    "val_fraction",
    "split_seed",
    "ignore_label",
    "first_label",
    "class_names",
    "palette",
    "palette_tolerance",
    "ignore_palettes",
)
# Flag that names a source -> the other flags that apply to it.
SOURCES = {
    "voc_dir": ("augmented",),
    "cityscapes_dir": ("coarse",),
    "coco_images": ("coco_annotations", "allow_outside"),
    "list_file": ("val_list_file", "images_dir", *_OF_OWN_PICTURES),
    "images_dir": ("mask_suffix", *_OF_OWN_PICTURES),
}


def chosen_source(values: flags.FlagValues) -> str:
    """Returns the flag that names the source; none, two, or flags of another source are errors."""
    given = [name for name in SOURCES if values[name].value]
    if not given:
        names = ", ".join(f"--{name}" for name in SOURCES)
        raise UserError(f"Nothing to convert: set one of {names}; see --help for an example.")
    source, *others = given
    own = SOURCES[source]
    if other := next((name for name in others if name not in own), None):
        raise UserError(f"--{source} and --{other} are two sources: convert them one at a time.")
    for name in dict.fromkeys(flag for flags_of in SOURCES.values() for flag in flags_of):
        if values[name].present and name not in own and name != source:
            raise UserError(f"--{name} does not apply to --{source}.")
    return source


def _find_own(source: str, values: flags.FlagValues) -> tuple[Found, MaskFiles, list[str] | None]:
    """Returns (pairs, mask reader, class names) of the user's own images."""
    # Colours are looked up in the palette; their indices do not matter.
    compare = not (values.palette or values.ignore_palettes)
    if source == "list_file":
        places = (values.images_dir or None, values.masks_dir or None)
        found = folders.read_list(values.list_file, *places, compare_palettes=False)
        if values.val_list_file:
            val = folders.read_list(values.val_list_file, *places, compare_palettes=False)
            found.parts["val"] = val.parts["train"]
            found.spoilt += val.spoilt
            found.left_out.update(val.left_out)
        if compare:
            folders.drop_other_palettes(found)
    elif values.masks_dir:
        found = folders.find_pairs(
            values.images_dir, values.masks_dir, values.mask_suffix, compare_palettes=compare
        )
    else:
        raise UserError("--images_dir needs --masks_dir, the folder of the masks.")
    if values.val_fraction is not None:
        if found.parts.get("val"):
            raise UserError("--val_fraction creates a val part, but the data already has one.")
        train = found.parts.get("train", ())
        found.parts |= folders.split(train, values.val_fraction, values.split_seed)
    names = mask_files.read_class_names(values.class_names) if values.class_names else None
    max_pixels = values.max_pixels or None
    if values.palette:
        for name in ("ignore_label", "first_label", "ignore_palettes"):
            if values[name].present:
                raise UserError(f"--{name} is for masks of labels, --palette for masks in colours.")
        colors, names = mask_files.read_palette(values.palette, names)
        reader = mask_files.MaskFiles(len(names), {}, colors, values.palette_tolerance, max_pixels)
        return found, reader, names
    if values["palette_tolerance"].present:
        raise UserError("--palette_tolerance needs --palette.")
    try:
        ignored = [int(label) for label in values.ignore_label]
    except ValueError as error:
        raise UserError(
            f"--ignore_label needs whole numbers, got {values.ignore_label}."
        ) from error
    table = mask_files.label_table(ignored, values.first_label)
    num_classes = len(names) if names else None
    return found, mask_files.MaskFiles(num_classes, table, max_pixels=max_pixels), names


def _white_is_ignored(source: str, values: flags.FlagValues) -> bool:
    """Whether 255 is known to mean "no class": from the source, a palette or a flag."""
    is_said = values["ignore_label"].present and "255" in values.ignore_label
    return source not in ("images_dir", "list_file") or bool(values.palette) or is_said


def define_flags() -> None:
    """Declares the flags."""
    flags.DEFINE_string("voc_dir", "", "PASCAL VOC folder, such as VOCdevkit/VOC2012")
    flags.DEFINE_bool(
        "augmented", None, "VOC: train with list/train_aug.txt; by default if that list exists"
    )
    flags.DEFINE_string("cityscapes_dir", "", "folder that contains leftImg8bit and gtFine")
    flags.DEFINE_bool("coarse", False, "Cityscapes: also write train_extra with the gtCoarse masks")
    flags.DEFINE_string("coco_images", "", "folder of COCO images, such as train2017")
    flags.DEFINE_string("coco_annotations", "", "instances JSON file of these images")
    flags.DEFINE_bool(
        "allow_outside", False, "COCO: accept image paths that lead out of --coco_images"
    )
    flags.DEFINE_string(
        "images_dir", "", "folder of the images (lists: what paths are relative to)"
    )
    flags.DEFINE_string("masks_dir", "", "folder of the masks (lists: what paths are relative to)")
    flags.DEFINE_string(
        "mask_suffix",
        "",
        "suffix that a mask's name adds to its image's, as _L; default: _mask etc.",
    )
    flags.DEFINE_string("list_file", "", "list of the training pairs, lines of: image, mask")
    flags.DEFINE_string("val_list_file", "", "the same for the evaluation pairs")
    flags.DEFINE_float("val_fraction", None, "share (0..1) of the pairs to hold out as val")
    flags.DEFINE_integer("split_seed", 0, "random seed of the held-out part")
    flags.DEFINE_list("ignore_label", ["255"], "labels of pixels without a class, besides 255")
    flags.DEFINE_integer("first_label", 0, "label of the first class")
    flags.DEFINE_string("class_names", "", "file of the class names in order, one per line")
    flags.DEFINE_string(
        "palette",
        "",
        "file of the masks' colours or greys: lines of R G B name, in the order of the classes",
    )
    flags.DEFINE_integer(
        "palette_tolerance",
        TOLERANCE,
        "largest difference in R, G or B between a colour and its palette entry (0 = exact match)",
    )
    flags.DEFINE_bool(
        "ignore_palettes", False, "take indices as classes even if palettes differ between masks"
    )
    flags.DEFINE_bool(
        "skip_bad", False, "skip pairs that cannot be used; they are counted and listed"
    )
    flags.DEFINE_integer("max_pixels", MAX_PIXELS, "reject images with more pixels (0 = no limit)")
    flags.DEFINE_string("output_dir", "", "folder to write the records to")
    flags.DEFINE_integer("num_shards", 32, "files per part (never more than there are images)")
    flags.DEFINE_integer("num_threads", None, "parallel processes; by default one per core")


def run(values: flags.FlagValues) -> None:
    """Converts the images and masks that the flags name.

    Raises:
        UserError: The flags name no source or exclude each other, or the data cannot be used.
    """
    source = chosen_source(values)
    if not values.output_dir:
        raise UserError("--output_dir is missing; see --help for an example.")
    skipped, min_values = None, 1
    if source == "voc_dir":
        found, reader, labels = voc.find(values.voc_dir, values.augmented), voc.READER, voc.LABELS
    elif source == "cityscapes_dir":
        found = cityscapes.find(values.cityscapes_dir, values.coarse)
        reader, labels = cityscapes.READER, cityscapes.LABELS
    elif source == "coco_images":
        if not values.coco_annotations:
            raise UserError("--coco_images needs --coco_annotations, the instances JSON file.")
        found, skipped = coco.find(
            values.coco_images, values.coco_annotations, values.allow_outside
        )
        reader, labels, min_values = coco.rasterize, coco.LABELS, coco.MIN_VALUES
    else:
        found, reader, names = _find_own(source, values)
        labels = dict(enumerate(names)) if names else None
    load_tensorflow_quietly()
    reports = convert.convert(
        found,
        values.output_dir,
        reader,
        labels,
        skip_bad=values.skip_bad,
        white_is_ignored=_white_is_ignored(source, values),
        max_pixels=values.max_pixels or None,
        min_values=min_values,
        skipped=skipped,
        num_shards=values.num_shards,
        num_workers=values.num_threads,
    )
    for report in reports:
        say(report)
    if source == "cityscapes_dir" and cityscapes.has_test(values.cityscapes_dir):
        print("The test part has no labels and is left out; main.py --testdev_dir predicts it.")
    if source in ("images_dir", "list_file") and not found.parts.get("val"):
        print("There is no val part to evaluate on; --val_fraction=0.1 would hold out a tenth.")
