"""Maps class ids of records, which may have gaps, to a classifier's outputs, which have none."""

from __future__ import annotations

from collections.abc import Mapping

from efficientvision.errors import UserError


def plain_name(name: str) -> str:
    """Normalises a class name: no capitals, spaces or punctuation, in which data sets differ.

    `pottedplant` and `potted-plant` are the same class.
    """
    return "".join(letter for letter in name.lower() if letter.isalnum()) or name


def network_names(raw: Mapping[int, str]) -> dict[int, str]:
    """{class id: name}, gaps allowed -> {class number 1..K: name}, in the order of the ids."""
    return dict(enumerate((raw[class_id] for class_id in sorted(raw)), start=1))


def class_ids(
    names: Mapping[int, str], raw: Mapping[int, str], num_classes: int, *, what: str
) -> list[int]:
    """Returns the records' class id for each output of a network.

    Args:
        names: The network's class number (1..K) -> name; may be empty.
        raw: The records' class id -> name; may be empty.
        num_classes: K.
        what: Description of the records in the error.

    Returns:
        K ids. If both sides have names, classes are matched by name, and an output whose name the
        records lack gets an id that no record has. Otherwise the ids in ascending order.

    Raises:
        UserError: The records have a class that the network does not.
    """
    if not raw:
        return list(range(1, num_classes + 1))
    if not names:
        ids = sorted(raw)
    else:
        id_of = {name: class_id for class_id, name in sorted(raw.items(), reverse=True)}
        unknown = [name for name in id_of if name not in names.values()]
        if unknown:
            raise UserError(
                f"{what} has the class {unknown[0]!r}, which the network does not know: it knows "
                f"{', '.join(list(names.values())[:5])}{', ...' if len(names) > 5 else ''}. Make "
                "the records with the network's classes, or train a network on these."
            )
        ids = [id_of.get(names.get(number)) for number in range(1, num_classes + 1)]
    if len(ids) > num_classes:
        raise UserError(
            f"{what} has {len(ids)} classes, but num_classes={num_classes}: remove num_classes, "
            "or set it to the number of classes."
        )
    unused = max(raw) + 1
    ids += [None] * (num_classes - len(ids))
    return [unused + i if class_id is None else class_id for i, class_id in enumerate(ids)]
