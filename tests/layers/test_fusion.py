"""A fusion node against its formula, for each way to weigh its inputs."""

import numpy as np
import pytest

from efficientvision.layers.fusion import WEIGHT_METHODS, FusionNodeLayer

CHANNELS = 4


def softmax(weights):
    return np.exp(weights) / np.exp(weights).sum(0)


def share_of_positive(weights):
    positive = np.maximum(weights, 0)
    return positive / (positive.sum(0) + 1e-4)


@pytest.mark.parametrize("method", WEIGHT_METHODS)
def test_inputs_are_weighed(method):
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(3, 2, 5, 6, CHANNELS)).astype("float32")
    node = FusionNodeLayer(CHANNELS, (5, 6), (0, 1, 2), 3, method)
    node(list(maps))
    assert len(node.fusion_weights) == (0 if method == "sum" else 3)
    by_channel = method.startswith("channel_")
    # The first is negative, and its input is left out of a `fastattn`.
    weights = np.array([-0.5, 1.0, 2.0])[:, None] * (np.arange(1, 5) if by_channel else 1.0)
    weights = weights if by_channel else weights[:, 0]
    for variable, value in zip(node.fusion_weights, weights, strict=False):
        assert variable.shape == value.shape
        variable.assign(value)
    formula = {"fastattn": share_of_positive, "attn": softmax, "sum": np.ones_like}
    shares = formula[method.removeprefix("channel_")](weights)
    expected = np.einsum("ibhwc,ic->bhwc", maps, np.broadcast_to(shares.T, (CHANNELS, 3)).T)
    combined = np.asarray(node.combine(expected.astype("float32")))
    assert np.ptp(combined) > 0.1
    np.testing.assert_allclose(np.asarray(node(list(maps))), combined, atol=1e-4)


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="mean"):
        FusionNodeLayer(4, (5, 6), (0, 1), 3, "mean")
