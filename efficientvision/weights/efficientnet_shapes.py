"""Identifies an EfficientNet by the shapes of its backbone's variables."""

from __future__ import annotations

from collections.abc import Mapping

from efficientvision.weights.foreign_network import Shapes, our_shapes
from efficientvision.weights.strangers import Refused

Shape = tuple[int, ...]
# A variable of a batch norm -> PyTorch's name for it.
NORM_LEAVES = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}


def numbered(layer: str, index: int) -> str:
    """`layer`, `layer_1`, `layer_2`...: layers of one kind within a block."""
    return f"{layer}_{index}" if index else layer


def variable_name(layer: str, leaf: str) -> str:
    """Published name of a variable, without the backbone's, from PyTorch's last component.

    Args:
        layer: For example `"blocks_3/depthwise_conv2d"`.
        leaf: `weight`, `bias`, `running_mean` or `running_var`.
    """
    kind = layer.rpartition("/")[2]
    if kind.startswith("tpu_batch_normalization"):
        return f"{layer}/{NORM_LEAVES.get(leaf, leaf)}"
    if leaf == "weight":
        leaf = "depthwise_kernel" if kind.startswith("depthwise_conv2d") else "kernel"
    return f"{layer}/{leaf}"


def backbone_shapes(architecture: str) -> dict[str, Shape]:
    """Shapes of the stem and the blocks, by published names without the backbone's own.

    Args:
        architecture: Key of `SCALINGS` of `backbones/efficientnet.py`.
    """
    from efficientvision.backbones.efficientnet import block_specs, stem_filters

    shapes: dict[str, Shape] = {}

    def add_norm(scope: str, index: int, channels: int) -> None:
        layer = f"{scope}/{numbered('tpu_batch_normalization', index)}"
        shapes.update({f"{layer}/{leaf}": (channels,) for leaf in NORM_LEAVES.values()})

    shapes["stem/conv2d/kernel"] = (3, 3, 3, stem_filters(architecture))
    add_norm("stem", 0, stem_filters(architecture))
    for block, spec in enumerate(block_specs(architecture)):
        scope, wide = f"blocks_{block}", spec.in_filters * spec.expand_ratio
        expands = int(spec.expand_ratio != 1)
        if expands:
            shapes[f"{scope}/conv2d/kernel"] = (1, 1, spec.in_filters, wide)
            add_norm(scope, 0, wide)
        kernel = (spec.kernel_size, spec.kernel_size, wide, 1)
        shapes[f"{scope}/depthwise_conv2d/depthwise_kernel"] = kernel
        add_norm(scope, expands, wide)
        if spec.se_filters:
            for layer, inputs, outputs in (
                ("conv2d", wide, spec.se_filters),
                ("conv2d_1", spec.se_filters, wide),
            ):
                shapes[f"{scope}/se/{layer}/kernel"] = (1, 1, inputs, outputs)
                shapes[f"{scope}/se/{layer}/bias"] = (outputs,)
        project = f"{scope}/{numbered('conv2d', expands)}/kernel"
        shapes[project] = (1, 1, wide, spec.out_filters)
        add_norm(scope, expands + 1, spec.out_filters)
    return shapes


def find_architecture(shapes: Mapping[str, Shape]) -> str | None:
    """The EfficientNet whose stem and blocks are exactly these.

    Args:
        shapes: Published name without the backbone's own (`blocks_0/conv2d/kernel`) -> shape in
            our layout. Names of other parts (`head/...`, `fpn_cells/...`) are not looked at.

    Returns:
        Key of `SCALINGS`, such as `"efficientnet-lite0"`; None if there is none.
    """
    from efficientvision.backbones.efficientnet import SCALINGS

    own = {n: tuple(s) for n, s in shapes.items() if n.startswith(("stem/", "blocks_"))}
    return next((name for name in SCALINGS if backbone_shapes(name) == own), None)


def architecture_in(shapes: Shapes, names: Mapping[str, str], package: str) -> str:
    """The EfficientNet in a file of another package.

    Args:
        shapes: Name in the file -> shape in PyTorch's layout.
        names: Name in the file -> published name without the backbone's own.
        package: Name of the package, for the message.

    Returns:
        Key of `SCALINGS`.

    Raises:
        Refused: It is not supported.
    """
    ours = our_shapes(shapes, names)
    found = find_architecture(ours)
    if found is None:
        blocks = {name.partition("/")[0] for name in ours if name.startswith("blocks_")}
        raise Refused(
            f"holds a network of {package} that is not supported ({len(blocks)} blocks): expected "
            "the tensors of an EfficientNet-B0 to B8, L2, or lite0 to lite4"
        )
    return found
