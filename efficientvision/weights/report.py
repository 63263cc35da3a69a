"""Report of loading a checkpoint: counts by part, and names of variables."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from efficientvision.weights.class_head import ClassMatch
from efficientvision.weights.names import BACKBONE, part_of, stage_of
from efficientvision.weights.preprocessing import Preprocessing

_COLUMNS = ("loaded", "skipped", "missing", "unused")
_SHOWN_NAMES = 8


@dataclass
class LoadReport:
    """Result of `load_weights`.

    Attributes:
        path: The checkpoint.
        kind: See `CheckpointReader.kind`.
        loaded: Names of the variables that were assigned.
        skipped: Name -> (shape in the model, shape in the checkpoint) where the shapes differ.
        missing: Names of the model's variables that the checkpoint does not have.
        unused: Names of the checkpoint's weights that the model does not have.
        excluded: Names of variables that the caller excluded.
        auxiliary: Number of other entries in the checkpoint: optimizer slots, step counters.
        num_averaged: How many of `loaded` are moving averages.
        class_match: Classes whose weights were loaded; None if the class head was loaded or left
            out as a whole.
        notes: Further warnings for the user.
        preprocessing: What the weights were trained with, if their file tells.
    """

    path: str
    kind: str
    loaded: list[str] = field(default_factory=list)
    skipped: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    auxiliary: int = 0
    num_averaged: int = 0
    class_match: ClassMatch | None = None
    notes: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None

    def counts(self) -> dict[str, dict[str, int]]:
        """Part -> number of loaded, skipped, missing and unused variables."""
        by_column = {c: Counter(part_of(name) for name in getattr(self, c)) for c in _COLUMNS}
        parts = dict.fromkeys(part for column in by_column.values() for part in column)
        return {part: {c: by_column[c][part] for c in _COLUMNS} for part in parts}

    @property
    def backbone_match(self) -> float:
        """Share of the model's backbone variables that were loaded (1 without a backbone).

        Stages that are absent from the checkpoint (a segmentation network ends earlier than a
        classifier) do not count, unless all are absent.
        """
        theirs = {stage_of(name) for name in (*self.loaded, *self.skipped, *self.unused)}
        ours = [n for n in (*self.loaded, *self.skipped, *self.missing) if part_of(n) == BACKBONE]
        wanted = [name for name in ours if stage_of(name) in theirs] or ours
        loaded = set(self.loaded)
        return sum(name in loaded for name in wanted) / len(wanted) if wanted else 1.0

    def __str__(self) -> str:
        title = f"Weights from {self.path} ({self.kind}"
        if self.num_averaged:
            title += f", {self.num_averaged} of {len(self.loaded)} are moving averages"
        lines = [title + ")", f"{'part':<20}" + "".join(f"{c:>9}" for c in _COLUMNS)]
        rows = [(part, [counts[c] for c in _COLUMNS]) for part, counts in self.counts().items()]
        rows.append(("all", [len(getattr(self, c)) for c in _COLUMNS]))
        for part, numbers in rows:
            lines.append(f"{part:<20}" + "".join(f"{n:>9}" for n in numbers))
        if self.class_match is not None:
            lines.append(str(self.class_match))
        for name, (ours, theirs) in list(self.skipped.items())[:_SHOWN_NAMES]:
            lines.append(f"skipped {name}: model {list(ours)}, checkpoint {list(theirs)}")
        lines += [f"missing {name}" for name in self.missing[:_SHOWN_NAMES]]
        lines += [f"unused {name}" for name in self.unused[:_SHOWN_NAMES]]
        hidden = sum(
            max(0, len(names) - _SHOWN_NAMES) for names in (self.skipped, self.missing, self.unused)
        )
        if hidden:
            lines.append(f"... and {hidden} more names")
        if self.excluded:
            lines.append(
                f"{len(self.excluded)} variables were excluded as requested, and left unchanged"
            )
        if self.auxiliary:
            lines.append(
                f"{self.auxiliary} other entries (optimizer state, step counters) were not needed"
            )
        if self.preprocessing is not None:
            lines.append(f"trained with {self.preprocessing} ({self.preprocessing.source})")
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines)
