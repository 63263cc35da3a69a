"""Names and colours of the classes: PASCAL VOC's, Cityscapes', and colours for any others."""

from __future__ import annotations

from collections.abc import Mapping

from efficientvision.data.class_order import plain_name
from efficientvision.data.labels import CITYSCAPES_NAMES, VOC_MASK_NAMES
from efficientvision.visualize.draw import class_color

Color = tuple[int, int, int]

BACKGROUND = "background"
# Of pixels that have no class, and what pictures leave as the photo has it.
BLACK: Color = (0, 0, 0)

# Of trainIds 0..18; the published networks have one output more.
CITYSCAPES_COLORS: tuple[Color, ...] = (
    (128, 64, 128),
    (244, 35, 232),
    (70, 70, 70),
    (102, 102, 156),
    (190, 153, 153),
    (153, 153, 153),
    (250, 170, 30),
    (220, 220, 0),
    (107, 142, 35),
    (152, 251, 152),
    (70, 130, 180),
    (220, 20, 60),
    (255, 0, 0),
    (0, 0, 142),
    (0, 0, 70),
    (0, 60, 100),
    (0, 80, 100),
    (0, 0, 230),
    (119, 11, 32),
)
_PUBLISHED = {
    len(VOC_MASK_NAMES): VOC_MASK_NAMES,
    len(CITYSCAPES_NAMES): CITYSCAPES_NAMES,
    len(CITYSCAPES_NAMES) + 1: [*CITYSCAPES_NAMES, BACKGROUND],
}


def voc_color(index: int) -> Color:
    """PASCAL VOC's colour of a label 0..255; 255, which is ignored, is its cream.

    The lowest three bits of the label are the highest of red, green and blue, the next three their
    second highest, and so on.
    """
    red, green, blue = (
        sum((index >> (3 * place + channel) & 1) << (7 - place) for place in range(8))
        for channel in range(3)
    )
    return red, green, blue


def published_names(num_classes: int) -> dict[int, str]:
    """Class index (from 0) -> name of the data set whose published networks have so many outputs:
    21 are PASCAL VOC's, 19 and 20 Cityscapes'. Empty for any other number.
    """
    return dict(enumerate(_PUBLISHED.get(num_classes, ())))


def palette_of(names: Mapping[int, str], num_classes: int) -> list[Color]:
    """Colours of a network's classes.

    Args:
        names: class index (from 0) -> name; may be empty.
        num_classes: outputs of the network.

    Returns:
        A colour for each output: those of PASCAL VOC or of Cityscapes where the names are theirs,
        or where there are none and the number is; otherwise a different one for each class, and
        black for one that is called background.
    """
    known = published_names(num_classes)
    if known and _plain(names or known) == _plain(known):
        if len(known) == len(VOC_MASK_NAMES):
            return [voc_color(index) for index in range(num_classes)]
        return [*CITYSCAPES_COLORS, BLACK][:num_classes]
    return [
        BLACK if names.get(index, "").lower() == BACKGROUND else class_color(index)
        for index in range(num_classes)
    ]


def same_classes(names: Mapping[int, str], others: Mapping[int, str]) -> bool:
    """Whether no class has two different names; one side may have more classes.

    Capitals, spaces and signs do not count: pottedplant is potted-plant.

    Args:
        names: class index (from 0) -> name.
        others: the same of another data set or network.
    """
    ours, theirs = _plain(names), _plain(others)
    return all(ours[index] == theirs[index] for index in ours.keys() & theirs.keys())


def with_background(names: Mapping[int, str], num_classes: int) -> dict[int, str]:
    """The names, or where they are Cityscapes' 19 and there are 20 classes, these."""
    known = published_names(num_classes)
    more = known and names and _plain(names).items() < _plain(known).items()
    return known if more else dict(names)


def _plain(names: Mapping[int, str]) -> dict[int, str]:
    return {index: plain_name(name) for index, name in names.items()}
