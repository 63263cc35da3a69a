"""The decoder of the segmentation networks once more, in plain NumPy loops, from the papers' text.

Arrays are `[H, W, C]`; weights are by published name, in this library's layout.
"""

import math

import numpy as np

SCALES = (2.0, 1.5, 1.0, 0.5, 0.1)
EPSILON = 1e-5


def decode(features, weights, names, hw):
    """Logits `[*hw, C]`.

    Args:
        features: encoder's maps of level 4, 3, 2 and 1.
        weights: published name -> array.
        names: of each level, (pyramid pooling, projection, batch norm); the first has only one.
        hw: of the image.
    """
    x = pyramid(features[0], weights, names[0][0])
    for level, (pool, project, merge) in zip(features[1:], names[1:], strict=True):
        skip = weighted(level, weights, project)
        x = skip + bilinear(x, skip.shape[:2])
        x = norm_act(x, weights, f"{merge}.0", f"{merge}.1")
        x = pyramid(x, weights, pool)
    return bilinear(x, hw)


def pyramid(x, weights, name):
    """Pooling at five scales of a projection to few channels, mixed and brought to its width."""
    x = block(x, weights, f"{name}.projection_layer")
    height, width, channels = x.shape
    scaled = []
    for index, scale in enumerate(SCALES):
        hw = tuple(max(5, math.ceil(side * scale)) for side in (height, width))
        kernel = weights[f"{name}.stages.{index}.weight"]
        if scale < 1:
            scaled.append(bilinear(convolve(adaptive(x, hw), kernel), (height, width)))
        elif scale > 1:
            scaled.append(adaptive(convolve(bilinear(x, hw), kernel), (height, width)))
        else:
            scaled.append(convolve(x, kernel))
    x = np.concatenate(scaled, axis=-1)
    x = norm_act(x, weights, f"{name}.merge_layer.0.br.0", f"{name}.merge_layer.0.br.1")
    # Channel c of every scale comes together.
    x = np.stack([x[..., c::channels] for c in range(channels)], axis=-2)
    x = block(x.reshape(height, width, -1), weights, f"{name}.merge_layer.2")
    x = convolve(x, weights[f"{name}.merge_layer.3.weight"])
    if f"{name}.merge_layer.3.bias" in weights:
        return x + weights[f"{name}.merge_layer.3.bias"]
    return norm_act(x, weights, f"{name}.br.br.0", f"{name}.br.br.1")


def weighted(x, weights, name):
    """A 3x3 convolution, each channel of it weighed by the means of the input."""
    gate = x.mean((0, 1)) @ weights[f"{name}.wt_layer.1.weight"][0, 0]
    return block(x, weights, f"{name}.expansion_layer") / (1 + np.exp(-gate))


def block(x, weights, name):
    x = convolve(x, weights[f"{name}.cbr.0.weight"])
    return norm_act(x, weights, f"{name}.cbr.1", f"{name}.cbr.2")


def norm_act(x, weights, norm, act):
    gamma, beta, mean, variance = (
        weights[f"{norm}.{leaf}"] for leaf in ("weight", "bias", "running_mean", "running_var")
    )
    x = (x - mean) / np.sqrt(variance + EPSILON) * gamma + beta
    return np.where(x > 0, x, x * weights[f"{act}.weight"])


def convolve(x, kernel):
    """As many groups as the kernel's depth makes of the channels; zeros around."""
    size, _, depth, filters = kernel.shape
    height, width, channels = x.shape
    groups, margin = channels // depth, size // 2
    padded = np.pad(x, ((margin, margin), (margin, margin), (0, 0)))
    result = np.zeros((height, width, filters))
    for group in range(groups):
        inside = slice(group * depth, (group + 1) * depth)
        outside = slice(group * filters // groups, (group + 1) * filters // groups)
        for i in range(size):
            for j in range(size):
                shifted = padded[i : i + height, j : j + width, inside]
                result[..., outside] += shifted @ kernel[i, j, :, outside]
    return result


def adaptive(x, hw):
    """Mean over window i of n: from floor(i * size / n) to ceil((i + 1) * size / n)."""
    height, width, _ = x.shape
    result = np.zeros((*hw, x.shape[-1]))
    for i in range(hw[0]):
        rows = slice(math.floor(i * height / hw[0]), math.ceil((i + 1) * height / hw[0]))
        for j in range(hw[1]):
            columns = slice(math.floor(j * width / hw[1]), math.ceil((j + 1) * width / hw[1]))
            result[i, j] = x[rows, columns].mean((0, 1))
    return result


def bilinear(x, hw):
    """The corners of the input are the corners of the output."""
    for axis in (0, 1):
        size, target = x.shape[axis], hw[axis]
        at = np.linspace(0, size - 1, target)
        low = np.minimum(np.floor(at).astype(int), size - 1)
        high = np.minimum(low + 1, size - 1)
        share = np.expand_dims(at - low, [a for a in range(3) if a != axis])
        x = np.take(x, low, axis) * (1 - share) + np.take(x, high, axis) * share
    return x
