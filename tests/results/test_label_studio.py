"""Label Studio's brush, decoded by an independent reader of its bits."""

import numpy as np
import pytest

from efficientvision.results.label_studio import brush_runs


def decoded(values):
    """Reads run lengths as rle-pack documents them: also runs of differing values."""
    bits = "".join(f"{value:08b}" for value in values)
    place = 0

    def take(count):
        nonlocal place
        place += count
        return int(bits[place - count : place], 2)

    total, size = take(32), take(5) + 1
    lengths = [take(4) + 1 for _ in range(4)]
    out = []
    while len(out) < total:
        repeated = take(1)
        count = take(lengths[take(2)]) + 1
        out += [take(size)] * count if repeated else [take(size) for _ in range(count)]
    return np.array(out, np.uint8)


@pytest.mark.parametrize("hw", [(1, 1), (7, 5), (150, 200)])
@pytest.mark.parametrize("share", [0, 0.3, 1])
def test_a_mask_is_kept(hw, share):
    mask = (np.random.default_rng(0).random(hw) < share).astype(np.uint8)
    found = decoded(brush_runs(mask)).reshape(*hw, 4)
    np.testing.assert_array_equal(found, 255 * np.repeat(mask[..., None], 4, axis=2))
