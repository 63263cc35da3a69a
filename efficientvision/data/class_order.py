"""Class ids of records, which may have gaps, and the outputs of a classifier, which have none."""

from __future__ import annotations

from collections.abc import Mapping

from efficientvision.errors import UserError


def plain_name(name: str) -> str:
    """A name without what data sets of the same classes differ in: capitals, spaces and signs.

    `pottedplant` and `potted-plant` are one class.
    """
    return "".join(letter for letter in name.lower() if letter.isalnum()) or name


def network_names(raw: Mapping[int, str]) -> dict[int, str]:
    """Names by class id (gaps allowed) -> names by class number 1..K, in the order of the ids."""
    return dict(enumerate((raw[class_id] for class_id in sorted(raw)), start=1))


def class_ids(
    names: Mapping[int, str], raw: Mapping[int, str], num_classes: int, *, what: str
) -> list[int]:
    """The records' class id of each output of a network.

    Args:
        names: Class number (1..K) of the network -> name; may be empty.
        raw: Class id of the records -> name; may be empty.
        num_classes: K.
        what: The records, for the error.

    Returns:
        K ids. Where both sides have names, the class of that name; an output whose name the records
        do not have gets an id that no record has. Where one has none, the ids in their order.

    Raises:
        UserError: The records have a class that the network does not know.
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
                "the records with the same classes, or train a network for these."
            )
        ids = [id_of.get(names.get(number)) for number in range(1, num_classes + 1)]
    if len(ids) > num_classes:
        raise UserError(
            f"{what} has {len(ids)} classes, and num_classes={num_classes}: leave num_classes "
            "out, or set it to their number."
        )
    unused = max(raw) + 1
    ids += [None] * (num_classes - len(ids))
    return [unused + i if class_id is None else class_id for i, class_id in enumerate(ids)]
